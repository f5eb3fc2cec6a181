/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/group/outcome.h"

#include "common/assert.h"

static void die(const struct group_settings *settings, struct run *run)
{
    run->state = RUN_DEAD;
    run->redriven = 0;
    run->limit = settings->on_dead == ON_DEAD_HOLD ? 1 : 0; /* see struct run */
}

/* The run is no longer out; `outcome` is what its lease will be remembered for. */
static void leave_lease(struct run *run, enum run_outcome outcome)
{
    zsp_assert(run->state == RUN_LEASED);
    if (outcome != RUN_NO_OUTCOME) {
        run->last_lease = run->lease;
        run->last_outcome = (unsigned)outcome & 7u;
    }
    run->lease = 0;
    run->started = 0;
    run->due_ms = 0;
    run->state = RUN_READY;
}

static void count_failure(const struct group_settings *settings, struct run *run)
{
    if (run->failures < UINT32_MAX) {
        run->failures++;
    }
    if (settings->max_failures != 0 && run->failures >= settings->max_failures) {
        die(settings, run);
    }
}

/* `delay_ms` times the factor for each failure but the first, up to the longest. */
static uint64_t grow(const struct group_settings *settings, uint32_t failures)
{
    const uint64_t longest = settings->backoff_max_ms;
    uint64_t delay_ms = settings->backoff_ms;
    for (uint32_t i = 1;
         i < failures && delay_ms < longest && delay_ms > 0 && settings->backoff_factor > 1; i++) {
        delay_ms *= settings->backoff_factor;
    }
    return delay_ms < longest ? delay_ms : longest;
}

uint64_t outcome_backoff_ms(const struct group_settings *settings, uint32_t failures,
                            uint64_t drawn)
{
    uint64_t delay_ms = 0;
    if (!setting_texts_delay(&settings->texts, failures, &delay_ms)) {
        delay_ms = grow(settings, failures);
    }
    const uint64_t jitter_ms = delay_ms * settings->backoff_jitter / 100;
    return jitter_ms > 0 ? delay_ms + drawn % (jitter_ms + 1) : delay_ms;
}

/* It failed. False = it is dead now. */
static bool fail(const struct group_settings *settings, struct run *run)
{
    leave_lease(run, RUN_RETRIED);
    run->limit = 0; /* the application has judged this one by itself */
    count_failure(settings, run);
    return run->state != RUN_DEAD;
}

static void wait(struct run *run, uint64_t delay_ms, int64_t now_ms)
{
    if (delay_ms > 0) {
        run->state = RUN_WAITING;
        run->due_ms = now_ms + (int64_t)delay_ms;
    }
}

void outcome_retry(const struct group_settings *settings, uint64_t delay_ms, int64_t now_ms,
                   struct run *run)
{
    if (fail(settings, run)) {
        wait(run, delay_ms, now_ms);
    }
}

void outcome_retry_later(const struct group_settings *settings, uint64_t drawn, int64_t now_ms,
                         struct run *run)
{
    if (fail(settings, run)) {
        wait(run, outcome_backoff_ms(settings, run->failures, drawn), now_ms);
    }
}

void outcome_release(struct run *run)
{
    leave_lease(run, RUN_RELEASED);
}

void outcome_reject(const struct group_settings *settings, struct run *run)
{
    leave_lease(run, RUN_REJECTED);
    if (run->failures < UINT32_MAX) {
        run->failures++;
    }
    die(settings, run);
}

void outcome_expired(const struct group_settings *settings, struct run *run)
{
    zsp_assert(run->state != RUN_LEASED);
    if (settings->expired == EXPIRED_DEAD) {
        die(settings, run);
    } else {
        *run = (struct run){.state = RUN_NONE};
    }
}

/* The exponent of the largest power of two that is at most half of `granted`, plus one. */
static uint8_t half_limit(uint32_t granted)
{
    uint8_t limit = 1;
    while (granted >= 4) {
        granted /= 2;
        limit++;
    }
    return limit;
}

bool outcome_lost(const struct group_settings *settings, const struct lost_lease *lease,
                  struct run *run)
{
    const bool blamed =
        lease->any_started ? run->started != 0 : lease->granted == 1 && !lease->uses_started;
    leave_lease(run, RUN_NO_OUTCOME);
    if (blamed) {
        count_failure(settings, run);
        return true;
    }
    if (!lease->any_started && lease->granted > 1) {
        run->limit = half_limit(lease->granted);
    }
    return false;
}

void outcome_undelivered(struct run *run)
{
    leave_lease(run, RUN_NO_OUTCOME);
    if (run->deliveries > 0) {
        run->deliveries--;
    }
}
