/* SPDX-License-Identifier: MPL-2.0
 *
 * What /proc tells of this process.
 */
#ifndef ZSP_TESTS_PROC_H
#define ZSP_TESTS_PROC_H

#include <stdbool.h>
#include <stdint.h>

#define PROC_THREADS "/proc/self/task"
#define PROC_FILES   "/proc/self/fd"

/* How many entries a directory has that `counts` likes; NULL = all of them. */
unsigned proc_count(const char *directory, bool (*counts)(const char *name));

/* A number of a thread's status, such as "SigBlk:", in base 10 or 16; 0 when the thread has gone. */
uint64_t proc_thread_status(const char *thread, const char *field, int base);

#endif
