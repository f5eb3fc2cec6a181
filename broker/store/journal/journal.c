/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/journal/journal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/log_store_priv.h"
#include "common/assert.h"

#define FILL_ALIGN      4096u
#define FILL_RETRY_MS   1000           /* after a fill or a next file that did not fit */
#define IOV_MAX_WRITE   64u            /* records in one piece, zeros in pieces of 64 KiB */
#define GATHER_KEEP_MAX (1u * ZSP_MIB) /* a larger buffer is given back */

static const uint8_t zeros[64 * 1024];

int journal_init(struct journal *self, uint64_t seed)
{
    memset(self, 0, sizeof *self);
    self->file = -1;
    self->next_file = -1;
    self->unsynced_ms = INT64_MAX;
    carry_init(&self->carry, seed);
    self->iov = calloc(IOV_MAX_WRITE, sizeof *self->iov);
    return self->iov ? 0 : ZSP_ENOMEM;
}

void journal_fini(struct log_store *store)
{
    struct journal *self = &store->journal;
    const int files[2] = {self->file, self->next_file};
    for (size_t i = 0; i < 2; i++) {
        if (files[i] >= 0) {
            /* What was promised is synced; a failing close loses nothing. */
            (void)store->fs->ops->close(store->fs->self, files[i], NULL);
        }
    }
    carry_fini(&self->carry);
    zsp_writer_fini(&self->gather);
    zsp_writer_fini(&self->writing);
    free(self->written_waits.items);
    free(self->synced_waits.items);
    free(self->files);
    free(self->iov);
    memset(self, 0, sizeof *self);
    self->file = -1;
    self->next_file = -1;
}

uint64_t journal_bytes(const struct journal *self)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < self->file_count; i++) {
        bytes += self->files[i].bytes;
    }
    return bytes;
}

struct journal_file *journal_last_file(struct journal *self)
{
    return &self->files[self->file_count - 1];
}

/* --- Waiting for records --------------------------------------------------------------- */

static int waits_add(struct journal_waits *self, const struct journal_wait *wait)
{
    if (self->count == self->capacity) {
        const size_t capacity = self->capacity ? self->capacity * 2 : 64;
        struct journal_wait *items = calloc(capacity, sizeof *items);
        if (!items) {
            return ZSP_ENOMEM;
        }
        for (size_t i = 0; i < self->count; i++) {
            items[i] = self->items[(self->first + i) & (self->capacity - 1)];
        }
        free(self->items);
        self->items = items;
        self->first = 0;
        self->capacity = capacity;
    }
    self->items[(self->first + self->count++) & (self->capacity - 1)] = *wait;
    return 0;
}

/* Tell everybody who waits for a record below `record`. */
static void waits_tell(struct log_store *store, struct journal_waits *self, uint64_t record,
                       const struct zsp_err *err)
{
    while (self->count > 0 && self->items[self->first].record < record) {
        const struct journal_wait wait = self->items[self->first];
        self->first = (self->first + 1) & (self->capacity - 1);
        self->count--;
        if (wait.fn) {
            wait.fn(store, wait.arg, err);
        } else {
            const struct completion completion = {.kind = STORE_STATE, .tag = wait.tag};
            store_complete(store, &completion, err);
        }
    }
}

/* --- Putting ----------------------------------------------------------------------------- */

/* Gather a record: its body, and of the header what is known already. */
static int gather(struct log_store *store, const struct store_entry *entries, size_t count)
{
    struct journal *self = &store->journal;
    const uint64_t body_bytes = journal_body_bytes(entries, count);
    const uint64_t data_bytes = journal_data_bytes(entries, count);
    const size_t before = self->gather.len;
    uint8_t *header = zsp_write_room(&self->gather, JOURNAL_HEADER_BYTES);
    if (header) {
        const struct journal_header known = {.body_bytes = (uint32_t)body_bytes,
                                             .data_bytes = (uint32_t)data_bytes,
                                             .entry_count = (uint32_t)count,
                                             .number = self->next_record,
                                             .broker_ms = self->broker_ms};
        journal_put_header(header, &known);
        journal_write_entries(&self->gather, entries, count);
        const size_t padding =
            (size_t)(journal_record_bytes(&known) - JOURNAL_HEADER_BYTES - body_bytes - data_bytes);
        zsp_write_bytes(&self->gather, (struct zsp_slice){zeros, padding});
    }
    if (self->gather.failed) {
        self->gather.failed = false;
        self->gather.len = before;
        return ZSP_ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        if (entries[i].kind == STORE_REDO) {
            redo_debt_add(&store->redo.debt, self->next_record, entries[i].value.len);
        }
        if (carry_note(&self->carry, &entries[i], self->next_record) < 0) {
            /* The record is incomplete in memory; it must not be half known. */
            store_fail_memory(store, "a state object");
            break;
        }
    }
    self->next_record++;
    store->stats.journal_records++;
    return 0;
}

