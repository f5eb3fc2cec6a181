/* SPDX-License-Identifier: MPL-2.0 */
#include <stdlib.h>

#include "client/cli/work.h"

#define OUTPUT_MAX \
    (4u << 20)      /* the broker takes a little less: a record has some bytes of its own */
#define STEP_MS 500 /* between two looks at signals, while the broker does not answer */

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

/* May the same commit be tried again? */
static bool is_passing(int rc, const zspool_error_t *err)
{
    return rc == ZSPOOL_ETIMEOUT || rc == ZSPOOL_EINTERRUPTED || err->maybe ||
           zspool_error_retriable(rc);
}

static enum work_committed run(struct work *self)
{
    for (;;) {
        zspool_error_t err = {0};
        const int rc = zspool_commit_run(self->commit, STEP_MS, NULL, &err);
        if (rc == 0) {
            return WORK_COMMITTED;
        }
        if (rc == ZSPOOL_ENOT_LEASED) {
            return WORK_LOST;
        }
        if (is_passing(rc, &err) && rc != ZSPOOL_EFENCED_PRODUCER) {
            work_take_signals(self);
            if (self->stop_signals < 2) {
                continue;
            }
        }
        work_fail(self, cli_fail(&err));
        return WORK_UNKNOWN;
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
        return WORK_UNKNOWN;
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
        return WORK_UNKNOWN;
    }
    return run(self);
}
