/* SPDX-License-Identifier: MPL-2.0 */
#include <poll.h>
#include <stdlib.h>

#include "client/cli/worker/work.h"

#define OUTPUT_MAX \
    (4u << 20)            /* the broker takes a little less: a record has some bytes of its own */
#define STEP_MS      500  /* between two looks at signals, while the broker does not answer */
#define PAUSE_MAX_MS 5000 /* between two attempts while it refuses */

/* All that was printed; NULL = no memory, or it cannot be read. */
static char *read_output(FILE *output, size_t *ret_len)
{
    char *const bytes = malloc(OUTPUT_MAX + 1);
    if (!bytes || fseek(output, 0, SEEK_SET) != 0) {
        free(bytes);
        return NULL;
    }
    *ret_len = fread(bytes, 1, OUTPUT_MAX + 1, output);
    if (ferror(output)) {
        free(bytes);
        return NULL;
    }
    return bytes;
}

/* Put both into the commit. 0, or why not. */
static int fill(const struct work *self, const struct slot *slot, const char *bytes, size_t len,
                zspool_error_t *err)
{
    int rc = 0;
    if (len > 0) { /* who prints nothing has nothing to say */
        zspool_out_t out = zspool_out(self->to, bytes, len);
        out.key = slot->message->key;
        rc = zspool_commit_send(self->commit, &out, err);
    }
    return rc != 0 ? rc : zspool_commit_settle(self->commit, slot->message, ZSPOOL_ACK, NULL, err);
}

/* It was not answered, or the broker says that it may have been applied. */
static bool is_unknown(int rc, const zspool_error_t *err)
{
    return rc == ZSPOOL_ETIMEOUT || rc == ZSPOOL_EINTERRUPTED || err->maybe;
}

/* Until `until_ms`, or a second signal. */
static void pause_until(struct work *self, int64_t until_ms)
{
    int64_t now_ms = cli_now_ms();
    while (now_ms < until_ms && self->stop_signals < 2) {
        struct pollfd fd = {.fd = self->signal_fd, .events = POLLIN};
        (void)poll(&fd, 1, (int)(until_ms - now_ms)); /* a failure: the time is looked at again */
        work_take_signals(self);
        now_ms = cli_now_ms();
    }
}

/* Refused since `since_ms`, which may pass: wait a while. False = long enough; nothing of it was applied. */
static bool be_patient(struct work *self, int64_t since_ms, int64_t *pause_ms,
                       const zspool_error_t *err)
{
    const int64_t end_ms = since_ms + self->patience_ms;
    const int64_t now_ms = cli_now_ms();
    if (now_ms >= end_ms || self->code != CLI_OK) {
        return false;
    }
    if (*pause_ms == 0) {
        cli_say("%s: what was printed is not taken yet: %s", self->to, err->message);
        *pause_ms = STEP_MS;
    }
    pause_until(self, now_ms + *pause_ms < end_ms ? now_ms + *pause_ms : end_ms);
    *pause_ms = 2 * *pause_ms < PAUSE_MAX_MS ? 2 * *pause_ms : PAUSE_MAX_MS;
    return self->stop_signals < 2;
}

static enum work_committed run(struct work *self)
{
    const int64_t start_ms = cli_now_ms();
    int64_t pause_ms = 0;
    bool absence_told = false;
    for (;;) {
        zspool_error_t err = {0};
        const int rc = zspool_commit_run(self->commit, STEP_MS, NULL, &err);
        if (rc == 0) {
            return WORK_COMMITTED;
        }
        if (rc == ZSPOOL_ENOT_LEASED) {
            return WORK_LOST;
        }
        if (!zspool_error_retriable(rc) && rc != ZSPOOL_ESTORAGE_FAILED) {
            work_fail(self, cli_fail(&err));
            return err.maybe ? WORK_UNKNOWN : WORK_REFUSED;
        }
        work_take_signals(self);
        if (is_unknown(rc, &err)) {
            cli_note_absence(self->client, &absence_told);
            if (self->stop_signals >= 2) {
                work_fail(self, cli_fail(&err));
                return WORK_UNKNOWN;
            }
        } else if (!be_patient(self, start_ms, &pause_ms, &err)) {
            zspool_commit_clear(self->commit);
            work_fail(self, cli_fail(&err));
            return WORK_REFUSED;
        }
    }
}

enum work_committed work_commit(struct work *self, struct slot *slot)
{
    size_t len = 0;
    zspool_error_t err = {0};
    char *const bytes = read_output(slot->output, &len);
    if (!bytes) {
        cli_say("the output of %s cannot be read", self->command[0]);
        work_fail(self, CLI_ERROR);
        return WORK_REFUSED;
    }
    int rc = len > OUTPUT_MAX ? ZSPOOL_ETOO_LARGE : fill(self, slot, bytes, len, &err);
    free(bytes);
    if (rc == ZSPOOL_ETOO_LARGE) {
        zspool_commit_clear(self->commit);
        return WORK_TOO_LARGE;
    }
    if (rc != 0) {
        zspool_commit_clear(self->commit);
        work_fail(self, cli_fail(&err));
        return WORK_REFUSED;
    }
    return run(self);
}
