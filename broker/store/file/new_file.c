/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/file/new_file.h"

#include <string.h>

static const uint8_t zeros[64 * 1024];

static int make(struct new_file *self, struct fs *fs, struct zsp_err *err)
{
    self->file = layout_open_empty(fs, self->path, err);
    if (self->file < 0) {
        return self->file;
    }
    for (uint64_t pos = 0; pos < self->fill_bytes; pos += sizeof zeros) {
        const uint64_t left = self->fill_bytes - pos;
        const struct zsp_slice piece = {zeros, left < sizeof zeros ? (size_t)left : sizeof zeros};
        const int rc = layout_write_at(fs, self->file, piece, pos, err);
        if (rc < 0) {
            return rc;
        }
    }
    int rc = fs->ops->sync(fs->self, self->file, err);
    if (rc >= 0) {
        rc = fs->ops->sync_dir(fs->self, self->directory, err);
    }
    self->sync_failed = rc < 0;
    return rc;
}

static void run(struct job *job, struct fs *fs)
{
    struct new_file *self = job->owner;
    struct zsp_err err = {0};
    if (make(self, fs, &err) < 0) {
        if (self->file >= 0) {
            (void)fs->ops->close(fs->self, self->file, NULL); /* nothing of worth was written */
        }
        self->file = -1;
        job->error = err;
        (void)zsp_err_wrap(&job->error, "%s", self->path);
        return;
    }
    memset(&job->error, 0, sizeof job->error); /* EEXISTS was no failure */
}

void new_file_init(struct new_file *self, void (*done_fn)(struct log_store *store, struct io *io))
{
    self->file = -1;
    io_task(&self->io, run, done_fn, self);
}
