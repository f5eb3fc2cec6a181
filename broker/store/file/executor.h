/* SPDX-License-Identifier: MPL-2.0
 *
 * The threads that run I/O jobs (job.h), so that the thread that owns the
 * broker's state never waits for a disk. The only place of the broker, beside
 * buf.c, where threads meet: a job and all it points to belong to the executor
 * from submit until take, and to the owner thread otherwise.
 *
 *     owner --submit--> queue --thread: job_run()--> finished --take--> owner
 *
 * Jobs start in the order of the calls, and finish in any. The number of jobs
 * out is bounded by who makes them (the log store). All functions are called by
 * the owner's thread.
 */
#ifndef ZSP_STORE_EXECUTOR_H
#define ZSP_STORE_EXECUTOR_H

#include <stddef.h>

#include "broker/store/file/fs.h"
#include "broker/store/file/job.h"
#include "common/err.h"

#define EXECUTOR_THREADS_MAX 64u /* more would only queue at the device */

struct executor;

/* Start `thread_count` (1..EXECUTOR_THREADS_MAX) threads with all signals
 * blocked. `fs` is lent until destroy.
 *
 * NULL with `err`: ZSP_EINVAL (the count), ZSP_ENOMEM, ZSP_EIO (no eventfd, no thread)
 */
struct executor *executor_new(struct fs *fs, unsigned thread_count, struct zsp_err *err);

/* Hand a job over. Not after executor_stop(). */
void executor_submit(struct executor *self, struct job *job);

/* The job that finished first and was not taken yet; NULL = none. */
struct job *executor_take(struct executor *self);

/* A descriptor to poll: readable for as long as a finished job waits to be
 * taken (level-triggered), and once more than that, perhaps, when a job was taken in the moment
 * in which it finished. Owned by the executor; never read it. */
int executor_fd(const struct executor *self);

/* Jobs submitted and not taken yet. */
size_t executor_job_count(const struct executor *self);

/* Finish every submitted job, then end the threads. Waits for them; afterwards
 * the finished jobs can still be taken. Again is harmless. */
void executor_stop(struct executor *self);

/* Stop, if that was not done; jobs that were not taken are dropped untouched. */
void executor_destroy(struct executor **self_p);

#endif
