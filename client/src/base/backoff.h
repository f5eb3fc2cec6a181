/* SPDX-License-Identifier: MPL-2.0
 *
 * How long to pause before the next attempt: doubling from round to round up to
 * a limit, each time a random part of it, so that a thousand clients that lost
 * one broker at one moment do not come back as one. Plain arithmetic; the owner
 * brings the randomness.
 */
#ifndef ZSP_CLIENT_BACKOFF_H
#define ZSP_CLIENT_BACKOFF_H

#include <stdint.h>

struct zsp_backoff {
    int64_t first_ms; /* at least 1 */
    int64_t max_ms;   /* at least 1 */
    uint64_t random;  /* state of a generator: any value but 0 */
};

/* The pause after `rounds` rounds of attempts that failed (0 = none yet): anything
 * from half of min(first_ms x 2^rounds, max_ms) to all of it. */
int64_t zsp_backoff_ms(struct zsp_backoff *self, uint64_t rounds);

#endif
