/* SPDX-License-Identifier: MPL-2.0 */
#include "common/hash.h"

#include <xxhash.h>

uint64_t zsp_hash(struct zsp_slice bytes)
{
    return XXH3_64bits(bytes.len > 0 ? (const void *)bytes.data : "", bytes.len);
}

uint64_t zsp_hash_seeded(struct zsp_slice bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes.len > 0 ? (const void *)bytes.data : "", bytes.len, seed);
}
