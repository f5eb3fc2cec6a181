/* SPDX-License-Identifier: MPL-2.0
 *
 * Reading the journal at start-up.
 *
 *   - Files are read in the order of their numbers; records are numbered without a
 *     gap; each is checked against its place and its predecessor's epoch.
 *   - The proven mark is the highest `synced to` of any record. Where a check fails
 *     below it, or before a later file that holds anything, the journal is damaged:
 *     ZSP_ECORRUPT, and the store does not start.
 *   - Otherwise the rest is a torn tail: set aside, zeroed. What is kept above the
 *     mark is written again and synced.
 *   - The last file may be all zero: it was made ahead.
 *   - A delta whose base went with a dropped file is skipped; an image or a `gone` of
 *     its object must follow, else the journal is damaged.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/log_store_priv.h"
#include "broker/store/torn.h"
#include "common/assert.h"

#define FILE_BYTES_MAX (1024ull * ZSP_MIB) /* no file of ours comes near */

/* An object of which only deltas are known. */
struct orphan {
    struct orphan *next;
    uint64_t record; /* of the first */
    size_t key_len;
    uint8_t key[];
};

struct replay {
    struct log_store *store;
    uint64_t *numbers; /* of the files found */
    size_t number_count;
    bool no_memory;

    bool any;          /* a record was read */
    uint64_t expected; /* number of the next record */
    uint64_t epoch;
    uint64_t mark;      /* highest `synced to` */
    uint64_t end_pos;   /* of the records of the last file with any */
    uint64_t torn_file; /* number of the file with a torn tail, 0 = none */
    uint64_t torn_end;  /* after its last nonzero byte */
    struct zsp_err torn;
    struct zsp_writer bytes; /* of the file being read */
    struct zsp_table orphans;
    struct orphan *orphan_first;
};

/* --- Finding the files --------------------------------------------------------------- */

static int note_file(void *arg, const struct fs_entry *entry)
{
    struct replay *self = arg;
    uint64_t number;
    if (!layout_parse_number(entry->name, ".jnl", &number)) {
        zsp_diag(self->store->options.diag, ZSP_WARNING, "journal/%s: unknown file, left alone",
                 entry->name);
        return 0;
    }
    uint64_t *numbers = realloc(self->numbers, (self->number_count + 1) * sizeof *numbers);
    if (!numbers) {
        self->no_memory = true;
        return 1;
    }
    self->numbers = numbers;
    numbers[self->number_count++] = number;
    return 0;
}

static int find_files(struct replay *self, struct zsp_err *err)
{
    struct fs *fs = self->store->fs;
    const int rc = layout_list(fs, "journal", note_file, self, err);
    if (rc < 0) {
        return rc;
    }
    if (self->no_memory) {
        return zsp_err_set(err, ZSP_ENOMEM, "list of journal/");
    }
    for (size_t i = 1; i < self->number_count; i++) {
        if (self->numbers[i] != self->numbers[i - 1] + 1) {
            return zsp_err_set(err, ZSP_ECORRUPT, "journal file %" PRIu64 " is missing",
                               self->numbers[i - 1] + 1);
        }
    }
    return 0;
}

/* --- Entries --------------------------------------------------------------------------- */

static struct zsp_slice orphan_key(const struct orphan *orphan)
{
    return (struct zsp_slice){orphan->key, orphan->key_len};
}

static int add_orphan(struct replay *self, struct zsp_slice key, struct zsp_err *err)
{
    if (zsp_table_find(&self->orphans, key)) {
        return 0;
    }
    struct orphan *orphan = calloc(1, sizeof *orphan + key.len);
    if (!orphan) {
        return zsp_err_set(err, ZSP_ENOMEM, "journal replay");
    }
    orphan->record = self->expected;
    orphan->key_len = key.len;
    memcpy(orphan->key, key.data, key.len);
    orphan->next = self->orphan_first;
    self->orphan_first = orphan;
    if (zsp_table_add(&self->orphans, orphan_key(orphan), orphan) < 0) {
        return zsp_err_set(err, ZSP_ENOMEM, "journal replay");
    }
    return 0;
}

