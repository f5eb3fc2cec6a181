/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/space.h"

#include <stdlib.h>

#include "broker/store/log_store_priv.h"

#define MEASURE_MS 1000 /* between two measures */

/* The task that asks the file system. */
struct measure {
    struct io io;
    uint64_t free_bytes;
};

static void set_free(struct log_store *store, uint64_t free_bytes)
{
    struct space *self = &store->space;
    self->spent -= self->spent_before;
    self->spent_before = 0;
    /* A little more than the least must be free before appends are taken again, so
     * that the answer does not flicker. */
    const uint64_t least = store->options.min_free_bytes;
    store->stats.free_bytes = free_bytes;
    self->low = free_bytes < (self->low ? least + least / 16 : least);
}

int space_start(struct log_store *store, struct zsp_err *err)
{
    uint64_t free_bytes = 0;
    const int rc = store->fs->ops->free_bytes(store->fs->self, &free_bytes, err);
    if (rc < 0) {
        return rc;
    }
    set_free(store, free_bytes);
    store->space.next_ms = store->now.mono_ms + MEASURE_MS;
    space_check(store);
    return 0;
}

/* What is left to append into, by the last measure and the count since. */
static uint64_t room(const struct log_store *store)
{
    const uint64_t taken = store->options.min_free_bytes + store->space.spent;
    return store->stats.free_bytes > taken ? store->stats.free_bytes - taken : 0;
}

int space_take(struct log_store *store, uint64_t bytes, struct zsp_err *err)
{
    struct space *self = &store->space;
    if (!self->refuses && store->options.min_free_bytes > 0) {
        const uint64_t left = room(store);
        self->in_doubt = self->in_doubt || left < self->spent;
        if (left >= bytes && left - bytes >= store->stats.waiting_bytes) {
            return 0;
        }
        self->in_doubt = true;
    } else if (!self->refuses) {
        return 0;
    }
    return zsp_err_set(err, ZSP_ENO_SPACE, "the disk is nearly full: no messages are taken");
}

void space_spend(struct log_store *store, uint64_t bytes)
{
    store->space.spent += bytes;
}

void space_exhausted(struct log_store *store)
{
    store->space.low = true;
    store->space.in_doubt = true;
    space_check(store);
}

void space_check(struct log_store *store)
{
    struct space *self = &store->space;
    const bool refuses = self->low || store->journal.blocked;
    if (refuses == self->refuses || store->failed) {
        return;
    }
    self->refuses = refuses;
    const struct completion completion = {.kind = STORE_SPACE, .refuses = refuses};
    store_complete(store, &completion, NULL);
    zsp_diag(store->options.diag, ZSP_WARNING,
             refuses ? "the disk is nearly full: no messages are taken"
                     : "there is room on the disk again: messages are taken");
}

static void measure_run(struct job *job, struct fs *fs)
{
    struct measure *self = job->owner;
    (void)fs->ops->free_bytes(fs->self, &self->free_bytes, &job->error);
}

static void measure_done(struct log_store *store, struct io *io)
{
    const struct measure *measure = (const struct measure *)io;
    store->works--;
    store->space.measuring = false;
    store->space.next_ms = store->now.mono_ms + MEASURE_MS;
    if (io->job.error.code == 0) { /* else: the last answer stays; writes tell the truth anyway */
        set_free(store, measure->free_bytes);
        space_check(store);
    }
    free(io);
}

void space_step(struct log_store *store)
{
    struct space *self = &store->space;
    const bool idle = self->appended == store->stats.appended_bytes && !self->refuses;
    const bool due = !idle && store->now.mono_ms >= self->next_ms;
    if (self->measuring || store->failed || !(due || self->in_doubt)) {
        return;
    }
    struct measure *measure = calloc(1, sizeof *measure);
    if (!measure) {
        return; /* tried again in the next turn */
    }
    io_task(&measure->io, measure_run, measure_done, measure);
    self->measuring = true;
    self->in_doubt = false;
    self->spent_before = self->spent;
    self->appended = store->stats.appended_bytes;
    store->works++;
    store_submit(store, &measure->io);
}

int64_t space_deadline_ms(const struct log_store *store)
{
    return store->space.low && !store->space.measuring ? store->space.next_ms : INT64_MAX;
}
