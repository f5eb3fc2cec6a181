/* SPDX-License-Identifier: MPL-2.0
 *
 * zspoold: command line, signals, diagnostics on stderr, exit codes. Signals
 * are blocked everywhere and read from a descriptor by the server's loop, so
 * that no code of ours runs in a signal handler.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "broker/notify.h"
#include "broker/options.h"
#include "broker/server/broker.h"
#include "common/heap.h"

extern char **environ;

enum exit_code {
    EXIT_DONE = 0,
    EXIT_ERROR = 1,
    EXIT_USAGE = 2,   /* command line or configuration */
    EXIT_STORAGE = 3, /* fail-stop: start again to recover */
    EXIT_DAMAGED = 4, /* the data cannot be used as it is */
    EXIT_LOCKED = 5   /* another broker uses the data directory */
};

static enum exit_code exit_code_of(int code)
{
    switch (code) {
    case ZSP_OK:
        return EXIT_DONE;
    case ZSP_EBAD_CONFIG:
        return EXIT_USAGE;
    case ZSP_ESTORAGE_FAILED:
        return EXIT_STORAGE;
    case ZSP_ECORRUPT:
    case ZSP_EFORMAT:
        return EXIT_DAMAGED;
    case ZSP_ELOCKED:
        return EXIT_LOCKED;
    default:
        return EXIT_ERROR;
    }
}

/* --- Diagnostics ------------------------------------------------------------------------- */

/* One write a line, so that lines of several threads do not mix. */
static void print_line(void *arg, enum zsp_level level, const char *line)
{
    (void)arg;
    (void)fprintf(stderr, "zspoold: %s: %s\n", zsp_level_name(level), line);
}

/* --- Signals ----------------------------------------------------------------------------- */

struct signals {
    int fd;
    const struct zsp_diag *diag;
    bool stopping; /* one of them asked for it */
};

/* Block what we handle in this thread and all that it starts. */
static int signals_open(struct signals *self)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || sigprocmask(SIG_BLOCK, &set, NULL) != 0) {
        return -errno;
    }
    self->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return self->fd < 0 ? -errno : 0;
}

static void take_signals(void *arg, struct server *server)
{
    struct signals *const self = arg;
    struct signalfd_siginfo info;
    while (read(self->fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP) {
            zsp_diag(self->diag, ZSP_INFO, "SIGHUP: nothing is reloaded, restart instead");
            continue;
        }
        zsp_diag(self->diag, ZSP_INFO, "%s: stopping",
                 info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT");
        notify_stopping();
        server_drain(server, self->stopping ? 0 : SERVER_DRAIN_MS);
        self->stopping = true;
    }
}

/* --- The process --------------------------------------------------------------------------- */

/* Who tunes programs made with czmq by ZSYS_* shall know that this is none of them. */
static void tell_czmq_environment(const struct zsp_diag *diag)
{
    for (char **entry = environ; *entry; entry++) {
        if (strncmp(*entry, "ZSYS_", 5) == 0) {
            zsp_diag(diag, ZSP_WARNING, "environment %.*s has no effect on zspoold",
                     (int)strcspn(*entry, "="), *entry);
        }
    }
}

static void raise_file_limit(const struct zsp_diag *diag)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) {
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        zsp_diag(diag, ZSP_WARNING, "open files: the limit cannot be raised: %s", strerror(errno));
    }
}

static void tell_ready(struct server *server)
{
    for (size_t i = 0; i < server_endpoint_count(server); i++) {
        (void)fprintf(stderr, "zspoold: ready on %s\n", server_endpoint(server, i));
    }
    notify_ready();
}

static int serve(const struct config *config, struct zsp_err *err)
{
    const struct zsp_diag diag = {.sink_fn = print_line, .least = config->level};
    struct signals signals = {.fd = -1, .diag = &diag};
    tell_czmq_environment(&diag);
    raise_file_limit(&diag);
    const int failure = signals_open(&signals);
    if (failure < 0) {
        return zsp_err_set_errno(err, ZSP_EIO, -failure, "prepare signals");
    }
    const struct broker_options options = {
        .config = config,
        .diag = &diag,
        .host_fd = signals.fd,
        .host_fn = take_signals,
        .host_arg = &signals,
        .trim_fn = zsp_heap_trim,
    };
    struct broker *broker = broker_open(&options, err);
    int rc = broker ? ZSP_OK : err->code;
    if (broker) {
        zsp_heap_trim(); /* what only the recovery needed */
        tell_ready(broker_server(broker));
        rc = broker_run(broker, err);
        broker_destroy(&broker);
    }
    (void)close(signals.fd); /* nothing is written to it */
    return rc;
}

static int print_config(const struct config *config, struct zsp_err *err)
{
    struct zsp_writer text = {0};
    config_print(config, &text);
    int rc = ZSP_OK;
    if (text.failed || fwrite(text.data, 1, text.len, stdout) != text.len || fflush(stdout) != 0) {
        rc = zsp_err_set(err, ZSP_EIO, "print the configuration");
    }
    zsp_writer_fini(&text);
    return rc;
}

int main(int argc, char **argv)
{
    static struct options options;
    struct zsp_err err = {0};
    zsp_heap_prepare();
    int rc = options_read(&options, argc, argv, environ, EXIT_USAGE, &err);
    if (rc == ZSP_OK && options.show) {
        rc = print_config(&options.config, &err);
    }
    if (rc == ZSP_OK && !options.check_config) {
        rc = serve(&options.config, &err);
    }
    if (rc < 0) {
        (void)fprintf(stderr, "zspoold: error: %s\n", err.msg);
    }
    return (int)exit_code_of(rc);
}
