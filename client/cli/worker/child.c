/* SPDX-License-Identifier: MPL-2.0 */
#include "client/cli/worker/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/cli/json.h"

#define HEAR_BYTES 4096u
#define HEAR_LAST  32u /* reads after its end: a pipe's content, and not what others go on to say */

/* --- Pipes ------------------------------------------------------------------------- */

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd); /* a pipe: there is nothing that could be lost */
        *fd = -1;
    }
}

/* Above the standard descriptors, even when one of those is closed here, and closed on exec. */
static bool move_up(int *fd)
{
    const int moved = fcntl(*fd, F_DUPFD_CLOEXEC, 3);
    const int failed = errno;
    close_fd(fd);
    *fd = moved;
    errno = failed;
    return moved >= 0;
}

/* A pipe whose end `ours` (0 or 1) does not block. */
static int pipe_open(int fds[2], int ours)
{
    if (pipe(fds) != 0) {
        return errno;
    }
    if (move_up(&fds[0]) && move_up(&fds[1]) && fcntl(fds[ours], F_SETFL, O_NONBLOCK) == 0) {
        return 0;
    }
    const int failed = errno;
    close_fd(&fds[0]);
    close_fd(&fds[1]);
    return failed;
}

/* --- Start ------------------------------------------------------------------------- */

static int spawn(pid_t *ret_pid, const struct child_spec *spec, int input_fd, int errors_fd)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t standard;
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc != 0) {
        return rc;
    }
    rc = posix_spawnattr_init(&attributes);
    if (rc != 0) {
        goto actions_done;
    }
    (void)sigemptyset(&standard);        /* cannot fail */
    (void)sigaddset(&standard, SIGPIPE); /* we ignore it, and that would be inherited */
    rc = posix_spawnattr_setsigdefault(&attributes, &standard);
    if (rc == 0) {
        rc = posix_spawnattr_setflags(&attributes,
                                      (short)(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF));
    }
    /* Standard output first: it may be our standard error. */
    if (rc == 0 && spec->output_fd != STDOUT_FILENO) {
        rc = posix_spawn_file_actions_adddup2(&actions, spec->output_fd, STDOUT_FILENO);
    }
    if (rc == 0) {
        rc = posix_spawn_file_actions_adddup2(&actions, input_fd, STDIN_FILENO);
    }
    if (rc == 0) {
        rc = posix_spawn_file_actions_adddup2(&actions, errors_fd, STDERR_FILENO);
    }
    if (rc == 0) {
        rc = posix_spawnp(ret_pid, spec->argv[0], &actions, &attributes, spec->argv, spec->envp);
    }
    (void)posix_spawnattr_destroy(&attributes);
actions_done:
    (void)posix_spawn_file_actions_destroy(&actions);
    return rc;
}

int child_start(struct child *self, const struct child_spec *spec)
{
    int input[2] = {-1, -1};
    int errors[2] = {-1, -1};
    pid_t pid = 0;
    int rc = pipe_open(input, 1);
    if (rc == 0) {
        rc = pipe_open(errors, 0);
    }
    if (rc == 0) {
        rc = spawn(&pid, spec, input[0], errors[1]);
    }
    close_fd(&input[0]);
    close_fd(&errors[1]);
    if (rc != 0) {
        close_fd(&input[1]);
        close_fd(&errors[0]);
        return rc;
    }
    *self = (struct child){.pid = pid,
                           .input_fd = input[1],
                           .errors_fd = errors[0],
                           .input = spec->input,
                           .input_left = spec->input_len};
    child_feed(self);
    return 0;
}

/* --- While it runs ------------------------------------------------------------------ */

void child_feed(struct child *self)
{
    while (self->input_fd >= 0 && self->input_left > 0) {
        const ssize_t written = write(self->input_fd, self->input, self->input_left);
        if (written >= 0) {
            self->input += written;
            self->input_left -= (size_t)written;
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR) {
            break; /* it does not want to know (EPIPE) */
        }
    }
    close_fd(&self->input_fd);
}

static void remember(struct child *self, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == '\n') {
            self->line_ended = true;
            continue;
        }
        if (self->line_ended) {
            self->line_ended = false;
            self->line_len = 0;
        }
        if (self->line_len < CHILD_LINE_MAX) {
            self->line[self->line_len] = bytes[i];
        }
        self->line_len += self->line_len <= CHILD_LINE_MAX ? 1 : 0;
    }
    self->line[self->line_len <= CHILD_LINE_MAX ? self->line_len : 0] = '\0';
}

static void pass_on(const char *bytes, size_t len)
{
    while (len > 0) {
        const ssize_t written = write(STDERR_FILENO, bytes, len);
        if (written < 0 && errno != EINTR) {
            return; /* nobody listens, and there is nowhere to say so */
        }
        if (written > 0) {
            bytes += written;
            len -= (size_t)written;
        }
    }
}

/* One piece; false when there is none now. */
static bool hear_piece(struct child *self)
{
    char bytes[HEAR_BYTES];
    if (self->errors_fd < 0) {
        return false;
    }
    const ssize_t got = read(self->errors_fd, bytes, sizeof bytes);
    if (got > 0) {
        remember(self, bytes, (size_t)got);
        pass_on(bytes, (size_t)got);
        return true;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    close_fd(&self->errors_fd);
    return false;
}

void child_hear(struct child *self)
{
    (void)hear_piece(self);
}

void child_signal(const struct child *self, int number)
{
    (void)kill(-self->pid, number); /* fails when it has just ended: child_reap() tells */
}

/* --- Its end ------------------------------------------------------------------------ */

bool child_reap(struct child *self, bool all, int *ret_status)
{
    siginfo_t info = {0};
    if (waitid(P_PID, (id_t)self->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
        info.si_pid == 0) {
        return false;
    }
    if (all) {
        /* Until it is waited for nobody else can have its number. */
        child_signal(self, SIGKILL);
    }
    pid_t waited;
    do {
        waited = waitpid(self->pid, ret_status, 0);
    } while (waited < 0 && errno == EINTR);
    for (unsigned i = 0; i < HEAR_LAST && hear_piece(self); i++) {
    }
    close_fd(&self->input_fd);
    close_fd(&self->errors_fd);
    self->pid = 0;
    return true;
}

const char *child_last_line(const struct child *self)
{
    const size_t len = self->line_len;
    if (len > CHILD_LINE_MAX || !json_is_utf8(self->line, len)) {
        return "";
    }
    for (size_t i = 0; i < len; i++) {
        const unsigned char c = (unsigned char)self->line[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return "";
        }
    }
    return self->line;
}
