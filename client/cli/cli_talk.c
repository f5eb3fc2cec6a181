/* SPDX-License-Identifier: MPL-2.0
 *
 * Messages for people, questions, the client, and the ends of a run.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#include "client/cli/cli.h"
#include "client/cli/terminal.h"

/* What signal handlers and the end of the process look at. */
static zspool_client_t *_Atomic interruptible;
static atomic_int stopped; /* lock-free: threads look at it, too */
static int64_t stopped_ms; /* set before `stopped`, read by the same handler only */
static bool pipe_broken, write_failed;

/* --- Messages for people ------------------------------------------------------------ */

static void say(const char *style, const char *format, va_list args) CLI_PRINTF(2, 0);

static void say(const char *style, const char *format, va_list args)
{
    progress_make_way();
    fprintf(stderr, "%szspool:%s ", style, *style ? terminal_style(stderr, TERMINAL_PLAIN) : "");
    (void)vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

void cli_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): a line above starts it */
    say(terminal_style(stderr, TERMINAL_ALARM), format, args);
    va_end(args);
}

void cli_note(const char *format, ...)
{
    if (cli_common.quiet) {
        return;
    }
    va_list args;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): a line above starts it */
    say("", format, args);
    va_end(args);
}

int cli_exit_of(int code)
{
    switch (code) {
    case ZSPOOL_OK:
        return CLI_OK;
    case ZSPOOL_ETIMEOUT:
        return CLI_TIMEOUT;
    case ZSPOOL_ENOT_FOUND:
        return CLI_NOT_FOUND;
    case ZSPOOL_EDENIED:
        return CLI_DENIED;
    case ZSPOOL_EINVAL:
    case ZSPOOL_EBAD_NAME:
    case ZSPOOL_EBAD_VALUE:
        return CLI_USAGE;
    default:
        return CLI_ERROR;
    }
}

int cli_fail(const zspool_error_t *err)
{
    cli_say("%s%s", err->message, err->maybe ? " (it may have been carried out all the same)" : "");
    return cli_exit_of(err->code);
}

int cli_confirm(bool yes, const char *format, ...)
{
    if (yes) {
        return CLI_OK;
    }
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
        cli_say("there is no terminal to ask on whether to go on: want --yes");
        return CLI_USAGE;
    }
    va_list args;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): a line above starts it */
    (void)vfprintf(stderr, format, args);
    va_end(args);
    fputs(" [y/N] ", stderr);
    (void)fflush(stderr); /* a lost question is answered with no */
    char answer[16];
    const bool answered =
        cli_wait_readable(STDIN_FILENO, -1) == 0 && fgets(answer, sizeof answer, stdin) != NULL;
    if (!answered) {
        fputc('\n', stderr);
    }
    return answered && (answer[0] == 'y' || answer[0] == 'Y') ? CLI_OK : CLI_ERROR;
}

/* --- Stopping -------------------------------------------------------------------------- */

/* Those that ask a run to finish. */
static sigset_t stop_signals(void)
{
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGHUP);
    return signals;
}

