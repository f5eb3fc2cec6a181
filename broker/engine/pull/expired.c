/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/pull/expired.h"

#include "broker/engine/dead/dead.h"
#include "broker/engine/ledger/levels.h"

int expired_init(struct groups *self)
{
    struct zsp_buf *text = zsp_buf_copy(zsp_slice_str("expired"));
    int rc = text ? reasons_push(&self->reasons, 0, text, &self->expired_reasons) : ZSP_ENOMEM;
    zsp_buf_put(&text);
    return rc;
}

void expired_fini(struct groups *self)
{
    reasons_drop(&self->reasons, self->expired_reasons);
    self->expired_reasons = 0;
}

/* "expired" on top of the reasons that it has; those without any share one set, so that runs of
 * them join. *ret_set is held by the caller. */
static int add_reason(struct groups *self, const struct run *run, uint32_t *ret_set)
{
    if (run->reasons == 0) {
        reasons_hold(&self->reasons, self->expired_reasons);
        *ret_set = self->expired_reasons;
        return 0;
    }
    struct zsp_buf *text = zsp_buf_copy(reasons_text(&self->reasons, self->expired_reasons, 0));
    int rc = text ? reasons_push(&self->reasons, run->reasons, text, ret_set) : ZSP_ENOMEM;
    zsp_buf_put(&text);
    return rc;
}

int expired_count(struct groups *self, struct ledger *ledger, uint64_t count)
{
    self->engine->stats.expired_messages += count;
    return step_count_expired(&self->step, ledger, count);
}

int expired_leave_out(struct groups *self, struct ledger *ledger, const struct run_span *span)
{
    struct engine_stats *stats = &self->engine->stats;
    const uint64_t count = span->end - span->first;
    struct run run = span->run;
    uint32_t set = 0;
    outcome_expired(group_settings_of(ledger->group), &run);
    const bool is_dead = run.state == RUN_DEAD;
    int rc = 0;
    if (is_dead) {
        dead_note(self->engine, ledger, &run);
        rc = add_reason(self, &span->run, &set);
    }
    if (rc == 0) {
        run.reasons = set;
        rc = step_set(&self->step, ledger, span->first, span->end, &run);
    }
    reasons_drop(&self->reasons, set); /* the run holds it */
    stats->dead_messages += is_dead ? count : 0;
    return rc == 0 ? expired_count(self, ledger, count) : rc;
}

struct expired_stats expired_stats(const struct engine *engine)
{
    return (struct expired_stats){engine->stats.expired_messages, engine->stats.dead_messages};
}

void expired_stats_restore(struct engine *engine, const struct expired_stats *stats)
{
    engine->stats.expired_messages = stats->expired;
    engine->stats.dead_messages = stats->dead;
}

/* --- Steps -------------------------------------------------------------------------------------------- */

struct expired_step expired_step_begin(struct engine *engine, struct ledger *ledger)
{
    step_begin(&engine->groups->step);
    return (struct expired_step){.engine = engine,
                                 .ledger = ledger,
                                 .stats = expired_stats(engine),
                                 .apart = ledger_rare_of(ledger)->apart};
}

int expired_step_end(const struct expired_step *self, int rc)
{
    struct groups *const groups = self->engine->groups;
    if (rc < 0) {
        step_undo(&groups->step);
    } else {
        rc = step_put(&groups->step, self->engine, STORE_WRITTEN, NULL, NULL);
    }
    if (rc < 0) {
        expired_stats_restore(self->engine, &self->stats);
        levels_restart(self->ledger);
        if (self->ledger->rare) {
            self->ledger->rare->apart = self->apart;
        }
    }
    return rc;
}
