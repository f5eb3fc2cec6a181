/* SPDX-License-Identifier: MPL-2.0
 *
 * A real zspoold, started by a test: with its own temporary directory, on a free
 * port of 127.0.0.1, and dead when the test is. What it writes to stderr is
 * collected. Every function that waits has a deadline and ends the test when it
 * passes.
 *
 *     struct broker_process broker;
 *     broker_process_init(&broker);
 *     broker_process_start(&broker, NULL);    recovered, serving at broker.endpoint
 *     broker_process_kill(&broker);           kill -9
 *     broker_process_start(&broker, NULL);    same data, same endpoint
 *     assert_int_equal(broker_process_stop(&broker), 0);
 *     broker_process_fini(&broker);
 */
#ifndef ZSP_TESTS_BROKER_PROCESS_H
#define ZSP_TESTS_BROKER_PROCESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/support/test_dir.h"

#define BROKER_DEADLINE_MS 30000 /* for anything that takes milliseconds when all is well */

struct broker_process {
    struct test_dir dir;
    char data[600];     /* the data directory, below dir */
    char endpoint[256]; /* where it listens; "" before the first start */
    pid_t pid;          /* 0 = not running */
    int exit_status;    /* of waitpid(), of the last one that ended */

    /* What it wrote to stderr, all starts together; `mutex` guards. */
    pthread_mutex_t mutex;
    pthread_cond_t more;
    pthread_t reader;
    bool has_reader;
    int pipe_fd;
    char *errors; /* NUL-terminated */
    size_t errors_len;
    size_t start_pos; /* where the text of the last start begins */
    bool closed;      /* its stderr is at the end */
};

/* A directory, no process. */
void broker_process_init(struct broker_process *self);
/* Kill what runs, remove the directory. */
void broker_process_fini(struct broker_process *self);

/* Start zspoold with `arguments` (NULL-terminated, NULL = none) behind --data and
 * --listen, and wait until it is ready. The first start takes a free port, later
 * ones the same again. */
void broker_process_start(struct broker_process *self, const char *const *arguments);

/* As start, but under `wrapper` (NULL-terminated; a command that runs the rest of
 * its arguments), and without waiting: returns when it is ready or has ended.
 * True = it is ready. */
bool broker_process_try_start(struct broker_process *self, const char *const *wrapper,
                              const char *const *arguments);

/* Run zspoold with exactly these arguments until it ends by itself; returns its
 * exit code. What it printed is in broker_process_errors(); its stdout goes to
 * the file "stdout" in the directory. */
int broker_process_run(struct broker_process *self, const char *const *arguments);

/* Is the last start's stderr still open: has it not ended yet? */
bool broker_process_alive(struct broker_process *self);

/* Send a signal, do not wait. */
void broker_process_signal(struct broker_process *self, int signal_number);
/* kill -9, and wait. */
void broker_process_kill(struct broker_process *self);
/* Wait until it ends by itself; returns its exit code, -N when signal N ended it. */
int broker_process_wait(struct broker_process *self);
/* SIGTERM and wait; returns the exit code. */
int broker_process_stop(struct broker_process *self);

/* Wait until the last start has written a line that holds `text`. */
void broker_process_wait_text(struct broker_process *self, const char *text);
/* A copy of what the last start wrote so far; the caller frees it. */
char *broker_process_errors(struct broker_process *self);
bool broker_process_wrote(struct broker_process *self, const char *text);

/* Resident memory of the process in bytes. */
uint64_t broker_process_memory(const struct broker_process *self);

#endif
