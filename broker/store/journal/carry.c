/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/journal/carry.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/log_store_priv.h"
#include "common/assert.h"

#define CARRY_PER_BYTE  2                    /* bytes carried per byte appended */
#define CARRY_TURN_MAX  (256 * (int)ZSP_KIB) /* bytes carried in one turn, and saved up */
#define CARRY_ASK_MS    1000    /* an image that did not come is asked for again, not before */
#define KEY_LEN_MASK    0x7fffu /* what its field holds */
#define CARRY_LIVE_RATE 3u      /* journal size that is fine, in live images */

void carry_init(struct carry *self, uint64_t seed)
{
    memset(self, 0, sizeof *self);
    TAILQ_INIT(&self->objects);
    zsp_table_init(&self->table, seed);
}

void carry_fini(struct carry *self)
{
    while (!TAILQ_EMPTY(&self->objects)) {
        struct carry_object *object = TAILQ_FIRST(&self->objects);
        TAILQ_REMOVE(&self->objects, object, link);
        free(object);
    }
    zsp_table_fini(&self->table);
}

struct zsp_slice carry_key(const struct carry_object *object)
{
    return (struct zsp_slice){object->bytes, object->key_len};
}

struct zsp_slice carry_value(const struct carry_object *object)
{
    const size_t len = object->image_bytes - JOURNAL_ENTRY_BYTES - object->key_len;
    return (struct zsp_slice){object->bytes + object->key_len, len <= FACT_VALUE_MAX ? len : 0};
}

struct carry_object *carry_find(const struct carry *self, struct zsp_slice key)
{
    return zsp_table_find(&self->table, key);
}

bool carry_number(const struct carry *self, const struct fact *key, uint64_t *ret)
{
    const struct carry_object *object = carry_find(self, fact_key(key));
    return !object || fact_read_number(carry_value(object), ret);
}

bool carry_is_dropping(const struct carry *self, uint64_t topic_id)
{
    const struct fact key = fact_dropping(topic_id);
    return carry_find(self, fact_key(&key)) != NULL;
}

static void list_remove(struct carry *self, struct carry_object *object)
{
    TAILQ_REMOVE(&self->objects, object, link);
    self->live_bytes -= object->image_bytes;
}

static void list_append(struct carry *self, struct carry_object *object)
{
    TAILQ_INSERT_TAIL(&self->objects, object, link);
    self->live_bytes += object->image_bytes;
}

/* What of an entry's value is kept. */
static size_t kept_len(const struct store_entry *entry)
{
    return fact_is_own(entry->key) && entry->value.len <= FACT_VALUE_MAX ? entry->value.len : 0;
}

static struct carry_object *object_new(struct carry *self, const struct store_entry *entry)
{
    const struct zsp_slice key = entry->key;
    struct carry_object *object =
        calloc(1, offsetof(struct carry_object, bytes) + key.len + kept_len(entry));
    if (!object) {
        return NULL;
    }
    zsp_assert(key.len <= ZSP_STATE_KEY_MAX);
    object->key_len = (unsigned)key.len & KEY_LEN_MASK;
    memcpy(object->bytes, key.data, key.len);
    if (zsp_table_add(&self->table, carry_key(object), object) < 0) {
        free(object);
        return NULL;
    }
    return object;
}

static void object_free(struct carry *self, struct carry_object *object)
{
    list_remove(self, object);
    (void)zsp_table_remove(&self->table, carry_key(object));
    free(object);
}

/* Facts of one kind are of one size; a damaged journal may say otherwise. */
static bool has_room(const struct carry_object *object, const struct store_entry *entry)
{
    return kept_len(entry) <= (fact_is_own(entry->key) ? carry_value(object).len : 0);
}

int carry_note(struct carry *self, const struct store_entry *entry, uint64_t record)
{
    if (entry->kind == STORE_DELTA || entry->kind == STORE_REDO) {
        return 0; /* an object's place is that of its last image; a redo is no object */
    }
    struct carry_object *object = carry_find(self, entry->key);
    if (entry->kind == STORE_GONE) {
        if (object) {
            object_free(self, object);
        }
        return 0;
    }
    if (object && has_room(object, entry)) {
        list_remove(self, object);
    } else {
        if (object) {
            object_free(self, object);
        }
        object = object_new(self, entry);
        if (!object) {
            return ZSP_ENOMEM;
        }
    }
    object->image_record = record;
    object->image_bytes = (uint32_t)(JOURNAL_ENTRY_BYTES + entry->key.len + entry->value.len);
    object->wanted_until = 0;
    const size_t value_len = kept_len(entry);
    if (value_len > 0) {
        memcpy(object->bytes + object->key_len, entry->value.data, value_len);
    }
    list_append(self, object);
    return 0;
}

