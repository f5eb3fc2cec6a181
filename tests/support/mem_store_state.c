/* SPDX-License-Identifier: MPL-2.0
 *
 * The durable state of mem_store: records in the order of the calls, replayed
 * from each key's last image on.
 */
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "common/limits.h"
#include "tests/support/mem_store_priv.h"

static struct zsp_slice slice_copy(struct zsp_slice bytes)
{
    uint8_t *data = mem_alloc(bytes.len + 1);
    if (bytes.len > 0) {
        memcpy(data, bytes.data, bytes.len);
    }
    return (struct zsp_slice){.data = data, .len = bytes.len};
}

static void slice_free(struct zsp_slice *bytes)
{
    free((void *)(uintptr_t)bytes->data); /* ours, made by slice_copy() */
    *bytes = (struct zsp_slice){0};
}

static void record_destroy(struct mem_store_record *record)
{
    for (size_t i = 0; i < record->entry_count; i++) {
        slice_free(&record->entries[i].key);
        slice_free(&record->entries[i].value);
    }
    free(record->entries);
    free(record);
}

int mem_state_put(struct store *base, const struct store_entry *entries, size_t count,
                  enum store_level level, uint64_t tag, struct zsp_err *err)
{
    struct mem_store *self = (struct mem_store *)base;
    zsp_assert(self->ready);
    if (self->failed) {
        return zsp_err_set(err, ZSP_ESTORAGE_FAILED, "the store failed");
    }
    if (self->fail_state_code != 0) {
        const int code = self->fail_state_code;
        self->fail_state_code = 0;
        return zsp_err_set(err, code, "state: %s", zsp_strerror(code));
    }
    zsp_assert(count > 0);
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        zsp_assert(entries[i].key.len >= 1);
        zsp_assert(entries[i].key.len <= ZSP_STATE_KEY_MAX);
        bytes += entries[i].key.len + entries[i].value.len;
    }
    if (bytes > ZSP_STATE_RECORD_MAX) {
        return zsp_err_set(err, ZSP_ETOO_LARGE, "state record of %zu bytes", bytes);
    }
    struct mem_store_record *record = mem_alloc(sizeof *record);
    record->entries = mem_alloc(count * sizeof *record->entries);
    for (size_t i = 0; i < count; i++) {
        record->entries[i].key = slice_copy(entries[i].key);
        record->entries[i].kind = entries[i].kind;
        record->entries[i].value = slice_copy(entries[i].value);
    }
    record->entry_count = count;
    record->level = level;
    record->tag = tag;
    record->broker_ms = self->broker_ms;
    self->records = mem_grow(self->records, &self->record_capacity, self->record_count + 1,
                             sizeof(struct mem_store_record *));
    self->records[self->record_count++] = record;
    return 0;
}

static void confirm(struct mem_store *self, const struct mem_store_record *record)
{
    mem_complete(self, STORE_STATE)->tag = record->tag;
}

void mem_state_write(struct mem_store *self)
{
    for (size_t i = 0; i < self->record_count; i++) {
        struct mem_store_record *record = self->records[i];
        if (record->written) {
            continue;
        }
        record->written = true;
        self->stats.journal_records++;
        if (record->level == STORE_WRITTEN) {
            confirm(self, record);
        }
    }
}

void mem_state_sync(struct mem_store *self)
{
    for (size_t i = 0; i < self->record_count; i++) {
        struct mem_store_record *record = self->records[i];
        if (!record->written || record->synced) {
            continue;
        }
        record->synced = true;
        if (record->atomic) {
            mem_atomic_apply(self, record, true);
        } else if (record->level == STORE_SYNCED_LEVEL) {
            confirm(self, record);
        }
    }
}

static bool unconfirmed(const struct mem_store_record *record)
{
    return record->level == STORE_WRITTEN ? !record->written : !record->synced;
}

void mem_state_fail(struct mem_store *self)
{
    for (size_t i = 0; i < self->record_count; i++) {
        if (unconfirmed(self->records[i])) {
            struct store_completion *done =
                mem_complete(self, self->records[i]->atomic ? STORE_ATOMIC_DONE : STORE_STATE);
            done->tag = self->records[i]->tag;
            mem_complete_failed(done);
        }
    }
}

/* Does an image or gone of this entry's key come later? */
static bool superseded(const struct mem_store *self, size_t record_index, size_t entry_index)
{
    const struct zsp_slice key = self->records[record_index]->entries[entry_index].key;
    for (size_t i = record_index; i < self->record_count; i++) {
        const struct mem_store_record *record = self->records[i];
        for (size_t j = i == record_index ? entry_index + 1 : 0; j < record->entry_count; j++) {
            const struct store_entry *entry = &record->entries[j];
            if (entry->kind != STORE_DELTA && zsp_slice_equal(entry->key, key)) {
                return true;
            }
        }
    }
    return false;
}

int mem_state_replay(struct mem_store *self, const struct store_hooks *hooks, struct zsp_err *err)
{
    for (size_t i = 0; i < self->record_count; i++) {
        const struct mem_store_record *record = self->records[i];
        for (size_t j = 0; j < record->entry_count; j++) {
            const struct store_entry *entry = &record->entries[j];
            if (entry->kind == STORE_GONE || superseded(self, i, j)) {
                continue;
            }
            const int rc = hooks->entry_fn(hooks->arg, entry, err);
            if (rc != 0) {
                return rc;
            }
        }
    }
    return 0;
}

void mem_state_restart(struct mem_store *self, enum mem_store_keep keep)
{
    size_t kept = 0;
    while (kept < self->record_count && (keep == MEM_KEEP_WRITTEN ? self->records[kept]->written
                                                                  : self->records[kept]->synced)) {
        kept++;
    }
    while (self->record_count > kept) {
        struct mem_store_record *record = self->records[--self->record_count];
        if (record->atomic) {
            mem_atomic_forget(self, record);
        }
        record_destroy(record);
    }
    self->broker_ms = 0;
    for (size_t i = 0; i < kept; i++) {
        self->records[i]->synced = true;
        if (self->records[i]->atomic) {
            mem_atomic_apply(self, self->records[i], false);
        }
        if (self->records[i]->broker_ms > self->broker_ms) {
            self->broker_ms = self->records[i]->broker_ms;
        }
    }
}

void mem_state_fini(struct mem_store *self)
{
    for (size_t i = 0; i < self->record_count; i++) {
        if (self->records[i]->atomic) {
            mem_atomic_forget(self, self->records[i]);
        }
        record_destroy(self->records[i]);
    }
    free(self->records);
}
