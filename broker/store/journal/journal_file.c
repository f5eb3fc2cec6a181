/* SPDX-License-Identifier: MPL-2.0
 *
 * The files of the journal: made ahead, switched to, removed. The picture is in
 * journal.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/file/new_file.h"
#include "broker/store/log_store_priv.h"
#include "common/assert.h"

#define MAKE_RETRY_MS 1000 /* after a next file that did not fit */

static void make_done(struct log_store *store, struct io *io)
{
    struct new_file *make = (struct new_file *)io;
    struct journal *self = &store->journal;
    self->making = false;
    store->works--;
    self->next_file = make->file;
    if (io->job.error.code == ZSP_ENO_SPACE && !make->sync_failed) {
        self->make_retry_ms = store->now.mono_ms + MAKE_RETRY_MS;
    } else if (io->job.error.code != 0) {
        store_fail(store, &io->job.error);
    }
    free(make);
}

void journal_make_next(struct log_store *store)
{
    struct journal *self = &store->journal;
    if (self->next_file >= 0 || self->making || store->now.mono_ms < self->make_retry_ms ||
        journal_last_file(self)->bytes < store->options.journal_file_bytes / 2) {
        return;
    }
    struct new_file *make = calloc(1, sizeof *make);
    if (!make) {
        return; /* tried again in the next turn */
    }
    new_file_init(make, make_done);
    layout_journal_path(make->path, journal_last_file(self)->number + 1);
    (void)snprintf(make->directory, sizeof make->directory, "journal");
    make->fill_bytes = store->options.fill_bytes < store->options.journal_file_bytes
                           ? store->options.fill_bytes
                           : store->options.journal_file_bytes;
    self->making = true;
    store->works++;
    store_submit(store, &make->io);
}

/* The task that closes a file, or removes one by its path. */
struct removal {
    struct io io;
    int file;                   /* >= 0: to be closed */
    char path[LAYOUT_PATH_MAX]; /* not "": to be removed */
    bool sync_failed;
};

static void removal_run(struct job *job, struct fs *fs)
{
    struct removal *self = job->owner;
    if (self->file >= 0) {
        (void)fs->ops->close(fs->self, self->file, NULL); /* it is synced */
    }
    if (self->path[0] != '\0' && fs->ops->unlink(fs->self, self->path, &job->error) >= 0) {
        self->sync_failed = fs->ops->sync_dir(fs->self, "journal", &job->error) < 0;
    }
}

static void removal_done(struct log_store *store, struct io *io)
{
    const struct removal *removal = (const struct removal *)io;
    store->works--;
    if (removal->sync_failed) {
        store_fail(store, &io->job.error);
    } else if (io->job.error.code != 0) {
        /* The journal says it is gone: the next start removes it. Until then no other
         * file goes, so that there is never a gap between the files. */
        zsp_diag(store->options.diag, ZSP_WARNING, "%s cannot be removed: %s", removal->path,
                 io->job.error.msg);
    } else if (removal->path[0] != '\0') {
        store->journal.carry.dropping = false;
    }
    free(io);
}

static void removal_start(struct log_store *store, int file, const char *path)
{
    struct removal *removal = calloc(1, sizeof *removal);
    if (!removal) {
        store_fail_memory(store, "closing a file");
        return;
    }
    removal->file = file;
    memcpy(removal->path, path, strlen(path) + 1);
    io_task(&removal->io, removal_run, removal_done, removal);
    store->works++;
    store_submit(store, &removal->io);
}

void journal_remove_oldest(struct log_store *store)
{
    struct journal *self = &store->journal;
    zsp_assert(self->file_count > 1);
    char path[LAYOUT_PATH_MAX];
    layout_journal_path(path, self->files[0].number);
    memmove(self->files, self->files + 1, (self->file_count - 1) * sizeof *self->files);
    self->file_count--;
    removal_start(store, -1, path);
}

/* All of the current file is synced and the next one is there: go on in it. */
void journal_switch_file(struct log_store *store)
{
    struct journal *self = &store->journal;
    if (self->file_count == self->file_capacity) {
        const size_t capacity = self->file_capacity ? self->file_capacity * 2 : 8;
        struct journal_file *files = realloc(self->files, capacity * sizeof *files);
        if (!files) {
            store_fail_memory(store, "a journal file");
            return;
        }
        self->files = files;
        self->file_capacity = capacity;
    }
    const uint64_t number = journal_last_file(self)->number + 1;
    self->files[self->file_count++] = (struct journal_file){number, self->written_record, 0};
    removal_start(store, self->file, "");
    self->file = self->next_file;
    self->filled_bytes = store->options.fill_bytes < store->options.journal_file_bytes
                             ? store->options.fill_bytes
                             : store->options.journal_file_bytes;
    self->next_file = -1;
    self->ending = false;
}
