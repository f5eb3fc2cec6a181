/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/replay/savepoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/engine/ledger/ledger_codec.h"
#include "broker/engine/ledger/ledger_compare.h"
#include "broker/engine/state.h"
#include "common/assert.h"
#include "common/name.h"

#define SAVEPOINT_VERSION 1u

/* What a block, and a ledger, add to a record that restores them, on top of their bytes. */
#define BLOCK_COST  48u
#define LEDGER_COST 64u

/* --- Finding ------------------------------------------------------------------------------- */

uint32_t savepoint_number(const struct savepoint *self)
{
    return zsp_get_u32(self->key + 8);
}

static uint64_t group_id_of(const struct savepoint *self)
{
    return zsp_get_u64(self->key);
}

static struct zsp_slice key_of(const struct savepoint *self)
{
    return (struct zsp_slice){self->key, SAVEPOINT_KEY_LEN};
}

struct zsp_slice savepoint_store_key(const struct savepoint *self, uint8_t *key)
{
    key[0] = SAVEPOINT_KEY;
    memcpy(key + 1, self->key, SAVEPOINT_KEY_LEN);
    return (struct zsp_slice){key, 1 + SAVEPOINT_KEY_LEN};
}

static struct zsp_slice value_of(const struct savepoint *self)
{
    return (struct zsp_slice){self->value->data, self->value->len};
}

/* What comes before the ledgers. */
static bool read_head(struct zsp_reader *in, struct savepoint_head *ret)
{
    const uint8_t version = zsp_read_u8(in);
    ret->created_ms = (int64_t)zsp_read_u64(in);
    ret->name = zsp_read_short(in);
    return !in->failed && version == SAVEPOINT_VERSION;
}

struct savepoint_head savepoint_head(const struct savepoint *self)
{
    struct savepoint_head head;
    struct zsp_reader in = zsp_reader_init(value_of(self));
    (void)read_head(&in, &head); /* it was checked when it came */
    return head;
}

struct savepoint *savepoint_of(const struct group *group, uint32_t number)
{
    struct savepoint *at = group->savepoint_first;
    while (at && savepoint_number(at) != number) {
        at = at->next;
    }
    return at && at->value ? at : NULL;
}

struct savepoint *savepoint_find(const struct group *group, struct zsp_slice name)
{
    for (struct savepoint *at = group->savepoint_first; at; at = at->next) {
        if (savepoint_number(at) != SAVEPOINT_UNDO && at->value &&
            zsp_slice_equal(savepoint_head(at).name, name)) {
            return at;
        }
    }
    return NULL;
}

/* --- Content --------------------------------------------------------------------------------- */

static int too_large(size_t bytes_max, size_t fits, size_t count, struct zsp_err *err)
{
    char wanted[64];
    char got[96];
    (void)snprintf(wanted, sizeof wanted, "at most %zu bytes", bytes_max);
    (void)snprintf(got, sizeof got, "more, with %zu of %zu partitions", fits, count);
    (void)zsp_err_set(err, ZSP_ETOO_LARGE,
                      "the state of the group takes more than %zu bytes; %zu of its %zu partitions "
                      "fit: they are too many, or have too many stretches of unfinished messages",
                      bytes_max, fits, count);
    zsp_err_detail(err, "savepoint", wanted, got);
    return ZSP_ETOO_LARGE;
}

/* Returns what it adds to a record that restores it. */
static size_t write_ledger(struct zsp_writer *out, const struct ledger *ledger)
{
    const struct topic *topic = ledger->partition->topic;
    const size_t before = out->len;
    zsp_write_u64(out, topic->id);
    zsp_write_short(out, topic->name);
    zsp_write_u32(out, ledger_partition_index(ledger));
    zsp_write_u64(out, ledger->journaled);
    zsp_write_u32(out, block_set_count(&ledger->blocks));
    struct zsp_writer block = {0};
    for (size_t i = 0; i < block_set_count(&ledger->blocks); i++) {
        zsp_writer_reset(&block);
        ledger_write_block(ledger, block_set_at(&ledger->blocks, i), ZSP_UNDO_BYTES / 2, &block);
        zsp_write_u64(out, block_set_at(&ledger->blocks, i));
        zsp_write_u32(out, (uint32_t)block.len);
        zsp_write_bytes(out, zsp_writer_slice(&block));
        out->failed = out->failed || block.failed;
        if (out->len > ZSP_SAVEPOINT_BYTES) {
            break;
        }
    }
    zsp_writer_fini(&block);
    return out->len - before + LEDGER_COST + BLOCK_COST * block_set_count(&ledger->blocks);
}