static int apply_entry(struct replay *self, const struct store_entry *entry, struct zsp_err *err)
{
    struct log_store *store = self->store;
    struct carry *carry = &store->journal.carry;
    const bool live = carry_find(carry, entry->key) != NULL;
    if (entry->kind == STORE_DELTA && !live) {
        return add_orphan(self, entry->key, err);
    }
    if (entry->kind != STORE_DELTA) {
        (void)zsp_table_remove(&self->orphans, entry->key); /* freed at the end, by the list */
    }
    if (carry_note(carry, entry, self->expected) < 0) {
        return zsp_err_set(err, ZSP_ENOMEM, "journal replay");
    }
    const bool told = !fact_is_own(entry->key) && (live || entry->kind == STORE_IMAGE);
    if (!told || !store->hooks.entry_fn) {
        return 0;
    }
    return store->hooks.entry_fn(store->hooks.arg, entry, err);
}

static int apply_record(struct replay *self, const struct journal_header *header,
                        struct zsp_slice body, struct zsp_err *err)
{
    struct zsp_reader reader = zsp_reader_init(body);
    struct store_entry entry;
    uint32_t count = 0;
    while (journal_next_entry(&reader, &entry)) {
        const int rc = apply_entry(self, &entry, err);
        if (rc != 0) {
            return rc;
        }
        count++;
    }
    if (reader.failed || count != header->entry_count) {
        return zsp_err_set(err, ZSP_ECORRUPT, "its entries do not hold together");
    }
    return 0;
}

/* --- Records ---------------------------------------------------------------------------- */

/* Is this the record that must come? */
static bool follows(const struct replay *self, const struct journal_header *header,
                    struct zsp_err *err)
{
    if (self->any && header->number != self->expected) {
        (void)zsp_err_set(err, ZSP_ECORRUPT, "record %" PRIu64 " where %" PRIu64 " was due",
                          header->number, self->expected);
        return false;
    }
    if (header->epoch < self->epoch) {
        (void)zsp_err_set(err, ZSP_ECORRUPT, "stale record of epoch 0x%" PRIx64, header->epoch);
        return false;
    }
    return true;
}

/* All valid records of the file in `bytes` from its beginning: *ret_pos is where they end,
 * `end` says why when it is not the plain end. */
static int read_records(struct replay *self, uint64_t number, uint64_t *ret_pos,
                        struct zsp_err *end, struct zsp_err *err)
{
    struct journal *journal = &self->store->journal;
    const struct zsp_slice all = zsp_writer_slice(&self->bytes);
    struct journal_place place = {self->store->uuid, number, 0};
    while (place.pos < all.len) {
        const struct zsp_slice rest = {all.data + place.pos, all.len - (size_t)place.pos};
        struct journal_header header;
        struct zsp_slice body;
        if (journal_decode(rest, &place, &header, &body, end) < 0 || !follows(self, &header, end)) {
            break;
        }
        self->expected = header.number;
        const int rc = apply_record(self, &header, body, err);
        if (rc != 0) {
            (void)zsp_err_wrap(err, "journal file %" PRIu64 ": pos %" PRIu64, number, place.pos);
            return rc;
        }
        self->any = true;
        self->expected = header.number + 1;
        self->epoch = header.epoch;
        if (header.synced_to > self->mark) {
            self->mark = header.synced_to;
        }
        if (header.broker_ms > journal->broker_ms) {
            journal->broker_ms = header.broker_ms;
        }
        place.pos += journal_record_bytes(header.body_bytes);
    }
    *ret_pos = place.pos < all.len ? place.pos : all.len;
    return 0;
}

static size_t nonzero_end(struct zsp_slice bytes, size_t from)
{
    size_t end = bytes.len;
    while (end > from && bytes.data[end - 1] == 0) {
        end--;
    }
    return end;
}

