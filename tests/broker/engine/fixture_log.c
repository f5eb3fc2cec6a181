/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/broker/engine/fixture_log.h"

#include "broker/store/log_store.h"
#include "tests/common/testing.h"
#include "tests/support/test_dir.h"

struct fixture_log {
    struct test_dir dir;
    struct fs *fs;
    struct log_store *store;
    uint64_t random_state;
};

static uint64_t next_random(void *arg)
{
    struct fixture_log *const self = arg;
    return self->random_state = self->random_state * 6364136223846793005u + 1u;
}

static void open_store(struct fixture_log *self)
{
    struct zsp_err error = {0};
    const struct log_store_options options = {
        .fs = self->fs,
        .random_fn = next_random,
        .random_arg = self,
        .segment_bytes = 64 * 1024,
        .create = true,
    };
    self->store = log_store_open(&options, &error);
    if (!self->store) {
        fail_msg("log_store_open: %s", error.msg);
    }
}

struct fixture_log *fixture_log_new(void)
{
    struct fixture_log *const self = calloc(1, sizeof *self);
    assert_non_null(self);
    self->random_state = 42;
    test_dir_init(&self->dir);
    self->fs = fs_posix_new(self->dir.path, NULL);
    assert_non_null(self->fs);
    open_store(self);
    return self;
}

struct store *fixture_log_base(struct fixture_log *self)
{
    return log_store_base(self->store);
}

const char *fixture_log_path(const struct fixture_log *self)
{
    return self->dir.path;
}

bool fixture_log_run_jobs(struct fixture_log *self)
{
    struct job *job = NULL;
    bool any = false;
    while ((job = log_store_next_job(self->store))) {
        job_run(job, self->fs);
        log_store_job_done(self->store, job);
        any = true;
    }
    return any;
}

static void close_store(struct fixture_log *self)
{
    struct store *const base = log_store_base(self->store);
    base->ops->destroy(base);
}

struct store *fixture_log_reopen(struct fixture_log *self)
{
    close_store(self);
    open_store(self);
    return log_store_base(self->store);
}

void fixture_log_destroy(struct fixture_log *self)
{
    close_store(self);
    fs_posix_destroy(&self->fs);
    test_dir_fini(&self->dir);
    free(self);
}
