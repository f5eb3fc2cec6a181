/* SPDX-License-Identifier: MPL-2.0
 *
 * Signals as bytes in a pipe, for a poll loop: one byte, the signal's number, for
 * each that came. One pipe a process, used by its main thread.
 */
#ifndef ZSP_CLI_SIGNAL_PIPE_H
#define ZSP_CLI_SIGNAL_PIPE_H

#include <stddef.h>

/* Catch these signals (at most 8) from now on, but leave an ignored SIGHUP alone: nohup(1) runs us
 * then. Returns a descriptor to poll for input, which
 * signal_pipe_close() closes, or a negative errno with nothing changed. */
int signal_pipe_open(const int *signals, size_t count);

/* The next signal that came, 0 when there is none. Never waits. */
int signal_pipe_next(int fd);

/* Give the signals back to what they did before. */
void signal_pipe_close(int fd);

#endif