/* Is there something that the delta adds to? */
static bool has_base(const struct journal *self, const struct store_entry *entries, size_t at)
{
    if (carry_find(&self->carry, entries[at].key)) {
        return true;
    }
    for (size_t i = 0; i < at; i++) {
        if (entries[i].kind == STORE_IMAGE && zsp_slice_equal(entries[i].key, entries[at].key)) {
            return true;
        }
    }
    return false;
}

static int check_entries(const struct journal *self, const struct store_entry *entries,
                         size_t count, struct zsp_err *err)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const struct zsp_slice key = entries[i].key;
        if (key.len == 0 || key.len > ZSP_STATE_KEY_MAX || fact_is_own(key)) {
            return zsp_err_set(err, ZSP_EINVAL,
                               "state entry %zu: key of %zu bytes; wanted 1 to %u, the first not 0",
                               i, key.len, ZSP_STATE_KEY_MAX);
        }
        if (entries[i].value.len > ZSP_STATE_RECORD_MAX) {
            return zsp_err_set(err, ZSP_ETOO_LARGE, "state entry %zu: %zu bytes, at most %u", i,
                               entries[i].value.len, ZSP_STATE_RECORD_MAX);
        }
        if (entries[i].kind == STORE_DELTA && !has_base(self, entries, i)) {
            return zsp_err_set(err, ZSP_EINVAL, "state entry %zu: a delta of nothing", i);
        }
        bytes += JOURNAL_ENTRY_BYTES + key.len + entries[i].value.len;
        if (bytes > ZSP_STATE_RECORD_MAX) {
            return zsp_err_set(err, ZSP_ETOO_LARGE, "state record of more than %u bytes",
                               ZSP_STATE_RECORD_MAX);
        }
    }
    return 0;
}

int journal_put(struct log_store *store, const struct store_entry *entries, size_t count,
                size_t own_count, enum store_level level, const struct journal_wait *wait,
                struct zsp_err *err)
{
    struct journal *self = &store->journal;
    if (self->blocked) {
        return zsp_err_set(err, ZSP_ENO_SPACE, "the disk is full: no state can be kept");
    }
    int rc = 0;
    if (count == 0) {
        rc = zsp_err_set(err, ZSP_EINVAL, "state record without entries");
    } else {
        rc = check_entries(self, entries, count - own_count, err);
    }
    if (rc < 0) {
        return rc;
    }
    struct journal_waits *waits =
        level == STORE_WRITTEN ? &self->written_waits : &self->synced_waits;
    struct journal_wait waits_here = *wait;
    waits_here.record = self->next_record;
    if (waits_add(waits, &waits_here) < 0) {
        return zsp_err_set(err, ZSP_ENOMEM, "a state record");
    }
    if (gather(store, entries, count) < 0) {
        waits->count--;
        return zsp_err_set(err, ZSP_ENOMEM, "a state record");
    }
    return 0;
}

void journal_put_own(struct log_store *store, const struct store_entry *entries, size_t count,
                     journal_fn *fn, void *arg)
{
    struct journal *self = &store->journal;
    const struct journal_wait wait = {.record = self->next_record, .fn = fn, .arg = arg};
    if (store->failed) {
        if (fn) {
            fn(store, arg, &store->failure);
        }
        return;
    }
    if (fn && waits_add(&self->synced_waits, &wait) < 0) {
        store_fail_memory(store, "a state record");
        fn(store, arg, &store->failure);
        return;
    }
    if (gather(store, entries, count) < 0) {
        store_fail_memory(store, "a state record"); /* tells `fn` */
    }
}