void carry_earn(struct carry *self, uint64_t bytes)
{
    const uint64_t earned = bytes < CARRY_TURN_MAX ? bytes * CARRY_PER_BYTE : CARRY_TURN_MAX;
    self->budget += (int64_t)earned;
    if (self->budget > CARRY_TURN_MAX) {
        self->budget = CARRY_TURN_MAX;
    }
}

uint64_t carry_fine_bytes(const struct log_store *store)
{
    const uint64_t live = store->journal.carry.live_bytes * CARRY_LIVE_RATE;
    const uint64_t least = store->options.journal_bytes_min;
    return live > least ? live : least;
}

bool carry_wants_room(const struct log_store *store, uint64_t *ret_end)
{
    const struct journal *journal = &store->journal;
    if (journal->file_count < 2 || journal_bytes(journal) <= carry_fine_bytes(store)) {
        return false;
    }
    *ret_end = journal->files[1].first_record;
    return true;
}

/* The fact that the oldest file does not matter is synced, and so is all before it. */
static void drop_synced(struct log_store *store, void *arg, const struct zsp_err *err)
{
    (void)arg;
    if (!err) {
        journal_remove_oldest(store);
    }
}

static void ask_for_image(struct log_store *store, struct carry_object *object)
{
    struct zsp_buf *key = zsp_buf_copy(carry_key(object));
    if (!key) {
        store_fail_memory(store, "an image request");
        return;
    }
    object->wanted_until = (uint32_t)((store->now.mono_ms + CARRY_ASK_MS) / 1000 + 1);
    const struct completion completion = {.kind = STORE_IMAGE_WANTED, .key = key};
    store_complete(store, &completion, NULL);
}

void carry_step(struct log_store *store)
{
    struct journal *journal = &store->journal;
    struct carry *self = &journal->carry;
    uint64_t end;
    if (store->failed || journal->blocked || self->dropping || !carry_wants_room(store, &end)) {
        return;
    }
    struct carry_object *object = TAILQ_FIRST(&self->objects);
    while (object && object->image_record < end && self->budget > 0) {
        struct carry_object *next = TAILQ_NEXT(object, link); /* an own image moves to the end */
        if (fact_is_own(carry_key(object))) {
            self->budget -= (int64_t)object->image_bytes;
            uint8_t value[FACT_VALUE_MAX];
            const struct zsp_slice kept = carry_value(object);
            memcpy(value, kept.data, kept.len);
            const struct store_entry entry = {carry_key(object), STORE_IMAGE, {value, kept.len}};
            journal_put_own(store, &entry, 1, NULL, NULL);
        } else if ((int64_t)object->wanted_until * 1000 <= store->now.mono_ms) {
            self->budget -= (int64_t)object->image_bytes;
            ask_for_image(store, object);
        }
        object = next;
    }
    const struct carry_object *first = TAILQ_FIRST(&self->objects);
    if (!store->failed && first && first->image_record >= end && redo_oldest(store) >= end) {
        self->dropping = true;
        const struct fact fact = fact_journal(journal->files[1].number);
        const struct store_entry entry = fact_entry(&fact, STORE_IMAGE);
        journal_put_own(store, &entry, 1, drop_synced, NULL);
    }
}

int64_t carry_deadline_ms(const struct log_store *store)
{
    const struct journal *journal = &store->journal;
    const struct carry_object *first = TAILQ_FIRST(&journal->carry.objects);
    uint64_t end;
    if (journal->blocked || journal->carry.dropping || !first || !carry_wants_room(store, &end) ||
        first->image_record >= end || first->wanted_until == 0 || journal->carry.budget <= 0) {
        return INT64_MAX;
    }
    return (int64_t)first->wanted_until * 1000;
}
