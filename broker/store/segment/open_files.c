/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/segment/open_files.h"

#include <stdlib.h>

#include "broker/store/log_store_priv.h"
#include "common/assert.h"

/* Files closed at a time when others wait: one more would only be opened again. */
#define CLOSING_MAX 16u

/* A task that closes a file nobody needs. */
struct closing {
    struct io io;
    int file;
};

void open_files_init(struct open_files *self, size_t max)
{
    self->max = max == 0 ? OPEN_FILES_STANDARD : max;
    if (self->max < OPEN_FILES_MIN) {
        self->max = OPEN_FILES_MIN;
    }
}

/* Others wait: close what was not used for longest, a few at a time. */
static void make_room(struct log_store *store)
{
    struct open_files *self = &store->files;
    const size_t share = self->max / 8 + 1;
    const size_t most = share < CLOSING_MAX ? share : CLOSING_MAX;
    while (self->first && self->closing < most) {
        segment_close(store, self->first);
    }
}

bool open_files_take(struct log_store *store)
{
    struct open_files *self = &store->files;
    if (self->count < self->max) {
        self->count++;
        self->got_a_place = self->asking;
        return true;
    }
    self->wanted = true;
    make_room(store);
    return false;
}

void open_files_asking(struct log_store *store, enum open_files_user user)
{
    store->files.asking = user;
}

enum open_files_user open_files_whose_turn(const struct log_store *store)
{
    return store->files.got_a_place == FILES_WRITERS ? FILES_READERS : FILES_WRITERS;
}

bool open_files_keep(struct log_store *store)
{
    struct open_files *self = &store->files;
    if (self->count >= self->max) {
        return false;
    }
    self->count++;
    return true;
}

void open_files_give(struct log_store *store)
{
    struct open_files *self = &store->files;
    zsp_assert(self->count > 0);
    self->count--;
    if (self->wanted) { /* partitions that wait are looked at in any case */
        self->wanted = false;
        reads_wake(store);
    }
}

void open_files_fresh(struct log_store *store, struct segment *segment)
{
    zsp_assert(segment->pins > 0 && !segment->in_files);
    segment->files_next = store->files.fresh;
    store->files.fresh = segment;
}

void open_files_settle(struct log_store *store)
{
    while (store->files.fresh) {
        struct segment *const segment = store->files.fresh;
        store->files.fresh = segment->files_next;
        segment->files_next = NULL;
        segment_unpin(store, segment);
    }
}

void open_files_busy(struct log_store *store, struct segment *segment)
{
    struct open_files *self = &store->files;
    if (!segment->in_files) {
        return;
    }
    *(segment->files_prev ? &segment->files_prev->files_next : &self->first) = segment->files_next;
    *(segment->files_next ? &segment->files_next->files_prev : &self->last) = segment->files_prev;
    segment->files_prev = NULL;
    segment->files_next = NULL;
    segment->in_files = false;
    self->idle_count--;
}

void open_files_idle(struct log_store *store, struct segment *segment)
{
    struct open_files *self = &store->files;
    zsp_assert(segment->file >= 0 && segment->pins == 0 && !segment->in_files);
    segment->files_prev = self->last;
    segment->files_next = NULL;
    *(self->last ? &self->last->files_next : &self->first) = segment;
    self->last = segment;
    segment->in_files = true;
    self->idle_count++;
    if (self->wanted) {
        make_room(store);
    }
}

static void close_run(struct job *job, struct fs *fs)
{
    struct closing *self = job->owner;
    /* Only synced or removed files are closed: there is nothing to lose. */
    (void)fs->ops->close(fs->self, self->file, NULL);
}

static void close_done(struct log_store *store, struct io *io)
{
    store->works--;
    store->files.closing--;
    open_files_give(store);
    free(io);
}

void open_files_close(struct log_store *store, struct segment *segment)
{
    zsp_assert(segment->file >= 0 && segment->pins == 0);
    open_files_busy(store, segment);
    struct closing *closing = store->closing ? NULL : calloc(1, sizeof *closing);
    if (!closing) {
        (void)store->fs->ops->close(store->fs->self, segment->file, NULL); /* as close_run() */
        segment->file = -1;
        open_files_give(store);
        return;
    }
    io_task(&closing->io, close_run, close_done, closing);
    closing->file = segment->file;
    segment->file = -1;
    store->works++;
    store->files.closing++;
    store_submit(store, &closing->io);
}