int savepoint_write(struct zsp_writer *out, int64_t created_ms, struct zsp_slice name,
                    struct ledger *const *ledgers, size_t count, struct zsp_err *err)
{
    const size_t bytes_max = name.len > 0 ? ZSP_SAVEPOINT_BYTES : ZSP_UNDO_BYTES;
    size_t cost = 0;
    zsp_write_u8(out, SAVEPOINT_VERSION);
    zsp_write_u64(out, (uint64_t)created_ms);
    zsp_write_short(out, name);
    for (size_t i = 0; i < count; i++) {
        cost += write_ledger(out, ledgers[i]);
        if (cost > bytes_max) {
            return too_large(bytes_max, i, count, err);
        }
    }
    return out->failed ? zsp_err_set(err, ZSP_ENOMEM, "savepoint: out of memory") : 0;
}

struct zsp_reader savepoint_ledgers(const struct savepoint *self)
{
    struct savepoint_head head;
    struct zsp_reader in = zsp_reader_init(value_of(self));
    (void)read_head(&in, &head);
    return in;
}

bool savepoint_next_ledger(struct zsp_reader *in, struct saved_ledger *ret)
{
    if (in->failed || zsp_reader_left(in) == 0) {
        return false;
    }
    ret->topic_id = zsp_read_u64(in);
    ret->topic = zsp_read_short(in);
    ret->partition = zsp_read_u32(in);
    ret->high = zsp_read_u64(in);
    ret->block_count = zsp_read_u32(in);
    struct zsp_reader blocks = *in;
    for (uint32_t i = 0; i < ret->block_count && !in->failed; i++) {
        (void)zsp_read_u64(in);
        (void)zsp_read_bytes(in, zsp_read_u32(in));
    }
    ret->blocks = zsp_read_bytes(&blocks, zsp_reader_left(&blocks) - zsp_reader_left(in));
    return !in->failed;
}

/* Leases end with a restore, so what was out is ready. */
static int end_leases(struct ledger *made)
{
    struct run_span span = {0};
    int rc = 0;
    while (rc == 0 && runmap_next(&made->runs, span.end, RUN_CLASS_LEASED, &span)) {
        struct run run = span.run;
        run.state = RUN_READY;
        run.lease = 0;
        rc = runmap_set(&made->runs, span.first, span.end, &run);
    }
    return rc;
}

static int load_blocks(struct ledger *made, const struct saved_ledger *saved, struct zsp_err *err)
{
    struct zsp_reader in = zsp_reader_init(saved->blocks);
    int rc = 0;
    for (uint32_t i = 0; i < saved->block_count && rc == 0; i++) {
        const uint64_t block = zsp_read_u64(&in);
        const struct zsp_slice value = zsp_read_bytes(&in, zsp_read_u32(&in));
        rc = ledger_replay_block(made, block, STORE_IMAGE, value, err);
    }
    return rc;
}

/* Nothing is known of messages below `start` any more. */
static int trim(struct ledger *made, uint64_t start, uint64_t *ret_gone)
{
    const struct run none = {.state = RUN_NONE};
    *ret_gone = ledger_count_unfinished(made, 0, start);
    int rc = start > 0 ? runmap_set(&made->runs, 0, start, &none) : 0;
    if (made->high < start) {
        made->high = made->journaled = start;
    }
    return rc;
}

int savepoint_load(struct groups *groups, const struct savepoint *self,
                   const struct saved_ledger *saved, uint64_t start, struct ledger *made,
                   uint64_t *ret_gone, struct zsp_err *err)
{
    ledger_init(made, group_id_of(self), saved->topic_id, saved->partition, &groups->slab);
    made->high = made->journaled = saved->high;
    int rc = load_blocks(made, saved, err);
    if (rc < 0) {
        return rc;
    }
    rc = end_leases(made);
    if (rc == 0) {
        rc = trim(made, start, ret_gone);
    }
    if (rc < 0) {
        return zsp_err_set(err, rc, "savepoint: out of memory");
    }
    rc = ledger_recount(made);
    return rc < 0 ? zsp_err_set(err, rc, "savepoint: out of memory") : 0;
}

