/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/cli/json.h"
#include "client/cli/worker/work.h"

#define EXIT_REJECT 65 /* EX_DATAERR of sysexits.h */

/* What became of a message, as told. */
struct verdict {
    const char *name;         /* ack, retry, reject, release, lost */
    zspool_outcome_t outcome; /* what the broker hears */
    char reason[256];         /* "" = none */
};

void work_fail(struct work *work, int code)
{
    work->code = work->code == CLI_OK ? code : work->code;
    work_stop(work);
    work_order_end(work);
}

static void settle(struct work *work, const zspool_message_t *message,
                   const struct verdict *verdict)
{
    zspool_error_t err = {0};
    zspool_settle_arg_t arg;
    zspool_settle_arg_init(&arg);
    arg.delay_ms = verdict->outcome == ZSPOOL_RETRY ? work->retry_delay_ms : -1;
    if (verdict->reason[0]) {
        arg.reason = zspool_text(verdict->reason);
    }
    if (zspool_settle(work->consumer, message, verdict->outcome, &arg, &err) != 0) {
        work_fail(work, cli_fail(&err));
    }
}

/* Nothing was written here that could be lost. */
static void close_output(struct slot *self)
{
    if (self->output) {
        (void)fclose(self->output);
        self->output = NULL;
    }
}

/* --- Start and stop ------------------------------------------------------------------ */

void slot_start(struct work *work, struct slot *self, const zspool_message_t *message)
{
    char *const *envp = work_env_of(work->env, message);
    FILE *const output = work->to ? tmpfile() : NULL;
    const struct child_spec spec = {
        .argv = work->command,
        .envp = envp,
        .input = message->payload.data,
        .input_len = message->payload.len,
        .output_fd = output            ? fileno(output)
                     : cli_common.json ? STDERR_FILENO
                                       : STDOUT_FILENO,
    };
    *self = (struct slot){.message = message,
                          .output = output,
                          .start_ms = cli_now_ms(),
                          .limit_ms = WORK_NEVER,
                          .kill_ms = WORK_NEVER};
    int failed = work->to && !output ? errno : ENOMEM;
    if (envp && (output || !work->to)) {
        failed = child_start(&self->child, &spec);
    }
    if (failed != 0) {
        const struct verdict release = {.name = "release", .outcome = ZSPOOL_RELEASE};
        cli_say("cannot run %s: %s", work->command[0], strerror(failed));
        settle(work, message, &release);
        close_output(self);
        work_fail(work, CLI_ERROR);
        return;
    }
    if (work->limit_ms > 0) {
        self->limit_ms = self->start_ms + work->limit_ms;
    }
    work->running++;
    work->started++;
}

void slot_stop(const struct work *work, struct slot *self, enum slot_stop_reason reason)
{
    if (self->child.pid == 0 || self->reason != SLOT_RUNS) {
        return;
    }
    self->reason = reason;
    self->limit_ms = WORK_NEVER;
    self->kill_ms = cli_now_ms() + work->grace_ms;
    child_signal(&self->child, SIGTERM);
}

void slot_look(const struct work *work, struct slot *self, int64_t now_ms)
{
    if (now_ms >= self->limit_ms) {
        slot_stop(work, self, SLOT_TIMEOUT);
    }
    if (now_ms >= self->kill_ms) {
        self->kill_ms = WORK_NEVER;
        child_signal(&self->child, SIGKILL);
    }
}

/* --- The end of a command --------------------------------------------------------------- */

static void add_last_line(struct verdict *self, const struct child *child)
{
    const char *line = child_last_line(child);
    const size_t len = strlen(self->reason);
    if (line[0]) {
        (void)snprintf(self->reason + len, sizeof self->reason - len, ": %s", line);
    }
}

/* It ended by itself: what it says is what holds. */
static void judge_status(struct verdict *self, int status)
{
    if (WIFSIGNALED(status)) {
        (void)snprintf(self->reason, sizeof self->reason, "killed by signal %d", WTERMSIG(status));
        return;
    }
    (void)snprintf(self->reason, sizeof self->reason, "exit %d", WEXITSTATUS(status));
    if (WEXITSTATUS(status) == 0) {
        *self = (struct verdict){.name = "ack", .outcome = ZSPOOL_ACK};
    } else if (WEXITSTATUS(status) == EXIT_REJECT) {
        self->name = "reject";
        self->outcome = ZSPOOL_REJECT;
    }
}

