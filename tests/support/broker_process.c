/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/broker_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/common/testing.h"

#define ARGUMENTS_MAX 48u
#define READ_BYTES    4096u

/* --- What it writes ----------------------------------------------------------------------- */

static void *read_errors(void *arg)
{
    struct broker_process *const self = arg;
    char chunk[READ_BYTES];
    for (;;) {
        const ssize_t len = read(self->pipe_fd, chunk, sizeof chunk);
        if (len < 0 && errno == EINTR) {
            continue;
        }
        (void)pthread_mutex_lock(&self->mutex);
        if (len > 0) {
            char *const grown = realloc(self->errors, self->errors_len + (size_t)len + 1);
            if (grown) {
                memcpy(grown + self->errors_len, chunk, (size_t)len);
                self->errors = grown;
                self->errors_len += (size_t)len;
                grown[self->errors_len] = '\0';
            }
        } else {
            self->closed = true;
        }
        (void)pthread_cond_broadcast(&self->more);
        (void)pthread_mutex_unlock(&self->mutex);
        if (len <= 0) {
            return NULL;
        }
    }
}

/* The text of the last start; the mutex is held. */
static const char *text_of(const struct broker_process *self)
{
    return self->errors ? self->errors + self->start_pos : "";
}

static struct timespec deadline_of(int64_t ms)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_sec += (time_t)(ms / 1000);
    time.tv_nsec += (long)(ms % 1000) * 1000000;
    if (time.tv_nsec >= 1000000000) {
        time.tv_sec++;
        time.tv_nsec -= 1000000000;
    }
    return time;
}

/* Wait for a whole line with `text`, or for the end of the output. */
static bool wait_text(struct broker_process *self, const char *text)
{
    const struct timespec deadline = deadline_of(BROKER_DEADLINE_MS);
    int rc = 0;
    bool found = false;
    (void)pthread_mutex_lock(&self->mutex);
    while (rc == 0) {
        const char *const place = strstr(text_of(self), text);
        found = place && strchr(place, '\n');
        if (found || self->closed) {
            break;
        }
        rc = pthread_cond_timedwait(&self->more, &self->mutex, &deadline);
    }
    (void)pthread_mutex_unlock(&self->mutex);
    if (rc != 0) {
        fail_msg("zspoold did not write \"%s\" in time; it wrote:\n%s", text, text_of(self));
    }
    return found;
}

void broker_process_wait_text(struct broker_process *self, const char *text)
{
    if (!wait_text(self, text)) {
        fail_msg("zspoold ended without writing \"%s\"; it wrote:\n%s", text, text_of(self));
    }
}

char *broker_process_errors(struct broker_process *self)
{
    (void)pthread_mutex_lock(&self->mutex);
    char *const copy = strdup(text_of(self));
    (void)pthread_mutex_unlock(&self->mutex);
    assert_non_null(copy);
    return copy;
}

bool broker_process_wrote(struct broker_process *self, const char *text)
{
    char *const errors = broker_process_errors(self);
    const bool found = strstr(errors, text) != NULL;
    free(errors);
    return found;
}

static void end_reader(struct broker_process *self)
{
    if (self->has_reader) {
        (void)pthread_join(self->reader, NULL);
        (void)close(self->pipe_fd);
        self->has_reader = false;
    }
}

/* --- The process -------------------------------------------------------------------------- */

void broker_process_init(struct broker_process *self)
{
    *self = (struct broker_process){0};
    test_dir_init(&self->dir);
    (void)test_dir_path(&self->dir, "data", self->data, (int)sizeof self->data);
    pthread_condattr_t attributes;
    assert_int_equal(pthread_condattr_init(&attributes), 0);
    assert_int_equal(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC), 0);
    assert_int_equal(pthread_cond_init(&self->more, &attributes), 0);
    assert_int_equal(pthread_mutex_init(&self->mutex, NULL), 0);
    (void)pthread_condattr_destroy(&attributes);
}

void broker_process_fini(struct broker_process *self)
{
    if (self->pid != 0) {
        broker_process_kill(self);
    }
    end_reader(self);
    (void)pthread_cond_destroy(&self->more);
    (void)pthread_mutex_destroy(&self->mutex);
    free(self->errors);
    test_dir_fini(&self->dir);
}

/* In the child: dies with the test, writes to our pipe, becomes `arguments`. */
static void become(const struct broker_process *self, int pipe_fd, char *const *arguments)
{
    char path[700];
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)test_dir_path(&self->dir, "stdout", path, (int)sizeof path);
    const int out = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (out < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(pipe_fd, STDERR_FILENO) < 0) {
        _exit(126);
    }
    (void)execvp(arguments[0], arguments);
    _exit(127);
}

