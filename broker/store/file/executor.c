/* SPDX-License-Identifier: MPL-2.0
 *
 * One mutex guards both lists and the stop flag. The eventfd follows the list of finished jobs: it
 * is written once each time the list gets a first job, and drained when the last one is taken. It
 * is written after the mutex was given up, as it wakes the owner, who wants the mutex at once. An
 * owner who was quicker than that write drains it the next time that it finds nothing.
 */
#include "broker/store/file/executor.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/assert.h"
#include "common/thread.h"

/* Jobs in order, linked by job->next. */
struct job_list {
    struct job *first;
    struct job **tail; /* where the next one is hung in */
};

struct executor {
    struct fs *fs;
    int event_fd;
    unsigned thread_count; /* started; 0 after stop */
    pthread_t threads[EXECUTOR_THREADS_MAX];
    size_t job_count;     /* the owner's: submitted, not taken */
    uint64_t event_count; /* the owner's: writes of the eventfd that it has read */

    struct zsp_monitor monitor; /* guards what follows; wakes for a job, or to stop */
    struct job_list queue;
    struct job_list finished;
    uint64_t first_count; /* times that `finished` got a first job: writes of the eventfd, soon */
    bool stopping;
};

static void list_init(struct job_list *self)
{
    self->first = NULL;
    self->tail = &self->first;
}

static void list_push(struct job_list *self, struct job *job)
{
    job->next = NULL;
    *self->tail = job;
    self->tail = &job->next;
}

static struct job *list_pop(struct job_list *self)
{
    struct job *job = self->first;
    if (!job) {
        return NULL;
    }
    self->first = job->next;
    if (!self->first) {
        self->tail = &self->first;
    }
    job->next = NULL;
    return job;
}

static void event_set(const struct executor *self)
{
    const uint64_t one = 1;
    ssize_t written = 0;
    do {
        written = write(self->event_fd, &one, sizeof one);
    } while (written < 0 && errno == EINTR);
    zsp_assert(written == (ssize_t)sizeof one);
}

static void event_clear(struct executor *self)
{
    uint64_t count = 0;
    ssize_t got = 0;
    do {
        got = read(self->event_fd, &count, sizeof count);
    } while (got < 0 && errno == EINTR);
    zsp_assert(got == (ssize_t)sizeof count || errno == EAGAIN);
    self->event_count += got > 0 ? count : 0;
}

static void *thread_main(void *arg)
{
    struct executor *self = arg;
    zsp_monitor_lock(&self->monitor);
    for (;;) {
        while (!self->queue.first && !self->stopping) {
            zsp_monitor_wait(&self->monitor, INT64_MAX);
        }
        struct job *job = list_pop(&self->queue);
        if (!job) {
            break;
        }
        zsp_monitor_unlock(&self->monitor);
        job_run(job, self->fs);
        zsp_monitor_lock(&self->monitor);
        const bool was_empty = !self->finished.first;
        list_push(&self->finished, job);
        if (was_empty) {
            self->first_count++;
            zsp_monitor_unlock(&self->monitor);
            event_set(self);
            zsp_monitor_lock(&self->monitor);
        }
    }
    zsp_monitor_unlock(&self->monitor);
    return NULL;
}

/* Returns 0 or an errno. */
static int start_threads(struct executor *self, unsigned thread_count)
{
    int failure = 0;
    while (self->thread_count < thread_count && failure == 0) {
        failure =
            zsp_thread_start(&self->threads[self->thread_count], "zsp-store", thread_main, self);
        self->thread_count += failure == 0 ? 1 : 0;
    }
    return failure;
}

struct executor *executor_new(struct fs *fs, unsigned thread_count, struct zsp_err *err)
{
    if (thread_count == 0 || thread_count > EXECUTOR_THREADS_MAX) {
        (void)zsp_err_set(err, ZSP_EINVAL, "executor: %u threads, wanted 1..%u", thread_count,
                          EXECUTOR_THREADS_MAX);
        return NULL;
    }
    struct executor *self = calloc(1, sizeof *self);
    if (!self || zsp_monitor_init(&self->monitor) != 0) {
        (void)zsp_err_set(err, ZSP_ENOMEM, "executor");
        free(self);
        return NULL;
    }
    self->fs = fs;
    list_init(&self->queue);
    list_init(&self->finished);
    self->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->event_fd < 0) {
        (void)zsp_err_set_errno(err, ZSP_EIO, errno, "executor: eventfd");
        executor_destroy(&self);
        return NULL;
    }
    const int failure = start_threads(self, thread_count);
    if (failure != 0) {
        (void)zsp_err_set_errno(err, ZSP_EIO, failure, "executor: start thread %u",
                                self->thread_count + 1);
        executor_destroy(&self);
        return NULL;
    }
    return self;
}

void executor_submit(struct executor *self, struct job *job)
{
    zsp_monitor_lock(&self->monitor);
    zsp_assert(!self->stopping);
    list_push(&self->queue, job);
    self->job_count++;
    zsp_monitor_unlock(&self->monitor);
    zsp_monitor_wake_one(&self->monitor); /* who wakes up finds the lock free */
}

struct job *executor_take(struct executor *self)
{
    zsp_monitor_lock(&self->monitor);
    struct job *job = list_pop(&self->finished);
    const bool is_readable = !self->finished.first && self->event_count != self->first_count;
    zsp_monitor_unlock(&self->monitor);
    if (is_readable) { /* or about to be */
        event_clear(self);
    }
    if (job) {
        self->job_count--;
    }
    return job;
}

int executor_fd(const struct executor *self)
{
    return self->event_fd;
}

size_t executor_job_count(const struct executor *self)
{
    return self->job_count;
}

void executor_stop(struct executor *self)
{
    zsp_monitor_lock(&self->monitor);
    self->stopping = true;
    zsp_monitor_wake(&self->monitor);
    zsp_monitor_unlock(&self->monitor);
    while (self->thread_count > 0) {
        const int rc = pthread_join(self->threads[--self->thread_count], NULL);
        zsp_assert(rc == 0);
    }
}

void executor_destroy(struct executor **self_p)
{
    struct executor *self = *self_p;
    if (!self) {
        return;
    }
    executor_stop(self);
    if (self->event_fd >= 0) {
        (void)close(self->event_fd); /* holds nothing */
    }
    zsp_monitor_fini(&self->monitor);
    free(self);
    *self_p = NULL;
}
