/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/journal/journal_scan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/file/layout.h"
#include "broker/store/journal/journal_proof.h"

/* An object of which only deltas are known. */
struct journal_orphan {
    struct journal_orphan *next;
    uint64_t record; /* of the first */
    size_t key_len;
    uint8_t key[];
};

/* --- Finding the files --------------------------------------------------------------- */

static int note_file(void *arg, const struct fs_entry *entry)
{
    struct journal_scan *self = arg;
    uint64_t number;
    if (!layout_parse_number(entry->name, ".jnl", &number)) {
        if (self->foreign_fn) {
            self->foreign_fn(self->foreign_arg, entry->name);
        }
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

static int find_files(struct journal_scan *self, struct zsp_err *err)
{
    const int rc = layout_list(self->fs, "journal", note_file, self, err);
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

static struct zsp_slice orphan_key(const struct journal_orphan *orphan)
{
    return (struct zsp_slice){orphan->key, orphan->key_len};
}

static int add_orphan(struct journal_scan *self, struct zsp_slice key, struct zsp_err *err)
{
    if (zsp_table_find(&self->orphans, key)) {
        return 0;
    }
    struct journal_orphan *orphan = calloc(1, sizeof *orphan + key.len);
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

/* The number that an own object holds, as far as it is known yet. */
static uint64_t number_so_far(const struct journal_scan *self, struct fact key)
{
    uint64_t number = 0;
    return carry_number(self->carry, &key, &number) ? number : 0;
}

static int apply_redo(struct journal_scan *self, uint64_t file, const struct store_entry *entry,
                      struct zsp_reader *data, struct zsp_err *err)
{
    struct redo_item item = {.file = file, .record = self->expected};
    struct journal_redo redo;
    struct zsp_slice bytes;
    if (fact_parse(entry->key, &item.topic_id, &item.partition) != 'B' ||
        !journal_read_redo(entry->value, data, &redo, &bytes)) {
        return zsp_err_set(err, ZSP_ECORRUPT, "record %" PRIu64 ": a malformed redo entry",
                           item.record);
    }
    if (!self->redo) {
        return 0;
    }
    item.segment = redo.segment;
    item.pos = redo.pos;
    item.len = redo.bytes;
    item.sum = redo.sum;
    item.file_pos = (uint32_t)(bytes.data - self->bytes.data);
    item.damaged = !journal_redo_valid(&redo, bytes);
    return redo_log_note(self->redo, &item, number_so_far(self, fact_redo_from(0)),
                         number_so_far(self, fact_journal(0)), err);
}

static int apply_entry(struct journal_scan *self, const struct store_entry *entry,
                       struct zsp_err *err)
{
    struct carry *carry = self->carry;
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
    if (!told || !self->entry_fn) {
        return 0;
    }
    return self->entry_fn(self->entry_arg, entry, err);
}

static int apply_record(struct journal_scan *self, uint64_t file,
                        const struct journal_header *header, const struct journal_parts *parts,
                        struct zsp_err *err)
{
    struct zsp_reader reader = zsp_reader_init(parts->body);
    struct zsp_reader data = zsp_reader_init(parts->data);
    struct store_entry entry;
    uint32_t count = 0;
    while (journal_next_entry(&reader, &entry)) {
        const int rc = entry.kind == STORE_REDO ? apply_redo(self, file, &entry, &data, err)
                                                : apply_entry(self, &entry, err);
        if (rc != 0) {
            return rc;
        }
        count++;
    }
    if (reader.failed || count != header->entry_count || zsp_reader_left(&data) > 0) {
        return zsp_err_set(err, ZSP_ECORRUPT, "its entries do not hold together");
    }
    return 0;
}

/* --- Records ---------------------------------------------------------------------------- */

/* Is this the record that must come? */
static bool follows(const struct journal_scan *self, const struct journal_header *header,
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
    if (header->version < self->version) {
        (void)zsp_err_set(err, ZSP_ECORRUPT, "record of version %" PRIu32 " behind a newer one",
                          header->version);
        return false;
    }
    return true;
}

/* All valid records of the file in `bytes` from its beginning: *ret_pos is where they end,
 * `end` says why when it is not the plain end. */
static int read_records(struct journal_scan *self, uint64_t number, uint64_t *ret_pos,
                        struct zsp_err *end, struct zsp_err *err)
{
    const struct zsp_slice all = zsp_writer_slice(&self->bytes);
    struct journal_place place = {self->uuid, number, 0};
    while (place.pos < all.len) {
        const struct zsp_slice rest = {all.data + place.pos, all.len - (size_t)place.pos};
        struct journal_header header;
        struct journal_parts parts;
        if (journal_decode(rest, &place, &header, &parts, end) < 0 ||
            !follows(self, &header, end)) {
            break;
        }
        self->expected = header.number;
        int rc = journal_judge_data(self, &place, &parts, end, err);
        if (rc == 0) {
            break;
        }
        if (rc > 0) {
            rc = apply_record(self, number, &header, &parts, err);
        }
        if (rc != 0) {
            (void)zsp_err_wrap(err, "journal file %" PRIu64 ": pos %" PRIu64, number, place.pos);
            return rc;
        }
        self->any = true;
        self->record_count++;
        self->expected = header.number + 1;
        self->epoch = header.epoch;
        self->version = header.version;
        if (header.synced_to > self->mark) {
            self->mark = header.synced_to;
        }
        if (header.broker_ms > self->broker_ms) {
            self->broker_ms = header.broker_ms;
        }
        place.pos += journal_record_bytes(&header);
    }
    *ret_pos = place.pos < all.len ? place.pos : all.len;
    return 0;
}

static int damaged(struct journal_scan *self, const struct zsp_err *what, uint64_t number,
                   uint64_t pos, struct zsp_err *err)
{
    self->damage_file = number;
    self->damage_pos = pos;
    if (what->msg[0]) {
        self->damage = *what;
    } else {
        (void)zsp_err_set(&self->damage, ZSP_ECORRUPT, "records are missing");
    }
    char path[LAYOUT_PATH_MAX];
    layout_journal_path(path, number);
    return zsp_err_set(err, ZSP_ECORRUPT, "the journal is damaged: %s at pos %" PRIu64 ": %s", path,
                       pos, self->damage.msg);
}

static int add_file(struct journal_scan *self, uint64_t number, uint64_t first_record,
                    uint64_t bytes, struct zsp_err *err)
{
    struct journal_scan_file *files =
        realloc(self->files, (self->file_count + 1) * sizeof *self->files);
    if (!files) {
        return zsp_err_set(err, ZSP_ENOMEM, "journal");
    }
    self->files = files;
    files[self->file_count++] = (struct journal_scan_file){number, first_record, bytes};
    return 0;
}

/* Where the records of the file end: plainly, torn, or damaged. */
static int judge_end(struct journal_scan *self, uint64_t number, const struct zsp_err *end,
                     struct zsp_err *err)
{
    const uint64_t pos = self->end_pos;
    const size_t rest_end = journal_nonzero_end(zsp_writer_slice(&self->bytes), (size_t)pos);
    if (rest_end <= pos) {
        return 0;
    }
    if (self->mark > self->expected || journal_proven_behind(self, number, pos)) {
        return damaged(self, end, number, pos, err);
    }
    self->torn_file = number;
    self->torn_end = rest_end;
    self->torn = *end;
    return 0;
}

/* Read one file. The torn tail of an earlier one turns into damage when this one
 * holds anything. */
static int read_file(struct journal_scan *self, uint64_t number, struct zsp_err *err)
{
    char path[LAYOUT_PATH_MAX];
    layout_journal_path(path, number);
    int rc = layout_read_file(self->fs, path, JOURNAL_FILE_BYTES_MAX, &self->bytes, err);
    if (rc < 0) {
        return rc;
    }
    const struct zsp_slice all = zsp_writer_slice(&self->bytes);
    self->bytes_read += all.len;
    if (journal_nonzero_end(all, 0) == 0 && self->file_count > 0) {
        return 0; /* made ahead */
    }
    if (self->torn_file != 0) {
        return damaged(self, &self->torn, self->torn_file, self->end_pos, err);
    }
    const bool is_first_empty = self->file_count > 0 && !self->any;
    if (is_first_empty ||
        (self->file_count > 0 && self->files[self->file_count - 1].number != number - 1)) {
        return damaged(self, &(struct zsp_err){0}, number - 1, 0, err);
    }
    const uint64_t first_record = self->any && self->file_count > 0 ? self->expected : 0;
    struct zsp_err end = {0};
    uint64_t pos = 0;
    rc = read_records(self, number, &pos, &end, err);
    if (rc == 0) {
        rc = add_file(self, number, first_record, pos, err);
    }
    if (rc != 0) {
        return rc;
    }
    self->end_pos = pos;
    return judge_end(self, number, &end, err);
}

/* Every object of which only deltas were known must have got an image. */
static int check_orphans(const struct journal_scan *self, struct zsp_err *err)
{
    if (self->orphans.count == 0) {
        return 0;
    }
    const struct journal_orphan *orphan = self->orphan_first;
    while (!zsp_table_find(&self->orphans, orphan_key(orphan))) {
        orphan = orphan->next;
    }
    return zsp_err_set(err, ZSP_ECORRUPT,
                       "the journal is damaged: record %" PRIu64 " changes an object that is "
                       "nowhere",
                       orphan->record);
}

int journal_scan(struct journal_scan *self, struct zsp_err *err)
{
    zsp_table_init(&self->orphans, self->carry->table.seed);
    int rc = find_files(self, err);
    for (size_t i = 0; i < self->number_count && rc == 0; i++) {
        rc = read_file(self, self->numbers[i], err);
    }
    return rc == 0 ? check_orphans(self, err) : rc;
}

int journal_scan_oldest(const struct journal_scan *self, uint64_t *ret, struct zsp_err *err)
{
    uint64_t oldest = 1;
    const struct fact key = fact_journal(0);
    if (!carry_number(self->carry, &key, &oldest)) {
        return zsp_err_set(err, ZSP_ECORRUPT, "the journal's own fact is malformed");
    }
    if (self->file_count > 0 && self->files[0].number > oldest) {
        return zsp_err_set(err, ZSP_ECORRUPT, "journal file %" PRIu64 ", the oldest, is missing",
                           oldest);
    }
    *ret = oldest;
    return 0;
}

int journal_scan_redo(const struct journal_scan *self, struct zsp_err *err)
{
    uint64_t from = 0;
    const struct fact key = fact_redo_from(0);
    if (!carry_number(self->carry, &key, &from)) {
        return zsp_err_set(err, ZSP_ECORRUPT, "the journal's own fact is malformed");
    }
    uint64_t oldest = 0;
    const int rc = journal_scan_oldest(self, &oldest, err);
    if (rc == 0) {
        redo_log_sort(self->redo, from, oldest);
    }
    return rc;
}

void journal_scan_fini(struct journal_scan *self)
{
    while (self->orphan_first) {
        struct journal_orphan *next = self->orphan_first->next;
        free(self->orphan_first);
        self->orphan_first = next;
    }
    zsp_table_fini(&self->orphans);
    zsp_writer_fini(&self->bytes);
    free(self->files);
    self->files = NULL;
    self->file_count = 0;
    free(self->numbers);
    self->numbers = NULL;
    self->number_count = 0;
}