static void launch(struct broker_process *self, char *const *arguments)
{
    int ends[2];
    assert_int_equal(self->pid, 0);
    end_reader(self);
    assert_int_equal(pipe(ends), 0);
    (void)fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    (void)fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    self->start_pos = self->errors_len;
    self->closed = false;
    self->pid = fork();
    assert_true(self->pid >= 0);
    if (self->pid == 0) {
        become(self, ends[1], arguments);
    }
    (void)close(ends[1]);
    self->pipe_fd = ends[0];
    assert_int_equal(pthread_create(&self->reader, NULL, read_errors, self), 0);
    self->has_reader = true;
}

/* Append a NULL-terminated list; execvp wants char * but does not write. */
static size_t append(char **list, size_t count, const char *const *more)
{
    for (; more && *more; more++) {
        assert_true(count < ARGUMENTS_MAX);
        list[count++] = (char *)(uintptr_t)*more;
    }
    return count;
}

/* Where did it say that it listens? */
static void note_endpoint(struct broker_process *self)
{
    static const char ready[] = "zspoold: ready on ";
    (void)pthread_mutex_lock(&self->mutex);
    const char *const line = strstr(text_of(self), ready) + sizeof ready - 1;
    (void)snprintf(self->endpoint, sizeof self->endpoint, "%.*s", (int)strcspn(line, "\n"), line);
    (void)pthread_mutex_unlock(&self->mutex);
}

bool broker_process_try_start(struct broker_process *self, const char *const *wrapper,
                              const char *const *arguments)
{
    const char *const listen = self->endpoint[0] ? self->endpoint : "tcp://127.0.0.1:*";
    const char *const own[] = {ZSPOOLD_PATH, "--data", self->data, "--listen", listen, NULL};
    char *list[ARGUMENTS_MAX + 1];
    size_t count = append(list, 0, wrapper);
    count = append(list, count, own);
    count = append(list, count, arguments);
    list[count] = NULL;
    launch(self, list);
    if (!wait_text(self, "zspoold: ready on ")) {
        return false;
    }
    note_endpoint(self);
    return true;
}

void broker_process_start(struct broker_process *self, const char *const *arguments)
{
    if (!broker_process_try_start(self, NULL, arguments)) {
        fail_msg("zspoold does not start:\n%s", text_of(self));
    }
}

int broker_process_run(struct broker_process *self, const char *const *arguments)
{
    const char *const own[] = {ZSPOOLD_PATH, NULL};
    char *list[ARGUMENTS_MAX + 1];
    const size_t count = append(list, append(list, 0, own), arguments);
    list[count] = NULL;
    launch(self, list);
    return broker_process_wait(self);
}

bool broker_process_alive(struct broker_process *self)
{
    (void)pthread_mutex_lock(&self->mutex);
    const bool alive = !self->closed;
    (void)pthread_mutex_unlock(&self->mutex);
    return alive;
}

void broker_process_signal(struct broker_process *self, int signal_number)
{
    assert_true(self->pid > 0);
    assert_int_equal(kill(self->pid, signal_number), 0);
}

/* Its stderr ends with it (no child of its own keeps it open). */
int broker_process_wait(struct broker_process *self)
{
    const struct timespec deadline = deadline_of(BROKER_DEADLINE_MS);
    int rc = 0;
    (void)pthread_mutex_lock(&self->mutex);
    while (!self->closed && rc == 0) {
        rc = pthread_cond_timedwait(&self->more, &self->mutex, &deadline);
    }
    (void)pthread_mutex_unlock(&self->mutex);
    if (rc != 0) {
        fail_msg("zspoold did not end in time; it wrote:\n%s", text_of(self));
    }
    assert_int_equal(waitpid(self->pid, &self->exit_status, 0), self->pid);
    self->pid = 0;
    end_reader(self);
    return WIFEXITED(self->exit_status) ? WEXITSTATUS(self->exit_status)
                                        : -WTERMSIG(self->exit_status);
}

void broker_process_kill(struct broker_process *self)
{
    broker_process_signal(self, SIGKILL);
    (void)broker_process_wait(self);
}

int broker_process_stop(struct broker_process *self)
{
    broker_process_signal(self, SIGTERM);
    return broker_process_wait(self);
}

uint64_t broker_process_memory(const struct broker_process *self)
{
    char path[64];
    char line[256] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/statm", (int)self->pid);
    FILE *const file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, (int)sizeof line, file));
    (void)fclose(file);                             /* only read */
    const char *const resident = strchr(line, ' '); /* the second number, in pages */
    assert_non_null(resident);
    return strtoull(resident, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}
