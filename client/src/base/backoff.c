/* SPDX-License-Identifier: MPL-2.0 */
#include "client/src/base/backoff.h"

/* xorshift64 */
static uint64_t draw(struct zsp_backoff *self)
{
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    return self->random;
}

int64_t zsp_backoff_ms(struct zsp_backoff *self, uint64_t rounds)
{
    int64_t pause_ms = self->first_ms < self->max_ms ? self->first_ms : self->max_ms;
    for (uint64_t i = 0; i < rounds && pause_ms < self->max_ms; i++) {
        pause_ms = pause_ms > self->max_ms / 2 ? self->max_ms : pause_ms * 2;
    }
    const int64_t least_ms = pause_ms - pause_ms / 2;
    return least_ms + (int64_t)(draw(self) % (uint64_t)(pause_ms / 2 + 1));
}
