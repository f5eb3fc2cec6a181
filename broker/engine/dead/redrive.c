/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/dead/redrive.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/container.h"
#include "common/diag.h"

#define TICK_MS          100   /* between two steps, unless the rate is lower */
#define AGAIN_REFUSED_MS 1000  /* the journal had no room */
#define STEP_RUNS_MAX    2000u /* as in dead_verbs.c */
#define STEP_LOOKS_MAX   16384u
#define BEHIND_MAX_MS    1000 /* what was held up is not made up for beyond this */

struct redrive {
    LIST_ENTRY(redrive) link;
    struct groups *groups;
    uint64_t group_id;
    struct timer timer;
    enum dead_fate fate;
    uint64_t rate;      /* messages a second */
    int64_t counted_ms; /* broker time up to which `owed` is counted */
    uint64_t owed;      /* thousandths of messages that may be redriven now */
    uint64_t messages;
    int64_t end_ms;            /* times of death in full seconds: the first that is too late */
    struct dead_filter filter; /* its texts are in `texts` */
    struct dead_place place;   /* the next one looked at; with has_place */
    bool has_place;
    uint8_t texts[ZSP_NAME_MAX + ZSP_REASON_MAX];
};

struct redrive *redrive_find(const struct groups *self, const struct group *group)
{
    return zsp_table_find(&self->redrive_groups, group_id_key(&group->id));
}

int64_t redrive_end_ms(const struct groups *self, const struct group *group)
{
    const struct redrive *const redrive = redrive_find(self, group);
    return redrive ? redrive->end_ms : 0;
}

uint64_t redrive_rate(const struct redrive *self)
{
    return self->rate;
}

uint64_t redrive_messages(const struct redrive *self)
{
    return self->messages;
}

void redrive_stop(struct groups *groups, struct redrive *self)
{
    engine_cancel(groups->engine, TIMER_WAIT, &self->timer);
    LIST_REMOVE(self, link);
    (void)zsp_table_remove(&groups->redrive_groups, group_id_key(&self->group_id));
    free(self);
}

void redrive_fini(struct groups *self)
{
    while (!LIST_EMPTY(&self->redrives)) {
        redrive_stop(self, LIST_FIRST(&self->redrives));
    }
}

static int64_t tick_ms(const struct redrive *self)
{
    const int64_t gap_ms = (int64_t)(1000 / self->rate);
    return gap_ms > TICK_MS ? gap_ms : TICK_MS;
}

/* How many messages the rate allows now. */
static uint64_t count_owed(struct redrive *self, int64_t now_ms)
{
    const int64_t passed_ms = now_ms - self->counted_ms;
    const uint64_t owed_max = BEHIND_MAX_MS * self->rate;
    self->owed += (uint64_t)(passed_ms < BEHIND_MAX_MS ? passed_ms : BEHIND_MAX_MS) * self->rate;
    self->owed = self->owed < owed_max ? self->owed : owed_max;
    self->counted_ms = now_ms;
    return self->owed / 1000;
}

/* Put what is owed into the open step; the walk stands behind it. */
static int change_owed(const struct redrive *self, struct dead_walk *walk, uint64_t owed,
                       uint64_t *ret_messages)
{
    struct ledger *ledger = NULL;
    struct run_span span;
    uint64_t messages = 0;
    int rc = 0;
    for (uint32_t runs = 0;
         rc == 0 && runs < STEP_RUNS_MAX && messages < owed && dead_walk_next(walk, &ledger, &span);
         runs++) {
        if (span.end - span.first > owed - messages) {
            span.end = span.first + owed - messages;
            dead_walk_cut(walk, ledger, span.end);
        }
        messages += span.end - span.first;
        rc = dead_change(self->groups, ledger, &span, self->fate);
    }
    *ret_messages = messages;
    return rc;
}