static void judge(struct verdict *ret, const struct work *work, const struct slot *slot, int status)
{
    *ret = (struct verdict){.name = "retry", .outcome = ZSPOOL_RETRY};
    switch (slot->reason) {
    case SLOT_RUNS:
        judge_status(ret, status);
        break;
    case SLOT_TIMEOUT:
        (void)snprintf(ret->reason, sizeof ret->reason, "not done after %lld ms",
                       (long long)work->limit_ms);
        break;
    case SLOT_LOST: /* the broker has it already; should it not, nothing is held against it */
        *ret = (struct verdict){.name = "lost", .outcome = ZSPOOL_RELEASE};
        return;
    case SLOT_STOPPING:
        *ret = (struct verdict){.name = "release", .outcome = ZSPOOL_RELEASE};
        return;
    }
    if (ret->outcome != ZSPOOL_ACK) {
        add_last_line(ret, &slot->child);
    }
}

static void tell(const struct slot *slot, const struct verdict *verdict, int status)
{
    const zspool_message_t *message = slot->message;
    if (!cli_common.json) {
        if (verdict->reason[0]) {
            cli_note("%s/%u/%llu: %s: %s", message->topic, message->partition,
                     (unsigned long long)message->offset, verdict->name, verdict->reason);
        }
        return;
    }
    struct json json = json_begin();
    json_text(&json, "topic", message->topic);
    json_uint(&json, "partition", message->partition);
    json_uint(&json, "offset", message->offset);
    json_text(&json, "outcome", verdict->name);
    if (WIFEXITED(status)) {
        json_uint(&json, "exit", (uint64_t)WEXITSTATUS(status));
        json_null(&json, "signal");
    } else {
        json_null(&json, "exit");
        json_uint(&json, "signal", (uint64_t)WTERMSIG(status));
    }
    if (verdict->reason[0]) {
        json_text(&json, "reason", verdict->reason);
    } else {
        json_null(&json, "reason");
    }
    json_int(&json, "duration_ms", cli_now_ms() - slot->start_ms);
    json_end(&json);
}

/* Output and ack as one; true = the message is settled with it. Else the verdict says what it gets. */
static bool commit(struct work *work, struct slot *self, struct verdict *verdict)
{
    switch (work_commit(work, self)) {
    case WORK_COMMITTED:
        return true;
    case WORK_LOST: /* as when it is lost earlier */
        *verdict = (struct verdict){.name = "lost", .outcome = ZSPOOL_RELEASE};
        return false;
    case WORK_TOO_LARGE:
        *verdict = (struct verdict){.name = "reject",
                                    .outcome = ZSPOOL_REJECT,
                                    .reason = "it printed more than a message may have"};
        return false;
    case WORK_REFUSED: /* nobody's fault: it is done again */
        *verdict = (struct verdict){.name = "release", .outcome = ZSPOOL_RELEASE};
        return false;
    case WORK_UNKNOWN: /* perhaps it came through: the lease decides */
        *verdict = (struct verdict){.name = "unknown", .outcome = ZSPOOL_ACK};
        return true;
    }
    return false;
}

void slot_reap(struct work *work, struct slot *self)
{
    int status = 0;
    struct verdict verdict;
    if (self->child.pid == 0 || !child_reap(&self->child, self->reason != SLOT_RUNS, &status)) {
        return;
    }
    judge(&verdict, work, self, status);
    const bool is_settled =
        work->to && verdict.outcome == ZSPOOL_ACK && commit(work, self, &verdict);
    tell(self, &verdict, status);
    if (!is_settled) {
        if (verdict.outcome != ZSPOOL_ACK) {
            work_order_broken(work, self->message);
        }
        settle(work, self->message, &verdict);
    }
    close_output(self);
    work->running--;
    work->idle_since_ms = cli_now_ms();
    if (cli_common.json && !cli_flush()) {
        work_fail(work, CLI_ERROR); /* nobody reads what becomes of them: run no more */
    }
}
