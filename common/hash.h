/* SPDX-License-Identifier: MPL-2.0
 *
 * XXH3-64 under our own names, so that one file includes libxxhash.
 */
#ifndef ZSP_HASH_H
#define ZSP_HASH_H

#include <stdint.h>

#include "common/bytes.h"

/* Plain XXH3-64: what the protocol and the disk format mean by "sum". */
uint64_t zsp_hash(struct zsp_slice bytes);
/* XXH3-64 with a seed, for checksums that are bound to a place, and for tables. */
uint64_t zsp_hash_seeded(struct zsp_slice bytes, uint64_t seed);

#endif
