/* SPDX-License-Identifier: MPL-2.0 */
#include "client/src/base/terms.h"

#include "client/src/base/host_clock.h"
#include "client/src/base/range_check.h"
#include "common/limits.h"
#include "common/wire.h"

#define ROUNDING 256 /* of a time from now */

static int check_time(const char *what, int64_t at_ms, int64_t from_now_ms, struct zsp_err *err)
{
    int rc = zsp_range_check(ZSP_EBAD_VALUE, what, at_ms, 0, ZSPOOL_TIME_MAX_MS, err);
    if (rc == 0) {
        rc = zsp_range_check(ZSP_EBAD_VALUE, what, from_now_ms, 0, ZSPOOL_TIME_MAX_MS, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (at_ms != 0 && from_now_ms != 0) {
        return zsp_err_set_about(err, ZSP_EBAD_VALUE, what,
                                 "%s is given twice, as a time and from now on", what);
    }
    return 0;
}

/* Would nobody ever get it? */
static bool expires_first(const zspool_out_t *message)
{
    if (message->expires_at_ms != 0 && message->delay_ms != 0) {
        return zsp_wall_ms() + message->delay_ms >= message->expires_at_ms;
    }
    if (message->ttl_ms != 0 && message->not_before_ms != 0) {
        return message->not_before_ms >= zsp_wall_ms() + message->ttl_ms;
    }
    return (message->expires_at_ms != 0 || message->ttl_ms != 0) &&
           message->delay_ms >= message->ttl_ms && message->not_before_ms >= message->expires_at_ms;
}

int zsp_terms_check(const zspool_out_t *message, struct zsp_err *err)
{
    if (message->priority > ZSP_PRIORITY_MAX) {
        return zsp_range_check(ZSP_EBAD_VALUE, "priority", message->priority, 0, ZSP_PRIORITY_MAX,
                               err);
    }
    if (message->priority != 0 && !message->has_priority) {
        return zsp_err_set_about(err, ZSP_EBAD_VALUE, "priority",
                                 "a priority is given without has_priority");
    }
    int rc = check_time("the delay", message->not_before_ms, message->delay_ms, err);
    if (rc == 0) {
        rc = check_time("the time to live", message->expires_at_ms, message->ttl_ms, err);
    }
    if (rc == 0 && expires_first(message)) {
        rc = zsp_err_set_about(err, ZSP_EBAD_VALUE, "expires_at_ms",
                               "the message expires before its delay is over");
    }
    return rc;
}

/* So long from now, by this host's clock. */
static int64_t time_from_now(int64_t ms)
{
    int64_t step_ms = 1;
    while (step_ms * 2 <= ms / ROUNDING) {
        step_ms *= 2;
    }
    return (zsp_wall_ms() + ms + step_ms - 1) / step_ms * step_ms;
}

struct zsp_terms zsp_terms_of(const zspool_out_t *message)
{
    struct zsp_terms ret = {
        .not_before_ms = message->not_before_ms,
        .expires_at_ms = message->expires_at_ms,
        .priority = message->has_priority ? message->priority : (uint8_t)ZSP_PRIORITY,
    };
    if (message->delay_ms != 0) {
        ret.not_before_ms = time_from_now(message->delay_ms);
        ret.delayed_here = true;
    }
    if (message->ttl_ms != 0) {
        ret.expires_at_ms = time_from_now(message->ttl_ms);
        ret.expires_here = true;
    }
    return ret;
}

uint32_t zsp_terms_args(const struct zsp_terms *self)
{
    return (self->priority != ZSP_PRIORITY ? 1u : 0u) + (self->not_before_ms != 0 ? 1u : 0u) +
           (self->expires_at_ms != 0 ? 1u : 0u);
}

static uint64_t told_ms(int64_t ms, bool is_ours, int64_t clock_ahead_ms)
{
    const int64_t told = is_ours ? ms + clock_ahead_ms : ms;
    return told > 0 ? (uint64_t)told : 1;
}

void zsp_terms_write(struct zsp_writer *out, const struct zsp_terms *self, int64_t clock_ahead_ms)
{
    if (self->priority != ZSP_PRIORITY) {
        wire_write_text_uint(out, "priority", self->priority);
    }
    uint64_t before_ms = 0;
    if (self->not_before_ms != 0) {
        before_ms = told_ms(self->not_before_ms, self->delayed_here, clock_ahead_ms);
        wire_write_text_uint(out, "not_before_ms", before_ms);
    }
    if (self->expires_at_ms != 0) {
        const uint64_t end_ms = told_ms(self->expires_at_ms, self->expires_here, clock_ahead_ms);
        /* What was rounded may have become the same, which the broker refuses. */
        wire_write_text_uint(out, "expires_at_ms", end_ms > before_ms ? end_ms : before_ms + 1);
    }
}
