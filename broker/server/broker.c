/* SPDX-License-Identifier: MPL-2.0
 *
 * Made bottom up, destroyed top down:
 *
 *     context - fs - executor - log store - engine - driver (runner) - server
 */
#include "broker/server/broker.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <zmq.h>

#include "broker/server/now.h"
#include "broker/server/runner.h"
#include "broker/store/file/executor.h"
#include "broker/store/log_store.h"

#define OPEN_FILES_DEFAULT_MAX 1024u

struct broker {
    struct broker_options options;
    void *own_context; /* NULL = options.context is the host's */
    struct fs *own_fs; /* NULL = options.fs is the host's */
    struct fs *fs;
    struct executor *executor;
    struct log_store *log_store;
    struct engine *engine;
    struct runner runner;
    struct driver driver;
    struct server *server;
};

static int open_context(struct broker *self, struct zsp_err *err)
{
    if (self->options.context) {
        return ZSP_OK;
    }
    self->own_context = zmq_ctx_new();
    if (!self->own_context || zmq_ctx_set(self->own_context, ZMQ_IO_THREADS,
                                          (int)self->options.config->io_threads) != 0) {
        return zsp_err_set(err, ZSP_EIO, "make a ZeroMQ context: %s", zmq_strerror(errno));
    }
    self->options.context = self->own_context;
    return ZSP_OK;
}

static void close_context(struct broker *self)
{
    if (self->own_context) {
        while (zmq_ctx_term(self->own_context) != 0 && errno == EINTR) {
        }
    }
}

static int open_directory(struct broker *self, struct zsp_err *err)
{
    const struct config *const config = self->options.config;
    if (self->options.fs) {
        self->fs = self->options.fs;
        return ZSP_OK;
    }
    if (config->create && mkdir(config->directory, S_IRWXU) != 0 && errno != EEXIST) {
        return zsp_err_set_errno(err, ZSP_EIO, errno, "make data directory %s", config->directory);
    }
    self->own_fs = fs_posix_new(config->directory, err);
    self->fs = self->own_fs;
    return self->fs ? ZSP_OK : ZSP_EIO;
}

static int start_executor(struct broker *self, struct zsp_err *err)
{
    self->executor = executor_new(self->fs, (unsigned)self->options.config->data_threads, err);
    return self->executor ? ZSP_OK : ZSP_EIO;
}

/* How many log files may be open at once: most of what the process may have is for sockets. */
static uint32_t open_files(const struct config *config)
{
    struct rlimit limit;
    if (config->open_files > 0 || getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return (uint32_t)config->open_files;
    }
    const rlim_t share = limit.rlim_cur / 4;
    return share < OPEN_FILES_DEFAULT_MAX ? (uint32_t)share : OPEN_FILES_DEFAULT_MAX;
}

static int open_store(struct broker *self, struct zsp_err *err)
{
    const struct config *const config = self->options.config;
    const struct log_store_options options = {
        .fs = self->fs,
        .diag = self->options.diag,
        .random_fn = now_random,
        .segment_bytes = config->segment_bytes,
        .journal_file_bytes = config->journal_file_bytes,
        .journal_bytes_min = config->journal_bytes,
        .unsynced_bytes_max = config->unsynced_bytes,
        .tail_bytes = config->tail_bytes,
        .min_free_bytes = config->min_free_bytes,
        .fill_bytes = (uint32_t)config->fill_bytes,
        .open_files_max = open_files(config),
        .create = config->create,
    };
    self->log_store = log_store_open(&options, err);
    return self->log_store ? ZSP_OK : ZSP_EIO;
}

static enum engine_room reply_room(void *arg, uint64_t ticket, uint32_t bytes)
{
    const struct broker *const self = arg;
    return server_reply_room(self->server, ticket, bytes);
}

static size_t figures(void *arg, struct engine_figure *ret, size_t max)
{
    const struct broker *const self = arg;
    return server_figures(self->server, ret, max);
}

static int start_engine(struct broker *self, struct zsp_err *err)
{
    const struct config *const config = self->options.config;
    const struct engine_options options = {
        .store = log_store_base(self->log_store),
        .diag = self->options.diag,
        .random_fn = now_random,
        .auto_create_topics = config->auto_create_topics,
        .auto_create_groups = config->auto_create_groups,
        .default_partitions = (uint32_t)config->partitions,
        .topics_max = (uint32_t)config->topics_max,
        .partitions_max = (uint32_t)config->partitions_max,
        .groups_max = (uint32_t)config->groups_max,
        .room_fn = reply_room,
        .room_arg = self,
        .figures_fn = figures,
        .figures_arg = self,
    };
    self->engine = engine_new(&options, err);
    if (!self->engine) {
        return ZSP_ENOMEM;
    }
    return engine_start(self->engine, now_instant(), err);
}

static bool socket_ready(void *arg)
{
    const struct broker *const self = arg;
    return server_ready(self->server);
}

static int start_server(struct broker *self, struct zsp_err *err)
{
    runner_init(&self->runner, self->fs, self->executor);
    driver_init(&self->driver, self->engine, self->log_store, runner_host(&self->runner));
    const struct server_options options = {
        .context = self->options.context,
        .config = self->options.config,
        .diag = self->options.diag,
        .engine = self->engine,
        .driver = &self->driver,
        .jobs_fd = executor_fd(self->executor),
        .host_fd = self->options.host_fd,
        .host_fn = self->options.host_fn,
        .host_arg = self->options.host_arg,
        .trim_fn = self->options.trim_fn,
    };
    self->server = server_new(&options, err);
    if (!self->server) {
        return ZSP_EIO;
    }
    self->runner.ready_fn = socket_ready;
    self->runner.ready_arg = self;
    return ZSP_OK;
}

static int open_data(struct broker *self, struct zsp_err *err)
{
    int rc = open_directory(self, err); /* which names it in its errors */
    if (rc < 0) {
        return rc;
    }
    rc = start_executor(self, err);
    if (rc == ZSP_OK) {
        rc = open_store(self, err);
    }
    if (rc == ZSP_OK) {
        rc = start_engine(self, err);
    }
    if (rc < 0) {
        (void)zsp_err_wrap(err, "data directory %s", self->options.config->directory);
    }
    return rc;
}

struct broker *broker_open(const struct broker_options *options, struct zsp_err *err)
{
    struct broker *self = calloc(1, sizeof *self);
    if (!self) {
        (void)zsp_err_set(err, ZSP_ENOMEM, "make the broker: out of memory");
        return NULL;
    }
    self->options = *options;
    int rc = open_context(self, err);
    if (rc == ZSP_OK) {
        rc = open_data(self, err);
    }
    if (rc == ZSP_OK) {
        rc = start_server(self, err);
    }
    if (rc < 0) {
        broker_destroy(&self);
    }
    return self;
}

struct server *broker_server(struct broker *self)
{
    return self->server;
}

int broker_run(struct broker *self, struct zsp_err *err)
{
    return server_run(self->server, err);
}

void broker_destroy(struct broker **self_p)
{
    struct broker *const self = *self_p;
    if (!self) {
        return;
    }
    server_destroy(&self->server);
    if (self->executor) {
        executor_stop(self->executor);
        driver_stop(&self->driver);
    }
    engine_destroy(&self->engine);
    if (self->log_store) {
        struct store *const store = log_store_base(self->log_store);
        store->ops->destroy(store);
    }
    executor_destroy(&self->executor);
    fs_posix_destroy(&self->own_fs);
    close_context(self);
    free(self);
    *self_p = NULL;
}
