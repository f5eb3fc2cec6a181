/* SPDX-License-Identifier: MPL-2.0
 *
 * How many values of which size: a histogram with bounded memory for latencies. Buckets
 * are log-linear: 64 of equal width between any power of two and the next, so
 * that a value is known to 1.6 % whatever its size. Not thread-safe.
 */
#ifndef ZSP_CLI_HISTOGRAM_H
#define ZSP_CLI_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 6u  /* 64 buckets for each power of two */
#define HISTOGRAM_MAX_BITS 42u /* larger values count as 2^42 - 1: over an hour in nanoseconds */
#define HISTOGRAM_BUCKETS  ((HISTOGRAM_MAX_BITS - HISTOGRAM_SUB_BITS + 1u) << HISTOGRAM_SUB_BITS)

/* Zero-initialise. 19 KiB. */
struct histogram {
    uint64_t count; /* of values */
    uint64_t max;   /* the largest of them, exactly */
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *self, uint64_t value);
/* Add all values of another one. */
void histogram_merge(struct histogram *self, const struct histogram *other);
/* The value that `permille` (0..1000) of a thousand are not above: the upper end of its bucket, but
 * never more than the largest value. 0 when there are no values. */
uint64_t histogram_value_at(const struct histogram *self, unsigned permille);

#endif
