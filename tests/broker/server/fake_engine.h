/* SPDX-License-Identifier: MPL-2.0
 *
 * An engine that does what the test tells it, behind the functions of
 * broker/engine/engine.h, so that the server is proven without a log:
 *
 *   ECHO    the bodies come back
 *   PARK    no answer until a WAKE or a drain
 *   PARTS   the same; then two PARTs of FAKE_PART_BYTES each, and OK
 *   WAKE    answers itself and all that is parked, in the order in which it came
 *   BYE     is counted and answered
 *   BULK    {bytes} of body, with lease 77
 *   anything else is unknown_verb
 *
 * The figures are read after the server's thread has ended, or are atomic.
 */
#ifndef ZSP_TESTS_FAKE_ENGINE_H
#define ZSP_TESTS_FAKE_ENGINE_H

#include <stdatomic.h>

#include "broker/engine/engine.h"

#define FAKE_PARKED_MAX 1024u
#define FAKE_PART_BYTES 10u

struct fake_parked {
    uint64_t ticket, id;
    bool has_parts;
};

struct fake_engine {
    struct fake_parked parked[FAKE_PARKED_MAX];
    size_t parked_count;
    struct engine_effect *effects; /* a queue */
    struct engine_part *parts;     /* one for each effect */
    size_t effect_first, effect_count, effect_capacity;
    bool drained;
    bool failed;
    atomic_uint requests;
    atomic_uint abandoned;
    atomic_uint undelivered;
    atomic_uint sessions_gone, sessions_silent;
    atomic_uint byes;
    atomic_ulong last_session;
};

/* The engine of the calls below; engines are one at a time in these tests. */
struct engine *fake_engine_base(struct fake_engine *self);
void fake_engine_fini(struct fake_engine *self);

#endif
