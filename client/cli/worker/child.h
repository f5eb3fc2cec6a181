/* SPDX-License-Identifier: MPL-2.0
 *
 * A command that runs as a child process: fed through its standard input, heard on its
 * standard error, ended with signals. No shell is involved.
 *
 *        child_start        waits for nothing: 0, or why the command cannot run
 *   NONE -----------> RUNS ----------> (ended by itself or by a signal) --child_reap--> NONE
 *
 * It is the leader of a process group of its own, so that a Ctrl-C on the terminal
 * reaches only us, and that a signal reaches whatever it started. It inherits our
 * working directory, limits and standard output, and no other descriptor.
 *
 * Descriptors are non-blocking and for a poll loop: input_fd while there is
 * something to feed, errors_fd until the end. Not thread-safe.
 */
#ifndef ZSP_CLI_CHILD_H
#define ZSP_CLI_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CHILD_LINE_MAX 160u /* the longest last line that is remembered */

struct child_spec {
    char *const *argv; /* argv[0] is looked for in PATH */
    char *const *envp;
    const void *input; /* borrowed until child_reap() */
    size_t input_len;
    int output_fd; /* what becomes its standard output */
};

struct child {
    pid_t pid; /* 0 = NONE */
    int input_fd, errors_fd;
    const uint8_t *input; /* what it has not taken yet */
    size_t input_left;
    char line[CHILD_LINE_MAX + 1]; /* the last line on its standard error, without newline */
    size_t line_len;               /* beyond CHILD_LINE_MAX: too long to be remembered */
    bool line_ended;               /* the next byte begins a new one */
};

/* Returns 0, or a positive errno: the command cannot be run, and nothing was changed. */
int child_start(struct child *self, const struct child_spec *spec);

/* Hand over as much of the input as it takes now; at its end, or when it takes no more, its standard
 * input is closed. That a command does not read all of it is no failure. */
void child_feed(struct child *self);

/* Pass what it said on its standard error on to ours. */
void child_hear(struct child *self);

/* Send a signal to the whole group. */
void child_signal(const struct child *self, int number);

/* Has it ended? Then take its wait status, hear the rest and close everything. With
 * `all`, what is left of its process group is killed before. */
bool child_reap(struct child *self, bool all, int *ret_status);

/* The last line that it said, "" when it said none, or one too long, or one that is no plain text. */
const char *child_last_line(const struct child *self);

#endif