/* --- The list of a group ------------------------------------------------------------------------ */

static void list_add(struct savepoint **list, struct savepoint *self)
{
    while (*list && savepoint_number(*list) < savepoint_number(self)) {
        list = &(*list)->next;
    }
    self->next = *list;
    *list = self;
}

static void list_remove(struct savepoint **list, const struct savepoint *self)
{
    while (*list != self) {
        zsp_assert(*list);
        list = &(*list)->next;
    }
    *list = self->next;
}

static struct savepoint *make(struct groups *groups, struct savepoint **list, uint64_t group_id,
                              uint32_t number)
{
    struct savepoint *self = calloc(1, sizeof *self);
    if (!self) {
        return NULL;
    }
    zsp_put_u64(self->key, group_id);
    zsp_put_u32(self->key + 8, number);
    if (zsp_table_add(&groups->savepoints, key_of(self), self) < 0) {
        free(self);
        return NULL;
    }
    list_add(list, self);
    return self;
}

static void forget(struct groups *groups, struct savepoint **list, struct savepoint *self)
{
    list_remove(list, self);
    (void)zsp_table_remove(&groups->savepoints, key_of(self));
    groups->savepoint_bytes -= self->value ? self->value->len : 0;
    zsp_buf_put(&self->value);
    free(self);
}

static void set_value(struct groups *groups, struct savepoint *self, struct zsp_buf *value)
{
    groups->savepoint_bytes -= self->value ? self->value->len : 0;
    groups->savepoint_bytes += value->len;
    zsp_buf_put(&self->value);
    self->value = value;
}

/* --- Changes ------------------------------------------------------------------------------------- */

int savepoint_begin(struct groups *groups, struct group *group, uint32_t number,
                    struct zsp_slice value, struct savepoint_change *ret, struct zsp_err *err)
{
    *ret = (struct savepoint_change){0};
    struct savepoint *self = savepoint_of(group, number);
    if (value.len == 0) {
        ret->savepoint = self;
        return 0;
    }
    if (groups->savepoint_bytes + value.len > ZSP_SAVEPOINTS_BYTES_MAX) {
        return zsp_err_set_about(err, ZSP_ELIMIT_REACHED, "savepoint",
                                 "all savepoints together have %zu bytes", groups->savepoint_bytes);
    }
    struct zsp_buf *copy = zsp_buf_copy(value);
    if (copy && !self) {
        self = make(groups, &group->savepoint_first, group->id, number);
    }
    if (!copy || !self) {
        zsp_buf_put(&copy);
        return zsp_err_set(err, ZSP_ENOMEM, "savepoint: out of memory");
    }
    ret->savepoint = self;
    ret->value = copy;
    return 0;
}

int savepoint_step(struct groups *groups, const struct savepoint_change *change)
{
    uint8_t key[GROUP_KEY_ROOM];
    if (!change->savepoint) {
        return 0;
    }
    struct store_entry entry = {
        .key = savepoint_store_key(change->savepoint, key),
        .kind = change->value ? STORE_IMAGE : STORE_GONE,
    };
    if (change->value) {
        entry.value = (struct zsp_slice){change->value->data, change->value->len};
    }
    return step_entry(&groups->step, &entry);
}

void savepoint_end(struct groups *groups, struct savepoint_change *change, bool is_put)
{
    struct savepoint *self = change->savepoint;
    if (self && is_put && change->value) {
        set_value(groups, self, zsp_buf_get(change->value));
    } else if (self && (is_put || !self->value)) {
        forget(groups, &group_by_id(groups, group_id_of(self))->savepoint_first, self);
    }
    zsp_buf_put(&change->value);
    change->savepoint = NULL;
}

int savepoint_begin_no_undo(struct groups *groups, struct group *group,
                            struct savepoint_change *ret, struct zsp_err *err)
{
    return savepoint_begin(groups, group, SAVEPOINT_UNDO, (struct zsp_slice){0}, ret, err);
}

