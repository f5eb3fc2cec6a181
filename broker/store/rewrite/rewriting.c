/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/rewrite/rewriting.h"

#include "broker/store/log_store_priv.h"
#include "broker/store/partition/partition.h"
#include "broker/store/retain.h"
#include "common/assert.h"

static void set_phase(struct rewriting *self, enum rewriting_phase phase)
{
    const enum rewriting_phase from = self->phase;
    zsp_assert((phase == REWRITING_COPYING && from != REWRITING_COMMITTING) ||
               (phase == REWRITING_COMMITTING && from == REWRITING_COPYING) ||
               (phase == REWRITING_DROPPING && from == REWRITING_COPYING) ||
               (phase == REWRITING_REMOVING && from == REWRITING_COMMITTING));
    self->phase = phase;
}

/* --- Beginning and end ------------------------------------------------------------------------- */

void rewritings_init(struct rewritings *self)
{
    *self = (struct rewritings){0};
    TAILQ_INIT(&self->list);
}

struct rewriting *rewriting_find(const struct rewritings *all, const struct store_part *part)
{
    struct rewriting *self;
    TAILQ_FOREACH (self, &all->list, link) {
        if (self->part == part) {
            return self;
        }
    }
    return NULL;
}

bool rewriting_may_start(const struct rewritings *all, const struct rewriting_kind *kind,
                         const struct store_part *part)
{
    return all->count < kind->at_once_max && !rewriting_find(all, part);
}

void rewriting_start(struct rewritings *all, struct rewriting *self, struct store_part *part,
                     enum rewriting_phase phase)
{
    zsp_assert(rewriting_may_start(all, self->kind, part));
    self->all = all;
    self->part = part;
    self->phase = phase;
    replace_run_init(&self->run, part);
    part->busy++;
    TAILQ_INSERT_TAIL(&all->list, self, link);
    all->count++;
}

void rewriting_finish(struct rewriting *self)
{
    struct store_part *part = self->part;
    struct log_store *store = part->store;
    zsp_assert(!self->job_out);
    replace_release(part);
    compact_run_fini(&self->run, store->fs);
    replace_fini(&self->replacement, store);
    TAILQ_REMOVE(&self->all->list, self, link);
    self->all->count--;
    self->kind->destroy(self);
    part->busy--;
    retain_again(store, part);
    partition_wake(part);
}

void rewriting_next(struct rewriting *self)
{
    replace_release(self->part);
    const int rc = self->kind->next(self);
    if (rc == 0) {
        set_phase(self, REWRITING_COPYING);
        return; /* when its turn comes */
    }
    if (rc == 1) {
        self->kind->done(self);
    }
    rewriting_finish(self);
}

/* --- What is copied ------------------------------------------------------------------------------ */

void rewriting_begin(struct rewriting *self, size_t index)
{
    struct compact_run *run = &self->run;
    compact_run_reset(run, self->part->store->fs);
    run->target = replace_source(self->part, index);
    run->target.generation++; /* no file has this name: only the first source has its number */
}

int rewriting_add(struct rewriting *self, size_t index, const struct compact_source *source)
{
    struct compact_run *run = &self->run;
    if (compact_run_add(run, source) < 0) {
        return ZSP_ENOMEM;
    }
    self->part->segments[index]->compacting = true;
    run->target.last_number = source->last_number;
    run->target.end_offset = source->end_offset;
    run->target.max_timestamp_ms = source->max_timestamp_ms;
    return 0;
}

void rewriting_copy(struct rewriting *self, const struct compact_rules *rules)
{
    struct compact_run *run = &self->run;
    const struct batch_place place = {
        run->uuid, run->topic_id, run->partition, run->target.number, 0, run->target.generation};
    compact_copy_begin(&run->copy, rules, &place, run->target.base_offset,
                       run->target.max_before_ms);
}

/* --- Committing ---------------------------------------------------------------------------------- */

static void committed(struct log_store *store, void *arg, const struct zsp_err *err)
{
    struct rewriting *self = arg;
    store->works--;
    if (err || self->part->state != PART_OPEN) {
        rewriting_finish(self);
        return;
    }
    const uint64_t bytes = replace_swap(&self->replacement, store, &self->run);
    self->kind->swapped(self, bytes);
    set_phase(self, REWRITING_REMOVING);
}

