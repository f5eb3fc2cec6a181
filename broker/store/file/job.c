/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/file/job.h"

#include <inttypes.h>
#include <string.h>

#include "common/assert.h"

/* Drop `count` bytes from the front of the vector. */
static void iov_advance(struct iovec **iov, int *iov_count, size_t count)
{
    while (*iov_count > 0 && count >= (*iov)->iov_len) {
        count -= (*iov)->iov_len;
        (*iov)++;
        (*iov_count)--;
    }
    if (count > 0) {
        zsp_assert(*iov_count > 0);
        (*iov)->iov_base = (uint8_t *)(*iov)->iov_base + count;
        (*iov)->iov_len -= count;
    }
}

static int run_write(struct job *self, struct fs *fs)
{
    struct iovec *iov = self->iov;
    int iov_count = self->iov_count;
    while (self->done < self->len) {
        size_t written = 0;
        const int rc = fs->ops->write(fs->self, self->file, iov, iov_count, self->pos + self->done,
                                      &written, &self->error);
        zsp_assert(written <= self->len - self->done);
        self->done += written;
        if (rc < 0) {
            return rc;
        }
        if (written == 0) {
            return zsp_err_set(&self->error, ZSP_EIO,
                               "write %zu bytes at pos %" PRIu64 ": nothing was written",
                               self->len - self->done, self->pos + self->done);
        }
        iov_advance(&iov, &iov_count, written);
    }
    return 0;
}

static int run_sync(struct job *self, struct fs *fs)
{
    for (size_t i = 0; i < self->file_count; i++) {
        const int rc = fs->ops->sync(fs->self, self->files[i], &self->error);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

typedef int read_fn(void *self, int file, void *data, size_t len, uint64_t pos, size_t *ret_len,
                    struct zsp_err *err);

/* Read until all of the range is there or the file ends. */
static int read_range(struct job *self, struct fs *fs, read_fn *read, const struct job_range *range)
{
    size_t done = 0;
    while (done < range->len) {
        size_t got = 0;
        const int rc = read(fs->self, range->file, range->data + done, range->len - done,
                            range->pos + done, &got, &self->error);
        if (rc < 0) {
            return rc;
        }
        if (got == 0) {
            return 0;
        }
        zsp_assert(got <= range->len - done);
        done += got;
        self->done += got;
    }
    return 0;
}

static int run_read(struct job *self, struct fs *fs, read_fn *read)
{
    const struct job_range range = {self->file, self->pos, self->len, self->data};
    return read_range(self, fs, read, &range);
}

static int run_gather(struct job *self, struct fs *fs, read_fn *read)
{
    for (size_t i = 0; i < self->range_count; i++) {
        const int rc = read_range(self, fs, read, &self->ranges[i]);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

void job_run(struct job *self, struct fs *fs)
{
    memset(&self->error, 0, sizeof self->error);
    self->done = 0;
    int rc = 0;
    switch (self->kind) {
    case JOB_WRITE:
        rc = run_write(self, fs);
        break;
    case JOB_SYNC:
        rc = run_sync(self, fs);
        break;
    case JOB_READ:
        rc = run_read(self, fs, fs->ops->read);
        break;
    case JOB_GATHER:
        rc = run_gather(self, fs, fs->ops->read);
        break;
    case JOB_TASK:
        self->task_fn(self, fs);
        rc = self->error.code;
        break;
    }
    zsp_assert(rc == self->error.code);
}

bool job_try(struct job *self, struct fs *fs)
{
    if (self->kind != JOB_READ && self->kind != JOB_GATHER) {
        return false;
    }
    memset(&self->error, 0, sizeof self->error);
    self->done = 0;
    const int rc = self->kind == JOB_READ ? run_read(self, fs, fs->ops->read_now)
                                          : run_gather(self, fs, fs->ops->read_now);
    if (rc != ZSP_EAGAIN) {
        return true;
    }
    memset(&self->error, 0, sizeof self->error);
    self->done = 0;
    return false;
}