/* --- Writing ------------------------------------------------------------------------------------ */

/* Finish the headers of all records in `writing`, now that their place is known. */
static void seal_records(struct log_store *store)
{
    struct journal *self = &store->journal;
    struct journal_place place = {store->uuid, journal_last_file(self)->number,
                                  journal_last_file(self)->bytes};
    uint8_t *p = self->writing.data;
    size_t left = self->writing.len;
    while (left > 0) {
        struct journal_header header = journal_read_header(p);
        header.epoch = store->epoch;
        header.synced_to = self->synced_record;
        journal_seal(p, &header, &place);
        const size_t bytes = (size_t)journal_record_bytes(&header);
        zsp_assert(bytes <= left);
        p += bytes;
        left -= bytes;
        place.pos += bytes;
    }
}

static void write_done(struct log_store *store, struct io *io);

/* Zeros behind the records, when little of what was filled is left. */
static uint64_t fill_behind(const struct log_store *store)
{
    const struct journal *self = &store->journal;
    const uint64_t fill = store->options.fill_bytes;
    const uint64_t end = self->files[self->file_count - 1].bytes + self->writing.len;
    if (fill == 0 || self->no_fill ||
        (end < self->filled_bytes && self->filled_bytes - end >= fill / 4)) {
        return 0;
    }
    uint64_t fill_end = (end + fill + FILL_ALIGN - 1) / FILL_ALIGN * FILL_ALIGN;
    const uint64_t most = (uint64_t)sizeof zeros * (IOV_MAX_WRITE - 2);
    if (fill_end > end + most) {
        fill_end = end + most;
    }
    return fill_end > end ? fill_end - end : 0;
}

static void submit_write(struct log_store *store)
{
    struct journal *self = &store->journal;
    uint64_t fill = fill_behind(store);
    self->iov[0] = (struct iovec){self->writing.data, self->writing.len};
    self->write_io.job = (struct job){.kind = JOB_WRITE,
                                      .owner = self,
                                      .file = self->file,
                                      .pos = journal_last_file(self)->bytes,
                                      .len = self->writing.len + (size_t)fill,
                                      .iov = self->iov};
    int count = 1;
    while (fill > 0) {
        const size_t piece = fill < sizeof zeros ? (size_t)fill : sizeof zeros;
        /* pwritev does not change what it writes; iovec has no const. */
        self->iov[count++] = (struct iovec){(void *)(uintptr_t)zeros, piece};
        fill -= piece;
    }
    self->write_io.job.iov_count = count;
    self->write_io.done_fn = write_done;
    self->write_out = true;
    const uint64_t end = self->write_io.job.pos + self->write_io.job.len;
    space_spend(store, end > self->filled_bytes ? end - self->filled_bytes : 0);
    store->writes_live++;
    store_submit(store, &self->write_io);
}

/* Every record in the write is in the page cache. */
static void records_written(struct log_store *store)
{
    struct journal *self = &store->journal;
    const uint8_t *p = self->writing.data;
    size_t left = self->writing.len;
    while (left > 0) {
        const struct journal_header header = journal_read_header(p);
        const size_t bytes = (size_t)journal_record_bytes(&header);
        zsp_assert(bytes <= left);
        self->written_record = header.number + 1;
        p += bytes;
        left -= bytes;
    }
    journal_last_file(self)->bytes += self->writing.len;
    store->stats.journal_bytes += self->writing.len;
    carry_earn(&self->carry, self->writing.len);
    if (self->unsynced_ms == INT64_MAX) {
        self->unsynced_ms = store->now.mono_ms;
    }
    zsp_writer_reset(&self->writing);
    if (self->writing.capacity > GATHER_KEEP_MAX) {
        zsp_writer_fini(&self->writing);
    }
    waits_tell(store, &self->written_waits, self->written_record, NULL);
}