int64_t cli_now_ms(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Async-signal-safe. */
static void stop(int signal_number)
{
    const int saved_errno = errno;
    const int64_t now_ms = cli_now_ms();
    if (stopped && now_ms - stopped_ms >= CLI_SAME_WISH_MS) {
        const struct sigaction standard = {.sa_handler = SIG_DFL};
        (void)sigaction(signal_number, &standard, NULL); /* with a good number: cannot fail */
        (void)raise(signal_number); /* takes effect when this handler returns */
        return;
    }
    if (!stopped) {
        stopped_ms = now_ms;
        atomic_store(&stopped, 1);
    }
    zspool_interrupt(atomic_load(&interruptible));
    errno = saved_errno;
}

bool cli_stopped(void)
{
    return atomic_load(&stopped) != 0;
}

int cli_wait_readable(int first_fd, int second_fd)
{
    if (first_fd >= FD_SETSIZE) {
        return cli_stopped() ? -1 : 0; /* too high for a set: the read itself waits */
    }
    if (second_fd >= FD_SETSIZE) {
        second_fd = -1;
    }
    /* The signals are let in while pselect() waits only: one that comes before it ends it, too. */
    const sigset_t stops = stop_signals();
    sigset_t usual;
    (void)pthread_sigmask(SIG_BLOCK, &stops, &usual); /* with good arguments: cannot fail */
    int ready = -1;
    while (ready < 0 && !cli_stopped()) {
        fd_set fds;
        FD_ZERO(&fds);
        FD_SET(first_fd, &fds);
        if (second_fd >= 0) {
            FD_SET(second_fd, &fds);
        }
        const int top = first_fd > second_fd ? first_fd : second_fd;
        const int rc = pselect(top + 1, &fds, NULL, NULL, NULL, &usual);
        if (rc > 0) {
            ready = FD_ISSET(first_fd, &fds) ? 0 : 1;
        } else if (rc < 0 && errno != EINTR) {
            ready = 0; /* a closed descriptor: the read tells */
        }
    }
    (void)pthread_sigmask(SIG_SETMASK, &usual, NULL);
    return ready;
}

zspool_client_t *cli_client(const char *name)
{
    zspool_error_t err = {0};
    zspool_options_t options;
    zspool_options_init(&options);
    options.name = name;
    zspool_client_t *client = zspool_new(cli_common.server, &options, &err);
    if (!client) {
        (void)cli_fail(&err);
        return NULL;
    }
    atomic_store(&interruptible, client);
    /* Without SA_RESTART: a read of stdin ends, too. Each signal waits for the other's handler. */
    const struct sigaction action = {.sa_handler = stop, .sa_mask = stop_signals()};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    struct sigaction inherited = {.sa_handler = SIG_DFL};
    (void)sigaction(SIGHUP, NULL, &inherited);
    if (inherited.sa_handler != SIG_IGN) { /* else nohup(1) runs us */
        (void)sigaction(SIGHUP, &action, NULL);
    }
    return client;
}

void cli_client_destroy(zspool_client_t **client_p)
{
    const struct sigaction standard = {.sa_handler = SIG_DFL};
    const struct sigaction none = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGINT, &standard, NULL);
    (void)sigaction(SIGTERM, &standard, NULL);
    (void)sigaction(SIGHUP, &none, NULL); /* what is left to do is short */
    atomic_store(&interruptible, NULL);
    zspool_destroy(client_p);
}

void cli_note_absence(zspool_client_t *client, bool *is_told)
{
    zspool_error_t err = {0};
    if (!*is_told && zspool_connect(client, 0, NULL, &err) != 0) {
        cli_note("%s; trying on", err.message);
        *is_told = true;
    }
}

int cli_timeout(void)
{
    return cli_common.timeout_ms > INT32_MAX ? INT32_MAX : (int)cli_common.timeout_ms;
}

/* --- Output ------------------------------------------------------------------------------ */

static void note_write_error(int error)
{
    if (error == EPIPE) {
        pipe_broken = true;
    } else if (!write_failed) {
        write_failed = true;
        cli_say("cannot write: %s", strerror(error));
    }
}

bool cli_reader_gone(void)
{
    struct pollfd end = {.fd = STDOUT_FILENO, .events = 0}; /* errors come unasked */
    if (poll(&end, 1, 0) == 1 && (end.revents & (POLLERR | POLLHUP)) != 0) {
        pipe_broken = true;
    }
    return pipe_broken;
}

bool cli_flush(void)
{
    const bool failed_before = ferror(stdout) != 0;
    errno = 0;
    if (fflush(stdout) == 0 && !failed_before) {
        return true;
    }
    note_write_error(errno != 0 ? errno : cli_reader_gone() ? EPIPE : EIO);
    return false;
}

size_t cli_write_out(const char *bytes, size_t len)
{
    size_t done = 0;
    while (done < len) {
        const ssize_t wrote = write(STDOUT_FILENO, bytes + done, len - done);
        if (wrote >= 0) {
            done += (size_t)wrote;
        } else if (errno == EAGAIN) { /* the other end of a shared terminal or pipe set it so */
            struct pollfd ready = {.fd = STDOUT_FILENO, .events = POLLOUT};
            (void)poll(&ready, 1, -1); /* the write tells */
        } else if (errno != EINTR) {
            note_write_error(errno);
            break;
        }
    }
    return done;
}

bool cli_pipe_broken(void)
{
    return pipe_broken;
}