int savepoint_begin_undo(struct groups *groups, struct group *group, struct ledger *const *ledgers,
                         size_t count, struct savepoint_change *ret, struct zsp_err *err)
{
    struct zsp_writer value = {0};
    int rc = savepoint_write(&value, groups->engine->now.wall_ms, zsp_slice_str(""), ledgers, count,
                             err);
    if (rc == 0) {
        rc = savepoint_begin(groups, group, SAVEPOINT_UNDO, zsp_writer_slice(&value), ret, err);
    }
    if (rc == ZSP_ETOO_LARGE || rc == ZSP_ELIMIT_REACHED) {
        rc = savepoint_begin_no_undo(groups, group, ret, err);
    }
    zsp_writer_fini(&value);
    return rc;
}

/* --- Start ------------------------------------------------------------------------------------------ */

/* Where it stands: with its group, or with those that have none yet. */
static struct savepoint **list_of(struct groups *groups, const struct savepoint *self)
{
    struct group *group = group_by_id(groups, group_id_of(self));
    for (struct savepoint *at = group ? group->savepoint_first : NULL; at; at = at->next) {
        if (at == self) {
            return &group->savepoint_first;
        }
    }
    return &groups->loose_savepoints;
}

int savepoint_replay(struct groups *groups, const struct store_entry *entry, struct zsp_err *err)
{
    const uint8_t *id = entry->key.data + 1;
    struct savepoint *self =
        zsp_table_find(&groups->savepoints, (struct zsp_slice){id, SAVEPOINT_KEY_LEN});
    if (entry->kind == STORE_GONE) {
        if (self) {
            forget(groups, list_of(groups, self), self);
        }
        return 0;
    }
    struct savepoint_head head;
    struct zsp_reader in = zsp_reader_init(entry->value);
    if (entry->kind != STORE_IMAGE || !read_head(&in, &head)) {
        return zsp_err_set(err, ZSP_ECORRUPT, "savepoint %" PRIu32 " of group %" PRIu64,
                           zsp_get_u32(id + 8), zsp_get_u64(id));
    }
    struct zsp_buf *value = zsp_buf_copy(entry->value);
    if (value && !self) {
        self = make(groups, &groups->loose_savepoints, zsp_get_u64(id), zsp_get_u32(id + 8));
    }
    if (!value || !self) {
        zsp_buf_put(&value);
        return zsp_err_set(err, ZSP_ENOMEM, "savepoint: out of memory");
    }
    set_value(groups, self, value);
    return 0;
}

void savepoint_start(struct groups *groups)
{
    while (groups->loose_savepoints) {
        struct savepoint *self = groups->loose_savepoints;
        struct group *group = group_by_id(groups, group_id_of(self));
        if (group) {
            list_remove(&groups->loose_savepoints, self);
            list_add(&group->savepoint_first, self);
            continue;
        }
        uint8_t key[GROUP_KEY_ROOM];
        state_put_gone(groups->engine, savepoint_store_key(self, key));
        forget(groups, &groups->loose_savepoints, self);
    }
}

bool savepoint_image(const struct groups *groups, struct zsp_slice key, struct zsp_writer *out)
{
    if (key.len != 1 + SAVEPOINT_KEY_LEN || key.data[0] != SAVEPOINT_KEY) {
        return false;
    }
    const struct savepoint *self =
        zsp_table_find(&groups->savepoints, (struct zsp_slice){key.data + 1, SAVEPOINT_KEY_LEN});
    if (!self || !self->value) {
        return false;
    }
    zsp_write_bytes(out, value_of(self));
    return true;
}

void savepoint_forget_all(struct groups *groups, struct group *group)
{
    while (group->savepoint_first) {
        forget(groups, &group->savepoint_first, group->savepoint_first);
    }
}

void savepoint_fini(struct groups *groups)
{
    while (groups->loose_savepoints) {
        forget(groups, &groups->loose_savepoints, groups->loose_savepoints);
    }
    zsp_assert(groups->savepoints.count == 0); /* they went with their groups */
    zsp_table_fini(&groups->savepoints);
}
