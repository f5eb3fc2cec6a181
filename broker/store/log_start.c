/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/log_start.h"

#include <inttypes.h>

#include "broker/store/log_store_priv.h"
#include "broker/store/recover/recover.h"
#include "broker/store/topic_log.h"
#include "broker/store/unasked.h"
#include "common/assert.h"

static void report_foreign(void *arg, const char *name)
{
    const struct log_store *self = arg;
    zsp_diag(self->options.diag, ZSP_WARNING, "topics/%s: unknown name, left alone", name);
}

/* Everything that was put into the journal becomes durable now. */
static int sync_journal(struct log_store *self, struct zsp_err *err)
{
    store_run_inline(self);
    if (!self->failed && journal_busy(self) && !self->journal.blocked) {
        /* As if it had waited long enough. */
        self->journal.unsynced_ms = self->now.mono_ms - (int64_t)ZSP_JOURNAL_SYNC_MS;
        store_run_inline(self);
    }
    if (!self->failed && self->journal.blocked) {
        return zsp_err_set(err, ZSP_ENO_SPACE, "the disk is full: the journal cannot be written");
    }
    return store_check(self, err);
}

/* This start counts once every partition is open: one that finds messages newer than the journal, or
 * that ends before it came to them, is to leave what tells the next one so. */
static void count_start(struct log_store *self)
{
    const struct fact fact = fact_start(self->epoch >> 32);
    const struct store_entry entry = fact_entry(&fact, STORE_IMAGE);
    journal_put_own(self, &entry, 1, NULL, NULL);
}

static int read_epoch(struct log_store *self, struct zsp_err *err)
{
    const struct fact key = fact_start(0);
    uint64_t count = 0;
    if (!carry_number(&self->journal.carry, &key, &count)) {
        return zsp_err_set(err, ZSP_ECORRUPT, "the journal's start count is malformed");
    }
    if (count >= UINT32_MAX) {
        return zsp_err_set(err, ZSP_ECORRUPT, "start count %" PRIu64, count);
    }
    self->epoch = (count + 1) << 32;
    return 0;
}

int log_start(struct log_store *self, const struct store_hooks *hooks, struct instant now,
              struct zsp_err *err)
{
    zsp_assert(!self->starting && !self->ready);
    self->starting = true;
    self->hooks = *hooks;
    self->now = now;
    int rc = layout_read_topics(self->fs, &self->topics, report_foreign, self, err);
    if (rc == 0) {
        rc = journal_replay(self, err);
    }
    if (rc == 0) {
        rc = read_epoch(self, err);
    }
    if (rc == 0) { /* before a record that an older version would take for a torn one */
        rc = layout_raise_format(self->fs, err);
    }
    if (rc == 0) {
        rc = space_start(self, err);
    }
    if (rc == 0) {
        rc = topic_log_resume(self, err);
    }
    return rc;
}

int log_start_ready(struct log_store *self, struct zsp_err *err)
{
    zsp_assert(self->starting && !self->ready);
    int rc = unasked_settle(self, err);
    if (rc < 0) {
        return rc;
    }
    if (self->redo_log.count > 0) { /* all of it is synced in the segments now */
        redo_put_from(self);
    }
    count_start(self);
    rc = sync_journal(self, err); /* before anything is appended under its epoch */
    if (rc == 0) {
        rc = recover_remove_gone(self, err);
    }
    if (rc == 0) {
        rc = unasked_remove(self, err);
    }
    redo_log_fini(&self->redo_log);
    self->starting = false;
    self->ready = rc == 0;
    return rc;
}