static void write_done(struct log_store *store, struct io *io)
{
    struct journal *self = &store->journal;
    self->write_out = false;
    store->writes_live--;
    if (store->failed) {
        return;
    }
    const uint64_t end = journal_last_file(self)->bytes + io->job.done;
    if (end > self->filled_bytes) {
        self->filled_bytes = end;
    }
    const bool full = io->job.error.code == ZSP_ENO_SPACE;
    if (io->job.done >= self->writing.len && (full || io->job.error.code == 0)) {
        self->no_fill = io->job.done < io->job.len;
        self->retry_ms = store->now.mono_ms + FILL_RETRY_MS;
        self->blocked = false;
        records_written(store);
    } else if (full) {
        self->blocked = true;
        self->no_fill = true;
        self->retry_ms = store->now.mono_ms + JOURNAL_RETRY_MS;
    } else {
        struct zsp_err err = io->job.error;
        (void)zsp_err_wrap(&err, "journal file %" PRIu64, journal_last_file(self)->number);
        store_fail(store, &err);
    }
    space_check(store);
}

void journal_flush(struct log_store *store)
{
    struct journal *self = &store->journal;
    if (self->write_out || store->failed) {
        return;
    }
    if (self->blocked) {
        if (store->now.mono_ms >= self->retry_ms) {
            submit_write(store); /* the same bytes at the same place */
        }
        return;
    }
    if (self->no_fill && store->now.mono_ms >= self->retry_ms) {
        self->no_fill = false;
    }
    journal_make_next(store);
    if (self->gather.len == 0) {
        return;
    }
    if (journal_last_file(self)->bytes >= store->options.journal_file_bytes &&
        (self->next_file >= 0 || self->making)) {
        self->ending = true; /* commit.c syncs what is left */
        if (self->next_file < 0 || self->synced_record < self->written_record) {
            return;
        }
        journal_switch_file(store);
    } else {
        self->ending = false; /* without room for a next file this one grows on */
    }
    zsp_assert(self->writing.len == 0);
    const struct zsp_writer empty = self->writing;
    self->writing = self->gather;
    self->gather = empty;
    seal_records(store);
    submit_write(store);
}

/* --- Syncing --------------------------------------------------------------------------------------- */

bool journal_wants_sync(const struct log_store *store)
{
    const struct journal *self = &store->journal;
    if (self->written_record == self->synced_record) {
        return false;
    }
    const struct journal_waits *waits = &self->synced_waits;
    const bool waited =
        waits->count > 0 && waits->items[waits->first].record < self->written_record;
    return waited || self->ending ||
           store->now.mono_ms - self->unsynced_ms >= (int64_t)ZSP_JOURNAL_SYNC_MS;
}

int journal_sync_file(struct log_store *store, uint64_t *ret_record)
{
    struct journal *self = &store->journal;
    *ret_record = self->written_record;
    self->unsynced_ms = INT64_MAX; /* what is written from now on waits anew */
    return self->file;
}

void journal_synced(struct log_store *store, uint64_t record)
{
    struct journal *self = &store->journal;
    self->synced_record = record;
    waits_tell(store, &self->synced_waits, record, NULL);
}

int64_t journal_deadline_ms(const struct log_store *store)
{
    const struct journal *self = &store->journal;
    int64_t deadline = INT64_MAX;
    if (self->blocked && !self->write_out) {
        deadline = self->retry_ms;
    }
    /* With a sync under way its end is what brings the next one. */
    if (self->unsynced_ms != INT64_MAX && !commit_busy(store) &&
        self->unsynced_ms + (int64_t)ZSP_JOURNAL_SYNC_MS < deadline) {
        deadline = self->unsynced_ms + (int64_t)ZSP_JOURNAL_SYNC_MS;
    }
    return deadline;
}

bool journal_busy(const struct log_store *store)
{
    const struct journal *self = &store->journal;
    return self->write_out || self->gather.len > 0 || self->writing.len > 0 ||
           self->synced_record < self->written_record;
}

void journal_fail(struct log_store *store)
{
    struct journal *self = &store->journal;
    struct zsp_err err = store->failure;
    err.maybe = true;
    waits_tell(store, &self->written_waits, UINT64_MAX, &err);
    waits_tell(store, &self->synced_waits, UINT64_MAX, &err);
}
