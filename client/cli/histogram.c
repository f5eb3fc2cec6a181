/* SPDX-License-Identifier: MPL-2.0 */
#include "client/cli/histogram.h"

#include <stddef.h>

#define SUB_COUNT ((uint64_t)1 << HISTOGRAM_SUB_BITS)
#define VALUE_MAX (((uint64_t)1 << HISTOGRAM_MAX_BITS) - 1)

/* Values below SUB_COUNT have a bucket each. Above, the highest bit chooses the power of
 * two, and the HISTOGRAM_SUB_BITS below it one of its buckets. */
static size_t bucket_of(uint64_t value)
{
    unsigned shift = 0;
    while (value >> shift >= 2 * SUB_COUNT) {
        shift++;
    }
    return value < SUB_COUNT ? (size_t)value
                             : ((size_t)(shift + 1) << HISTOGRAM_SUB_BITS) +
                                   (size_t)((value >> shift) - SUB_COUNT);
}

/* The largest value of a bucket. */
static uint64_t bucket_end(size_t index)
{
    if (index < SUB_COUNT) {
        return index;
    }
    const unsigned shift = (unsigned)(index >> HISTOGRAM_SUB_BITS) - 1;
    const uint64_t sub = index & (SUB_COUNT - 1);
    return ((SUB_COUNT + sub + 1) << shift) - 1;
}

void histogram_add(struct histogram *self, uint64_t value)
{
    const uint64_t kept = value < VALUE_MAX ? value : VALUE_MAX;
    self->buckets[bucket_of(kept)]++;
    self->count++;
    self->max = kept > self->max ? kept : self->max;
}

void histogram_merge(struct histogram *self, const struct histogram *other)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        self->buckets[i] += other->buckets[i];
    }
    self->count += other->count;
    self->max = other->max > self->max ? other->max : self->max;
}

uint64_t histogram_value_at(const struct histogram *self, unsigned permille)
{
    /* The rank of the wanted value, from 1: rounded up, so that p99.9 of few values is the largest. */
    const uint64_t whole = self->count / 1000 * permille;
    const uint64_t rest = (self->count % 1000 * permille + 999) / 1000;
    const uint64_t rank = whole + rest > 0 ? whole + rest : 1;
    uint64_t seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS && self->count > 0; i++) {
        seen += self->buckets[i];
        if (seen >= rank) {
            const uint64_t end = bucket_end(i);
            return end < self->max ? end : self->max;
        }
    }
    return self->max;
}