/* Errors: ZSP_ENOMEM */
static int commit(struct log_store *store, struct rewriting *self)
{
    const int rc = replace_begin(&self->replacement, self->part, &self->run);
    if (rc < 0) {
        return rc;
    }
    self->kind->describe(self, self->replacement.target);
    set_phase(self, REWRITING_COMMITTING);
    store->works++;
    const int put = replace_put(&self->replacement, store, &self->run, committed, self);
    store->works -= put < 0 ? 1 : 0;
    return put;
}

static void copied(struct log_store *store, struct rewriting *self)
{
    if (!self->kind->is_better(self)) {
        set_phase(self, REWRITING_DROPPING);
    } else if (commit(store, self) < 0) {
        rewriting_finish(self); /* the next start removes the copy, or the next try overwrites it */
    }
}

/* --- Jobs ---------------------------------------------------------------------------------------- */

static void task(struct job *job, struct fs *fs)
{
    struct rewriting *self = job->owner;
    struct compact_run *run = &self->run;
    switch (self->phase) {
    case REWRITING_MAPPING:
        (void)compact_run_map(run, fs, &job->error);
        break;
    case REWRITING_COPYING:
        (void)compact_run_copy(run, fs, &job->error);
        break;
    case REWRITING_REMOVING:
        replace_remove(&self->replacement, run, fs, &job->error);
        break;
    case REWRITING_DROPPING:
        compact_run_drop_target(run, fs);
        run->sync_failed = fs->ops->sync_dir(fs->self, run->directory, &job->error) < 0;
        break;
    case REWRITING_COMMITTING:
        break; /* no job is made */
    }
}

static void went_on(struct log_store *store, struct rewriting *self)
{
    switch (self->phase) {
    case REWRITING_MAPPING:
        if (self->run.at_end) {
            rewriting_next(self);
        }
        break;
    case REWRITING_COPYING:
        if (self->run.at_end) {
            copied(store, self);
        } else if (self->run.wants_more) {
            self->kind->extend(self);
        }
        break;
    case REWRITING_REMOVING:
    case REWRITING_DROPPING:
        rewriting_next(self);
        break;
    case REWRITING_COMMITTING:
        break;
    }
}

static void job_done(struct log_store *store, struct io *io)
{
    struct rewriting *self = (struct rewriting *)io;
    struct rewritings *all = self->all;
    const int64_t pause_ms = (int64_t)(self->run.worked * 1000 / self->kind->rate) + 1;
    const bool removes = self->phase == REWRITING_REMOVING || self->phase == REWRITING_DROPPING;
    self->job_out = false;
    all->job_out = false;
    all->due_ms = store->now.mono_ms + pause_ms;
    if (self->run.sync_failed) {
        struct zsp_err err = io->job.error;
        (void)zsp_err_wrap(&err, "%s: sync", self->kind->name);
        store_fail(store, &err);
    }
    if (store->failed || self->part->state != PART_OPEN) {
        rewriting_finish(self);
    } else if (io->job.error.code != 0 && !removes) {
        self->kind->failed(self, &io->job.error);
        rewriting_finish(self);
    } else {
        went_on(store, self);
    }
}

static void submit(struct log_store *store, struct rewriting *self)
{
    io_task(&self->io, task, job_done, self);
    self->job_out = true;
    self->all->job_out = true;
    store_submit(store, &self->io);
}

/* The first that has something to do; NULL = none. */
static struct rewriting *whose_turn(const struct rewritings *all)
{
    struct rewriting *self;
    TAILQ_FOREACH (self, &all->list, link) {
        if (self->phase != REWRITING_COMMITTING) {
            return self;
        }
    }
    return NULL;
}

void rewritings_step(struct log_store *store, struct rewritings *all)
{
    struct rewriting *next = NULL;
    for (struct rewriting *self = TAILQ_FIRST(&all->list); self; self = next) {
        next = TAILQ_NEXT(self, link);
        if (self->part->state != PART_OPEN && !self->job_out &&
            self->phase != REWRITING_COMMITTING) {
            rewriting_finish(self);
        }
    }
    struct rewriting *const self = whose_turn(all);
    if (self && !all->job_out && store->now.mono_ms >= all->due_ms) {
        TAILQ_REMOVE(&all->list, self, link); /* its next turn comes behind that of all others */
        TAILQ_INSERT_TAIL(&all->list, self, link);
        submit(store, self);
    }
}

int64_t rewritings_deadline_ms(const struct rewritings *all)
{
    return whose_turn(all) && !all->job_out ? all->due_ms : INT64_MAX;
}

void rewritings_fini(struct rewritings *all)
{
    while (!TAILQ_EMPTY(&all->list)) {
        rewriting_finish(TAILQ_FIRST(&all->list));
    }
}
