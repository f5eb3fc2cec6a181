/* SPDX-License-Identifier: MPL-2.0
 *
 * Threads of ours, in a process that may be a host's, and the monitor where they meet
 * others: a mutex, and a condition to wait for changes of what it guards.
 */
#ifndef ZSP_THREAD_H
#define ZSP_THREAD_H

#include <pthread.h>
#include <signal.h>
#include <stdint.h>

/* Start a thread with all signals blocked: they stay with the host's threads. `name`, under 16
 * bytes, is for people who look with ps or gdb. Before this returns the thread may not detach
 * itself. Returns 0 or an errno. */
int zsp_thread_start(pthread_t *ret_thread, const char *name, void *(*run_fn)(void *), void *arg);

/* The same for threads that a library starts between these two calls. errno is kept. */
void zsp_signals_block(sigset_t *ret_before);
void zsp_signals_restore(const sigset_t *before);

struct zsp_monitor {
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* its clock is the monotonic one */
};

/* Returns 0 or ZSP_ENOMEM. */
int zsp_monitor_init(struct zsp_monitor *self);
/* Nobody uses it any more. */
void zsp_monitor_fini(struct zsp_monitor *self);

void zsp_monitor_lock(struct zsp_monitor *self);
void zsp_monitor_unlock(struct zsp_monitor *self);

/* Wake all who wait, or one of them. What they look at was changed under the lock. */
void zsp_monitor_wake(struct zsp_monitor *self);
void zsp_monitor_wake_one(struct zsp_monitor *self);
/* Locked: wait, the lock being given up meanwhile, until woken or a monotonic time, INT64_MAX =
 * none. May return early. */
void zsp_monitor_wait(struct zsp_monitor *self, int64_t until_ms);

#endif
