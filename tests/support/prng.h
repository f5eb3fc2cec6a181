/* SPDX-License-Identifier: MPL-2.0
 *
 * A small, fast, seeded generator (splitmix64) for tests: the same seed gives
 * the same numbers on every machine. Not for secrets.
 */
#ifndef ZSP_TESTS_PRNG_H
#define ZSP_TESTS_PRNG_H

#include <stdbool.h>
#include <stdint.h>

/* Any value is a good seed. */
struct prng {
    uint64_t state;
};

static inline uint64_t prng_next(struct prng *self)
{
    self->state += 0x9e3779b97f4a7c15u;
    uint64_t z = self->state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* 0 .. limit - 1; limit > 0. The bias is below 2^-32 for the limits of tests. */
static inline uint64_t prng_below(struct prng *self, uint64_t limit)
{
    return prng_next(self) % limit;
}

/* first .. last, both included. */
static inline uint64_t prng_between(struct prng *self, uint64_t first, uint64_t last)
{
    return first + prng_below(self, last - first + 1);
}

/* True `per_mille` times in a thousand. */
static inline bool prng_chance(struct prng *self, unsigned per_mille)
{
    return prng_below(self, 1000) < per_mille;
}

#endif