/* One step. False = it is over. */
static bool go_on(struct redrive *self, const struct group *group, int64_t *ret_wait_ms)
{
    struct groups *const groups = self->groups;
    struct engine *const engine = groups->engine;
    const uint64_t owed = count_owed(self, engine->clock.broker_ms);
    uint64_t messages = 0;
    struct zsp_err error = {0};
    struct dead_walk walk;
    dead_walk_begin(&walk, group, &self->filter, self->has_place ? &self->place : NULL);
    walk.looks = STEP_LOOKS_MAX;
    step_begin(&groups->step);
    int rc = change_owed(self, &walk, owed, &messages);
    if (rc < 0) {
        step_undo(&groups->step);
    } else {
        rc = step_put(&groups->step, engine, STORE_WRITTEN, NULL, &error);
    }
    if (rc < 0) {
        *ret_wait_ms = AGAIN_REFUSED_MS;
        return true;
    }
    self->messages += messages;
    self->owed -= messages * 1000;
    if (!walk.is_over) {
        dead_walk_place(&walk, &self->place);
        self->has_place = true;
    }
    *ret_wait_ms = tick_ms(self);
    return !walk.is_over;
}

static void fired(struct engine *engine, struct timer *timer)
{
    struct redrive *const self = CONTAINER_OF(timer, struct redrive, timer);
    const struct group *const group = group_by_id(self->groups, self->group_id);
    int64_t wait_ms = 0;
    if (group && go_on(self, group, &wait_ms)) {
        engine_arm(engine, TIMER_WAIT, timer, engine->clock.broker_ms + wait_ms);
        return;
    }
    if (group) {
        zsp_diag(engine->diag, ZSP_INFO, "%s: redrive is over: %llu messages", group->object,
                 (unsigned long long)self->messages);
    }
    redrive_stop(self->groups, self);
}

static struct zsp_slice keep(uint8_t *to, struct zsp_slice text)
{
    if (!text.data) {
        return text;
    }
    if (text.len > 0) {
        memcpy(to, text.data, text.len);
    }
    return (struct zsp_slice){to, text.len};
}

/* Later than all that are dead now, also when the clock was set back since. */
static int64_t end_of_dead(const struct groups *self)
{
    const int64_t now_ms = self->engine->now.wall_ms;
    const int64_t died_max_ms = self->slab.died_max_ms;
    return (now_ms > died_max_ms ? now_ms - now_ms % 1000 : died_max_ms) + 1000;
}

int redrive_begin(struct groups *self, const struct group *group, const struct dead_filter *filter,
                  const struct dead_place *from, enum dead_fate fate, uint64_t rate,
                  struct zsp_err *err)
{
    struct engine *const engine = self->engine;
    if (redrive_find(self, group)) {
        (void)zsp_err_set(err, ZSP_EEXISTS, "%s: a redrive is under way", group->object);
        zsp_err_detail(err, group->object, NULL, NULL);
        return ZSP_EEXISTS;
    }
    struct redrive *const made = calloc(1, sizeof *made);
    if (made) {
        made->group_id = group->id;
    }
    if (!made || zsp_table_add(&self->redrive_groups, group_id_key(&made->group_id), made) < 0) {
        free(made);
        return zsp_err_set(err, ZSP_ENOMEM, "redrive: out of memory");
    }
    LIST_INSERT_HEAD(&self->redrives, made, link);
    made->groups = self;
    made->fate = fate;
    made->rate = rate;
    made->counted_ms = engine->clock.broker_ms;
    made->filter = *filter;
    made->filter.topic = keep(made->texts, filter->topic);
    made->filter.reason = keep(made->texts + ZSP_NAME_MAX, filter->reason);
    made->end_ms = end_of_dead(self);
    if (made->filter.died_end_ms == 0 || made->filter.died_end_ms > made->end_ms) {
        made->filter.died_end_ms = made->end_ms; /* those that die from now on are new */
    }
    made->has_place = from != NULL;
    if (from) {
        made->place = *from;
    }
    made->timer.fire_fn = fired;
    engine_arm(engine, TIMER_WAIT, &made->timer, engine->clock.broker_ms + tick_ms(made));
    return 0;
}
