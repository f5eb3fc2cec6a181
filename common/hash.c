/* SPDX-License-Identifier: MPL-2.0 */
#include "common/hash.h"

#include <xxhash.h>

#include "common/compiler.h"

/* The same sums with the widest vectors that the processor has, three times as fast. Only in
 * libxxhash as a shared library, and on x86: absent they are NULL. */
/* NOLINTBEGIN(readability-identifier-naming): the names are xxhash's */
XXH64_hash_t XXH3_64bits_dispatch(const void *input, size_t len) ZSP_WEAK;
XXH64_hash_t XXH3_64bits_withSeed_dispatch(const void *input, size_t len,
                                           XXH64_hash_t seed) ZSP_WEAK;
/* NOLINTEND(readability-identifier-naming) */

#define WIDE_BYTES 1024u /* below, the detour costs what it saves */

uint64_t zsp_hash(struct zsp_slice bytes)
{
    if (bytes.len >= WIDE_BYTES && XXH3_64bits_dispatch) {
        return XXH3_64bits_dispatch(bytes.data, bytes.len);
    }
    return XXH3_64bits(bytes.len > 0 ? (const void *)bytes.data : "", bytes.len);
}

uint64_t zsp_hash_seeded(struct zsp_slice bytes, uint64_t seed)
{
    if (bytes.len >= WIDE_BYTES && XXH3_64bits_withSeed_dispatch) {
        return XXH3_64bits_withSeed_dispatch(bytes.data, bytes.len, seed);
    }
    return XXH3_64bits_withSeed(bytes.len > 0 ? (const void *)bytes.data : "", bytes.len, seed);
}
