/* SPDX-License-Identifier: MPL-2.0
 *
 * Messages for people, questions, the client, and the ends of a run.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/cli.h"

/* Set once before the handler is, and read by it: the only globals of the command. */
static zspool_client_t *_Atomic interruptible;
static volatile sig_atomic_t stopped;

void cli_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("zspool: ", stderr);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): a line above starts it */
    (void)vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
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

bool cli_confirm(bool yes, const char *format, ...)
{
    if (yes) {
        return true;
    }
    if (!isatty(STDIN_FILENO)) {
        cli_say("this cannot be undone; --yes says that it is meant");
        return false;
    }
    va_list args;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): a line above starts it */
    (void)vfprintf(stderr, format, args);
    va_end(args);
    fputs(" [y/N] ", stderr);
    char answer[16];
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static void stop(int signal_number)
{
    (void)signal_number;
    stopped = 1;
    zspool_interrupt(atomic_load(&interruptible));
}

bool cli_stopped(void)
{
    return stopped != 0;
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
    /* Without SA_RESTART: a read of stdin ends, too. */
    const struct sigaction action = {.sa_handler = stop};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    return client;
}

void cli_client_destroy(zspool_client_t **client_p)
{
    const struct sigaction standard = {.sa_handler = SIG_DFL};
    (void)sigaction(SIGINT, &standard, NULL);
    (void)sigaction(SIGTERM, &standard, NULL);
    atomic_store(&interruptible, NULL);
    zspool_destroy(client_p);
}

int cli_timeout(void)
{
    return cli_common.timeout_ms > INT32_MAX ? INT32_MAX : (int)cli_common.timeout_ms;
}

bool cli_flush(void)
{
    const bool failed_before = ferror(stdout) != 0;
    if (fflush(stdout) == 0 && !failed_before) {
        return true;
    }
    if (errno != EPIPE && errno != 0) {
        cli_say("cannot write: %s", strerror(errno));
    }
    return false;
}