/* A valid record behind the damage that proves a mark above it? */
static bool proven_behind(const struct replay *self, uint64_t number, uint64_t pos)
{
    const struct zsp_slice all = zsp_writer_slice(&self->bytes);
    struct journal_place place = {self->store->uuid, number, pos + JOURNAL_ALIGN};
    for (; place.pos < all.len; place.pos += JOURNAL_ALIGN) {
        struct journal_header header;
        struct zsp_slice body;
        const struct zsp_slice rest = {all.data + place.pos, all.len - (size_t)place.pos};
        if (journal_decode(rest, &place, &header, &body, NULL) == 0 &&
            header.synced_to > self->expected) {
            return true;
        }
    }
    return false;
}

static int damaged(const struct zsp_err *what, uint64_t number, uint64_t pos, struct zsp_err *err)
{
    char path[LAYOUT_PATH_MAX];
    layout_journal_path(path, number);
    return zsp_err_set(err, ZSP_ECORRUPT, "the journal is damaged: %s at pos %" PRIu64 ": %s", path,
                       pos, what->msg[0] ? what->msg : "records are missing");
}

static int add_file(struct journal *journal, uint64_t number, uint64_t first_record, uint64_t bytes)
{
    if (journal->file_count == journal->file_capacity) {
        const size_t capacity = journal->file_capacity ? journal->file_capacity * 2 : 8;
        struct journal_file *files = realloc(journal->files, capacity * sizeof *files);
        if (!files) {
            return ZSP_ENOMEM;
        }
        journal->files = files;
        journal->file_capacity = capacity;
    }
    journal->files[journal->file_count++] = (struct journal_file){number, first_record, bytes};
    return 0;
}

/* Read one file. The torn tail of an earlier one turns into damage when this one
 * holds anything. */
static int read_file(struct replay *self, uint64_t number, struct zsp_err *err)
{
    struct journal *journal = &self->store->journal;
    char path[LAYOUT_PATH_MAX];
    layout_journal_path(path, number);
    int rc = layout_read_file(self->store->fs, path, FILE_BYTES_MAX, &self->bytes, err);
    if (rc < 0) {
        return rc;
    }
    const struct zsp_slice all = zsp_writer_slice(&self->bytes);
    const size_t content_end = nonzero_end(all, 0);
    if (content_end == 0 && journal->file_count > 0) {
        return 0; /* made ahead */
    }
    if (self->torn_file != 0) {
        return damaged(&self->torn, self->torn_file, self->end_pos, err);
    }
    if (journal->file_count > 0 && journal->files[journal->file_count - 1].number != number - 1) {
        return damaged(&(struct zsp_err){0}, number - 1, 0, err);
    }
    const uint64_t first_record = self->expected;
    struct zsp_err end = {0};
    uint64_t pos = 0;
    rc = read_records(self, number, &pos, &end, err);
    if (rc != 0) {
        return rc;
    }
    if (add_file(journal, number, self->any && journal->file_count > 0 ? first_record : 0, pos) <
        0) {
        return zsp_err_set(err, ZSP_ENOMEM, "journal replay");
    }
    self->end_pos = pos;
    const size_t rest_end = nonzero_end(all, (size_t)pos);
    if (rest_end > pos) {
        if (self->mark > self->expected || proven_behind(self, number, pos)) {
            return damaged(&end, number, pos, err);
        }
        self->torn_file = number;
        self->torn_end = rest_end;
        self->torn = end;
    }
    return 0;
}

/* --- Bringing the end in order -------------------------------------------------------------- */

/* Pos of the first record of the last file that is not proven to be synced; the file's bytes
 * were just read. */
static uint64_t unproven_pos(const struct replay *self, uint64_t end)
{
    const uint8_t *data = self->bytes.data;
    uint64_t pos = 0;
    while (pos < end && zsp_get_u64(data + pos + 24) < self->mark) {
        pos += journal_record_bytes(zsp_get_u32(data + pos + 12));
    }
    return pos;
}

