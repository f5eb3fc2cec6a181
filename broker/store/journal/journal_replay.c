/* SPDX-License-Identifier: MPL-2.0
 *
 * Taking the journal over at start-up: journal_scan.c reads it and judges its end; here the end
 * is brought in order and the journal made ready to be written to.
 *
 *   - A torn tail is set aside, zeroed. What is kept above the mark is written again and
 *     synced.
 *   - A damaged journal, or one whose oldest file is missing: the store does not start. Damage of
 *     redo data that is not needed is passed over.
 *   - Files that the journal says are gone are removed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/journal/journal_scan.h"
#include "broker/store/journal/redo_damage.h"
#include "broker/store/log_store_priv.h"
#include "broker/store/recover/torn.h"
#include "common/assert.h"

struct replay {
    struct log_store *store;
    struct journal_scan scan;
    struct zsp_writer bytes; /* of the last file */
};

/* --- Bringing the end in order -------------------------------------------------------------- */

/* Pos of the first record of the last file that is not proven to be synced; the file's bytes
 * were just read. */
static uint64_t unproven_pos(const struct replay *self, uint64_t end)
{
    uint64_t pos = 0;
    while (pos < end) {
        const struct journal_header header = journal_read_header(self->bytes.data + pos);
        if (header.number >= self->scan.mark) {
            break;
        }
        pos += journal_record_bytes(&header);
    }
    return pos;
}

static int cut_tail(struct replay *self, int file, uint64_t from, struct zsp_err *err)
{
    struct log_store *store = self->store;
    char name[96];
    char why[400];
    (void)snprintf(name, sizeof name, "journal-%" PRIu64 "-%" PRIu64, self->scan.torn_file, from);
    (void)snprintf(why, sizeof why, "journal file %" PRIu64 ": %.280s", self->scan.torn_file,
                   self->scan.torn.msg);
    const int rc = torn_set_aside(store, name, file, from, self->scan.torn_end, why, err);
    return rc < 0 ? rc : torn_zero(store->fs, file, from, self->scan.torn_end, err);
}

static int settle_end(struct replay *self, struct zsp_err *err)
{
    struct log_store *store = self->store;
    struct journal *journal = &store->journal;
    struct fs *fs = store->fs;
    const struct journal_file *last = &journal->files[journal->file_count - 1];
    char path[LAYOUT_PATH_MAX];
    layout_journal_path(path, last->number);
    int rc = layout_read_file(fs, path, JOURNAL_FILE_BYTES_MAX, &self->bytes, err);
    if (rc < 0) {
        return rc;
    }
    journal->file = fs->ops->open(fs->self, path, FS_WRITE, err);
    if (journal->file < 0) {
        return journal->file;
    }
    journal->filled_bytes = self->bytes.len;
    if (self->scan.torn_file != 0) {
        rc = cut_tail(self, journal->file, last->bytes, err);
    }
    if (rc == 0) {
        const uint64_t from = unproven_pos(self, last->bytes);
        rc = torn_rewrite(fs, journal->file, from, last->bytes, err);
    }
    if (rc == 0) {
        rc = fs->ops->sync(fs->self, journal->file, err);
    }
    return rc < 0 ? rc : fs->ops->sync_dir(fs->self, "journal", err);
}

/* The fact "oldest file that matters": older ones are removed, a missing one is damage. */
static int check_oldest(struct replay *self, struct zsp_err *err)
{
    struct journal *journal = &self->store->journal;
    uint64_t oldest;
    const int found = journal_scan_oldest(&self->scan, &oldest, err);
    if (found < 0) {
        return found;
    }
    struct fs *fs = self->store->fs;
    while (journal->file_count > 1 && journal->files[0].number < oldest) {
        char path[LAYOUT_PATH_MAX];
        layout_journal_path(path, journal->files[0].number);
        int rc = fs->ops->unlink(fs->self, path, err);
        if (rc >= 0) {
            rc = fs->ops->sync_dir(fs->self, "journal", err);
        }
        if (rc < 0) {
            return rc;
        }
        journal->file_count--;
        memmove(journal->files, journal->files + 1, journal->file_count * sizeof *journal->files);
    }
    return 0;
}

static int add_file(struct journal *journal, const struct journal_scan_file *file,
                    struct zsp_err *err)
{
    if (journal->file_count == journal->file_capacity) {
        const size_t capacity = journal->file_capacity ? journal->file_capacity * 2 : 8;
        struct journal_file *files = realloc(journal->files, capacity * sizeof *files);
        if (!files) {
            return zsp_err_set(err, ZSP_ENOMEM, "journal");
        }
        journal->files = files;
        journal->file_capacity = capacity;
    }
    journal->files[journal->file_count++] =
        (struct journal_file){file->number, file->first_record, file->bytes};
    return 0;
}