static int cut_tail(struct replay *self, int file, uint64_t from, struct zsp_err *err)
{
    struct log_store *store = self->store;
    char name[96];
    char why[400];
    (void)snprintf(name, sizeof name, "journal-%" PRIu64 "-%" PRIu64 "-start-%" PRIu64,
                   self->torn_file, from, store->epoch >> 32);
    (void)snprintf(why, sizeof why, "journal file %" PRIu64 ": %.280s", self->torn_file,
                   self->torn.msg);
    const int rc = torn_set_aside(store, name, file, from, self->torn_end, why, err);
    return rc < 0 ? rc : torn_zero(store->fs, file, from, self->torn_end, err);
}

static int settle_end(struct replay *self, struct zsp_err *err)
{
    struct log_store *store = self->store;
    struct journal *journal = &store->journal;
    struct fs *fs = store->fs;
    const struct journal_file *last = &journal->files[journal->file_count - 1];
    char path[LAYOUT_PATH_MAX];
    layout_journal_path(path, last->number);
    int rc = layout_read_file(fs, path, FILE_BYTES_MAX, &self->bytes, err);
    if (rc < 0) {
        return rc;
    }
    journal->file = fs->ops->open(fs->self, path, FS_WRITE, err);
    if (journal->file < 0) {
        return journal->file;
    }
    journal->filled_bytes = self->bytes.len;
    if (self->torn_file != 0) {
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
    uint64_t oldest = 1;
    const struct fact key = fact_journal(0);
    const struct carry_object *fact = carry_find(&journal->carry, fact_key(&key));
    if (fact && !fact_read_number(carry_value(fact), &oldest)) {
        return zsp_err_set(err, ZSP_ECORRUPT, "the journal's own fact is malformed");
    }
    if (journal->files[0].number > oldest) {
        return zsp_err_set(err, ZSP_ECORRUPT, "journal file %" PRIu64 ", the oldest, is missing",
                           oldest);
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
    if (self->number_count > 0) {
        return 0;
    }
    char path[LAYOUT_PATH_MAX];
    layout_journal_path(path, 1);
    const int file = fs->ops->open(fs->self, path, FS_CREATE, err);
    if (file < 0) {
        return file;
    }
    (void)fs->ops->close(fs->self, file, NULL); /* empty */
    return add_file(&store->journal, 1, 0, 0) < 0 ? zsp_err_set(err, ZSP_ENOMEM, "journal") : 0;
}

static int finish(struct replay *self, struct zsp_err *err)
{
    struct journal *journal = &self->store->journal;
    if (self->orphans.count > 0) {
        const struct orphan *orphan = self->orphan_first;
        while (!zsp_table_find(&self->orphans, orphan_key(orphan))) {
            orphan = orphan->next;
        }
        return zsp_err_set(err, ZSP_ECORRUPT,
                           "the journal is damaged: record %" PRIu64 " changes an object that is "
                           "nowhere",
                           orphan->record);
    }
    int rc = self->any ? 0 : begin(self, err);
    if (rc == 0) {
        rc = settle_end(self, err);
    }
    if (rc == 0 && self->any) {
        rc = check_oldest(self, err); /* removes files: what says so must be durable before */
    }
    journal->next_record = self->expected;
    journal->written_record = self->expected;
    journal->synced_record = self->expected;
    return rc;
}

int journal_replay(struct log_store *store, struct zsp_err *err)
{
    struct replay replay = {.store = store};
    zsp_table_init(&replay.orphans, store->journal.carry.table.seed);
    int rc = find_files(&replay, err);
    for (size_t i = 0; i < replay.number_count && rc == 0; i++) {
        rc = read_file(&replay, replay.numbers[i], err);
    }
    if (rc == 0) {
        rc = finish(&replay, err);
    }
    while (replay.orphan_first) {
        struct orphan *next = replay.orphan_first->next;
        free(replay.orphan_first);
        replay.orphan_first = next;
    }
    zsp_table_fini(&replay.orphans);
    zsp_writer_fini(&replay.bytes);
    free(replay.numbers);
    return rc;
}