/* A new store's first file, or one whose first record never became durable. */
static int begin(struct replay *self, struct zsp_err *err)
{
    struct log_store *store = self->store;
    struct fs *fs = store->fs;
    bool empty;
    int rc = layout_is_empty(fs, "topics", &empty, err);
    if (rc < 0) {
        return rc;
    }
    if (!empty) {
        return zsp_err_set(err, ZSP_ECORRUPT, "there are topics, but the journal is empty");
    }
    if (self->scan.number_count > 0) {
        return 0;
    }
    char path[LAYOUT_PATH_MAX];
    layout_journal_path(path, 1);
    const int file = fs->ops->open(fs->self, path, FS_CREATE, err);
    if (file < 0) {
        return file;
    }
    (void)fs->ops->close(fs->self, file, NULL); /* empty */
    return add_file(&store->journal, &(struct journal_scan_file){1, 0, 0}, err);
}

static int finish(struct replay *self, struct zsp_err *err)
{
    struct journal *journal = &self->store->journal;
    int rc = 0;
    for (size_t i = 0; i < self->scan.file_count && rc == 0; i++) {
        rc = add_file(journal, &self->scan.files[i], err);
    }
    if (rc == 0 && !self->scan.any) {
        rc = begin(self, err);
    }
    if (rc == 0) {
        rc = settle_end(self, err);
    }
    if (rc == 0 && self->scan.any) {
        rc = check_oldest(self, err); /* removes files: what says so must be durable before */
    }
    journal->broker_ms = self->scan.broker_ms;
    journal->next_record = self->scan.expected;
    journal->written_record = self->scan.expected;
    journal->synced_record = self->scan.expected;
    return rc;
}

static void report_foreign(void *arg, const char *name)
{
    const struct log_store *store = arg;
    zsp_diag(store->options.diag, ZSP_WARNING, "journal/%s: unknown file, left alone", name);
}

/* --- Redo entries ------------------------------------------------------------------------- */

struct redo_report {
    size_t passed_over;
    struct redo_item first; /* of these */
    bool lost;
    struct redo_item first_lost;
};

static void note_verdict(void *arg, const struct redo_item *item, enum redo_verdict verdict)
{
    struct redo_report *self = arg;
    if (verdict != REDO_LOST) {
        self->first = self->passed_over++ == 0 ? *item : self->first;
    } else if (!self->lost) {
        self->lost = true;
        self->first_lost = *item;
    }
}

/* Damage of what is owed still and nowhere else ends the start, any other is told. */
static int judge_redo(struct log_store *store, struct zsp_err *err)
{
    struct redo_report report = {0};
    const struct redo_judge judge = {.fs = store->fs,
                                     .carry = &store->journal.carry,
                                     .topics = &store->topics,
                                     .verdict_fn = note_verdict,
                                     .arg = &report};
    const int rc = redo_judge(&judge, &store->redo_log, err);
    if (report.passed_over > 0) {
        zsp_diag(store->options.diag, ZSP_WARNING,
                 "journal file %" PRIu64 " at pos %" PRIu32
                 ": the data of a redo entry is damaged; "
                 "its segment has it (%zu of such)",
                 report.first.file, report.first.file_pos, report.passed_over);
    }
    return rc == 0 && report.lost ? redo_lost(&report.first_lost, err) : rc;
}

int journal_replay(struct log_store *store, struct zsp_err *err)
{
    struct replay replay = {
        .store = store,
        .scan = {.fs = store->fs,
                 .uuid = store->uuid,
                 .carry = &store->journal.carry,
                 .redo = &store->redo_log,
                 .entry_fn = store->hooks.entry_fn,
                 .entry_arg = store->hooks.arg,
                 .foreign_fn = report_foreign,
                 .foreign_arg = store},
    };
    int rc = journal_scan(&replay.scan, err);
    zsp_writer_fini(&replay.scan.bytes); /* a whole file */
    if (rc == 0) {
        rc = journal_scan_redo(&replay.scan, err);
    }
    if (rc == 0) {
        rc = judge_redo(store, err);
    }
    if (rc == 0) {
        rc = finish(&replay, err);
    }
    journal_scan_fini(&replay.scan);
    zsp_writer_fini(&replay.bytes);
    return rc;
}
