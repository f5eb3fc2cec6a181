/* SPDX-License-Identifier: MPL-2.0
 *
 * The durable form of groups: images and their replay. Entries come oldest first and an object
 * may be imaged anew at any time, so a block may be replayed before the group
 * that it belongs to: everything is kept by its ids until group_start().
 */
#include <inttypes.h>
#include <string.h>

#include "broker/engine/group/group.h"
#include "broker/engine/group/group_hooks.h"
#include "broker/engine/group/group_rules.h"
#include "broker/engine/group/pattern.h"
#include "broker/engine/ledger/ledger_codec.h"
#include "broker/engine/replay/savepoint.h"
#include "broker/engine/replay/side_replay.h"
#include "broker/engine/state.h"
#include "common/assert.h"
#include "common/diag.h"
#include "common/name.h"

#define GROUP_VERSION 5u

/* Settings of an image of version 1. */
#define SETTINGS_1 5

enum group_flag { FLAG_PAUSED = 1, FLAG_REPLAY = 2 };

/* --- Group image ----------------------------------------------------------------------------- */

static struct zsp_slice group_key(uint64_t id, uint8_t *key)
{
    key[0] = GROUP_KEY;
    zsp_put_u64(key + 1, id);
    return (struct zsp_slice){key, 9};
}

static void write_group(struct zsp_writer *out, const struct group *group)
{
    zsp_write_u8(out, GROUP_VERSION);
    zsp_write_u8(out, (uint8_t)group->mode);
    zsp_write_u8(out,
                 (uint8_t)((group->paused ? FLAG_PAUSED : 0u) | (group->side ? FLAG_REPLAY : 0u)));
    zsp_write_u64(out, group->epoch);
    zsp_write_u8(out, (uint8_t)group->start_kind);
    zsp_write_u64(out, group->start_value);
    group_settings_encode(out, group_settings_of(group));
    setting_texts_encode(out, &group_settings_of(group)->texts);
    zsp_write_short(out, group_name(group));
    zsp_write_u16(out, (uint16_t)pattern_told_count(group));
    for (size_t i = 0; i < group->bindings.count; i++) {
        const struct binding *binding = group->bindings.slots[i].value;
        if (!binding->is_found) {
            zsp_write_short(out, group->bindings.slots[i].name);
        }
    }
    for (size_t i = 0; group->patterns && i < group->patterns->index.count; i++) {
        const struct pattern *pattern = group->patterns->index.slots[i].value;
        if (pattern->is_told) {
            zsp_write_short(out, group->patterns->index.slots[i].name);
        }
    }
    setting_texts_encode_rules(out, &group_settings_of(group)->texts);
    if (group->start_kind == WIRE_POSITION_ID) {
        zsp_write_short(out, (struct zsp_slice){group->start_id->data, group->start_id->len});
    }
    if (group->side) {
        side_replay_encode(out, group->side);
    }
}

int group_step_image(struct groups *self, const struct group *group)
{
    uint8_t key[GROUP_KEY_ROOM];
    struct zsp_writer value = {0};
    write_group(&value, group);
    const struct store_entry entry = {
        .key = group_key(group->id, key),
        .kind = STORE_IMAGE,
        .value = zsp_writer_slice(&value),
    };
    const int rc = value.failed ? ZSP_ENOMEM : step_entry(&self->step, &entry);
    zsp_writer_fini(&value);
    return rc;
}

static int put_image(struct engine *engine, struct zsp_slice key, struct zsp_writer *value,
                     struct zsp_err *err)
{
    const struct store_entry entry = {
        .key = key,
        .kind = STORE_IMAGE,
        .value = zsp_writer_slice(value),
    };
    const int rc = value->failed ? zsp_err_set(err, ZSP_ENOMEM, "group state: out of memory")
                                 : state_put(engine, &entry, 1, STORE_WRITTEN, NULL, err);
    zsp_writer_fini(value);
    return rc;
}

/* Write the object of `key`; false = there is none. */
static bool write_object(struct groups *self, struct zsp_slice key, struct zsp_writer *out)
{
    if (key.len == 9 && key.data[0] == GROUP_KEY) {
        const struct group *group = group_by_id(self, zsp_get_u64(key.data + 1));
        if (group && group->state == GROUP_LIVE) {
            write_group(out, group);
            return true;
        }
        return false;
    }
    if (key.len == 17 && key.data[0] == LEASE_KEY) {
        const struct lease *lease = lease_find(&self->leases, zsp_get_u64(key.data + 9));
        if (lease && lease->group_id == zsp_get_u64(key.data + 1)) {
            lease_write(out, lease);
            return true;
        }
        return false;
    }
    if (savepoint_image(self, key, out)) {
        return true;
    }
    if (key.len < 1 + LEDGER_KEY_LEN) {
        return false;
    }
    const struct ledger *ledger =
        zsp_table_find(&self->ledgers, (struct zsp_slice){key.data + 1, LEDGER_KEY_LEN});
    if (ledger && key.data[0] == LEDGER_KEY_HEAD && key.len == 1 + LEDGER_KEY_LEN) {
        ledger_write_head(out, ledger);
        return true;
    }
    if (ledger && key.data[0] == LEDGER_KEY_BLOCK && key.len == 1 + LEDGER_KEY_LEN + 8) {
        const uint64_t block = zsp_get_u64(key.data + 1 + LEDGER_KEY_LEN);
        if (block_set_has(&ledger->blocks, block)) {
            ledger_write_block(ledger, block, ZSP_STATE_RECORD_MAX / 2, out);
            return true;
        }
    }
    return false;
}

int group_image(struct engine *engine, struct zsp_slice key, struct zsp_err *err)
{
    struct zsp_writer value = {0};
    if (write_object(engine->groups, key, &value)) {
        return put_image(engine, key, &value, err);
    }
    const struct store_entry gone = {.key = key, .kind = STORE_GONE};
    return state_put(engine, &gone, 1, STORE_WRITTEN, NULL, err);
}

/* --- The end of a group ------------------------------------------------------------------------ */

struct gone_batch {
    struct engine *engine;
    struct engine_op *op; /* of the first record */
    struct store_entry entries[64];
    uint8_t keys[64][GROUP_KEY_ROOM];
    size_t count;
    bool any_put;
    struct zsp_err *err;
    int rc; /* of the first record; later ones are only tidying up */
};

static void put_batch(struct gone_batch *batch)
{
    if (batch->count == 0 || batch->rc < 0) {
        batch->count = 0; /* refused: nothing more is put */
        return;
    }
    if (!batch->any_put) {
        batch->rc = state_put(batch->engine, batch->entries, batch->count, STORE_SYNCED_LEVEL,
                              batch->op, batch->err);
    } else if (state_put(batch->engine, batch->entries, batch->count, STORE_WRITTEN, NULL, NULL) <
               0) {
        /* What stays behind belongs to no group: the next start removes it. */
        zsp_diag(batch->engine->diag, ZSP_DEBUG, "the end of a group: journal refused");
    }
    batch->any_put = true;
    batch->count = 0;
}

static void add_gone(struct gone_batch *batch, struct zsp_slice key)
{
    if (batch->count == sizeof batch->entries / sizeof batch->entries[0]) {
        put_batch(batch);
    }
    uint8_t *copy = batch->keys[batch->count];
    memcpy(copy, key.data, key.len);
    batch->entries[batch->count++] =
        (struct store_entry){.key = {copy, key.len}, .kind = STORE_GONE};
}

int group_put_gone(struct engine *engine, const struct group *group, struct engine_op *op,
                   struct zsp_err *err)
{
    uint8_t key[GROUP_KEY_ROOM];
    struct gone_batch batch = {.engine = engine, .op = op, .err = err};
    add_gone(&batch, group_key(group->id, key));
    for (const struct lease *lease = group_first_lease(group); lease; lease = lease->next) {
        add_gone(&batch, lease_key(group->id, lease->number, key));
    }
    for (const struct savepoint *at = group->savepoint_first; at; at = at->next) {
        add_gone(&batch, savepoint_store_key(at, key));
    }
    for (size_t i = 0; i < group->bindings.count; i++) {
        const struct binding *binding = group->bindings.slots[i].value;
        for (uint32_t k = 0; binding->topic && k < binding->topic->partition_count; k++) {
            const struct ledger *ledger = binding->ledgers[k];
            add_gone(&batch, ledger_head_key(ledger, key));
            for (size_t b = 0; b < block_set_count(&ledger->blocks); b++) {
                add_gone(&batch, ledger_block_key(ledger, block_set_at(&ledger->blocks, b), key));
            }
        }
    }
    put_batch(&batch);
    return batch.rc;
}

/* --- Replay ---------------------------------------------------------------------------------- */

static int corrupt(struct zsp_err *err, const char *what, uint64_t id)
{
    return zsp_err_set(err, ZSP_ECORRUPT, "entry of %s %" PRIu64 " makes no sense", what, id);
}

static void forget_bindings(struct groups *self, struct group *group)
{
    while (group->bindings.count > 0) {
        binding_destroy(self, group->bindings.slots[0].value);
    }
    pattern_destroy_all(self, group);
}

/* A name, or a pattern, of a replayed image. */
static int read_binding(struct groups *self, struct group *group, struct zsp_slice name)
{
    if (zsp_name_is_pattern(name)) {
        struct pattern *pattern = NULL;
        const int rc = pattern_new(self, group, name, &pattern);
        if (rc == 0) {
            pattern->is_told = pattern->joined = true;
        }
        return rc;
    }
    struct binding *binding = NULL;
    const int rc = binding_new(self, group, name, &binding);
    if (rc == 0) {
        binding->joined = true;
    }
    return rc;
}

static int read_bindings(struct groups *self, struct group *group, struct zsp_reader *in,
                         struct zsp_err *err)
{
    const uint16_t count = zsp_read_u16(in);
    if (count > ZSP_GROUP_TOPICS_MAX) {
        return corrupt(err, "group", group->id);
    }
    for (uint16_t i = 0; i < count; i++) {
        const struct zsp_slice name = zsp_read_short(in);
        if (in->failed || !zsp_pattern_valid(name) || name_index_find(&group->bindings, name) ||
            pattern_find(group, name)) {
            return corrupt(err, "group", group->id);
        }
        if (read_binding(self, group, name) < 0) {
            return zsp_err_set(err, ZSP_ENOMEM, "group: out of memory");
        }
    }
    return in->failed ? corrupt(err, "group", group->id) : 0;
}

/* What a group's image tells before its topics; the texts of the settings are the caller's. */
struct group_image {
    uint8_t version, mode, flags, start_kind;
    uint64_t epoch, start_value;
    struct group_settings settings;
    struct zsp_slice name;
};

static int read_side(struct engine *engine, struct zsp_reader *in, struct group *group)
{
    struct side_replay *side = NULL;
    side_replay_drop(engine, group); /* of an older image */
    const int rc = side_replay_decode(in, &side);
    if (rc == 0) {
        side_replay_join(engine, group, side);
    }
    return rc;
}

static int read_start_id(struct zsp_reader *in, struct group *group)
{
    const struct zsp_slice id = zsp_read_short(in);
    zsp_buf_put(&group->start_id); /* of an older image */
    if (in->failed || id.len > ZSP_START_ID_MAX) {
        return ZSP_ECORRUPT;
    }
    group->start_id = zsp_buf_copy(id);
    return group->start_id ? 0 : ZSP_ENOMEM;
}

/* The rules end the image, but for the id of a start and the range of a replay; the settings are whole
 * with them. */
static int read_rules(struct engine *engine, struct group_image *image, struct zsp_reader *in,
                      struct group *group, struct zsp_err *err)
{
    struct group_settings *const settings = &image->settings;
    int rc = image->version > 4 ? setting_texts_decode_rules(in, &settings->texts) : 0;
    if (rc == 0 && image->start_kind == WIRE_POSITION_ID) {
        rc = read_start_id(in, group);
    }
    if (rc == 0 && (image->flags & FLAG_REPLAY) != 0) {
        rc = read_side(engine, in, group);
    }
    if (rc == ZSP_ENOMEM) {
        return zsp_err_set(err, rc, "group: out of memory");
    }
    if (rc < 0 || zsp_reader_left(in) > 0) {
        return corrupt(err, "group", group->id);
    }
    struct group_rules *rules = NULL;
    rc = group_rules_make(group, settings, &rules, err);
    if (rc == 0) {
        group_rules_swap(group, &rules);
        group_rules_destroy(&rules);
    }
    return rc;
}

/* The group of a replayed image, made when it is not known yet. */
static int open_group(struct engine *engine, uint64_t id, struct zsp_slice name, struct group **ret,
                      struct zsp_err *err)
{
    struct group *group = group_by_id(engine->groups, id);
    if (group) {
        *ret = group;
        return zsp_slice_equal(group_name(group), name) ? 0 : corrupt(err, "group", id);
    }
    if (!zsp_name_valid(name) || name_index_find(&engine->catalog.groups, name)) {
        return corrupt(err, "group", id);
    }
    group = group_make(engine, id, name);
    if (!group) {
        return zsp_err_set(err, ZSP_ENOMEM, "group: out of memory");
    }
    group->state = GROUP_LIVE;
    *ret = group;
    return 0;
}

static int read_settings(struct zsp_reader *in, uint8_t version, struct group_settings *ret)
{
    if (version != 1) {
        const int rc = group_settings_decode(in, ret);
        return rc < 0 || version < 4 ? rc : setting_texts_decode(in, &ret->texts);
    }
    uint64_t numbers[SETTINGS_1];
    for (int i = 0; i < SETTINGS_1; i++) {
        numbers[i] = zsp_read_u64(in);
    }
    *ret = group_settings_default;
    ret->lease_ms = numbers[0];
    ret->max_leased = numbers[1];
    ret->max_failures = numbers[2];
    ret->backoff_ms = numbers[3];
    ret->backoff_max_ms = numbers[4];
    return 0;
}

/* Is it one? */
static bool read_image(struct zsp_reader *in, struct group_image *ret)
{
    ret->version = zsp_read_u8(in);
    ret->mode = zsp_read_u8(in);
    ret->flags = ret->version > 1 ? zsp_read_u8(in) : 0;
    ret->epoch = zsp_read_u64(in);
    ret->start_kind = zsp_read_u8(in);
    ret->start_value = zsp_read_u64(in);
    const int rc = read_settings(in, ret->version, &ret->settings);
    ret->name = zsp_read_short(in);
    return !in->failed && rc == 0 && ret->version > 0 && ret->version <= GROUP_VERSION &&
           ret->mode < GROUP_MODES && (ret->flags & ~(FLAG_PAUSED | FLAG_REPLAY)) == 0 &&
           ret->start_kind <= WIRE_POSITION_ID;
}

static int apply_image(struct engine *engine, uint64_t id, struct group_image *image,
                       struct zsp_reader *in, struct zsp_err *err)
{
    struct group *group = NULL;
    int rc = open_group(engine, id, image->name, &group, err);
    if (rc < 0) {
        return rc;
    }
    zsp_assert(group);
    group->mode = (enum group_mode)image->mode;
    group->epoch = image->epoch;
    group->start_kind = (enum wire_position_kind)image->start_kind;
    group->start_value = image->start_value;
    group->paused = (image->flags & FLAG_PAUSED) != 0;
    forget_bindings(engine->groups, group);
    rc = read_bindings(engine->groups, group, in, err);
    return rc < 0 ? rc : read_rules(engine, image, in, group, err);
}

static int replay_group(struct engine *engine, uint64_t id, const struct store_entry *entry,
                        struct zsp_err *err)
{
    if (entry->kind == STORE_GONE) {
        struct group *group = group_by_id(engine->groups, id);
        if (group) {
            group_destroy(engine, group);
        }
        return 0;
    }
    struct zsp_reader in = zsp_reader_init(entry->value);
    struct group_image image = {0};
    const int rc = entry->kind == STORE_IMAGE && read_image(&in, &image)
                       ? apply_image(engine, id, &image, &in, err)
                       : corrupt(err, "group", id);
    setting_texts_drop(&image.settings.texts);
    return rc;
}

static int replay_lease(struct groups *self, uint64_t group_id, uint64_t number,
                        const struct store_entry *entry, struct zsp_err *err)
{
    struct lease *lease = lease_find(&self->leases, number);
    if (entry->kind == STORE_GONE) {
        if (lease) {
            *(lease->prev ? &lease->prev->next : &self->start_leases) = lease->next;
            if (lease->next) {
                lease->next->prev = lease->prev;
            }
            lease_remove(&self->leases, lease);
        }
        return 0;
    }
    if (number == 0 || (lease && lease->group_id != group_id)) {
        return corrupt(err, "lease", number);
    }
    if (!lease) {
        lease = lease_add(&self->leases, number, group_id, 0, 0);
        if (!lease) {
            return zsp_err_set(err, ZSP_ENOMEM, "lease: out of memory");
        }
        lease->is_told = true; /* as far as anybody knows */
        lease->next = self->start_leases;
        if (lease->next) {
            lease->next->prev = lease;
        }
        self->start_leases = lease;
    }
    return lease_read(lease, entry->value, err);
}

static int replay_ledger(struct groups *self, const struct store_entry *entry, struct zsp_err *err)
{
    const uint8_t *id = entry->key.data + 1;
    struct ledger *ledger =
        group_ledger_open(self, zsp_get_u64(id), zsp_get_u64(id + 8), zsp_get_u32(id + 16));
    if (!ledger) {
        return zsp_err_set(err, ZSP_ENOMEM, "group state: out of memory");
    }
    if (entry->key.data[0] == LEDGER_KEY_BLOCK) {
        return ledger_replay_block(ledger, zsp_get_u64(id + LEDGER_KEY_LEN), entry->kind,
                                   entry->value, err);
    }
    if (entry->kind == STORE_GONE) {
        ledger->high = ledger->journaled = ledger->water = 0;
        ledger_rare_forget(ledger);
        return 0;
    }
    return ledger_read_head(ledger, entry->value, err);
}

int group_entry(struct engine *engine, const struct store_entry *entry, struct zsp_err *err)
{
    const struct zsp_slice key = entry->key;
    if (key.len == 9 && key.data[0] == GROUP_KEY) {
        return replay_group(engine, zsp_get_u64(key.data + 1), entry, err);
    }
    if (key.len == 17 && key.data[0] == LEASE_KEY) {
        return replay_lease(engine->groups, zsp_get_u64(key.data + 1), zsp_get_u64(key.data + 9),
                            entry, err);
    }
    if (key.len == 1 + SAVEPOINT_KEY_LEN && key.data[0] == SAVEPOINT_KEY) {
        return savepoint_replay(engine->groups, entry, err);
    }
    const bool is_ledger = (key.data[0] == LEDGER_KEY_HEAD && key.len == 1 + LEDGER_KEY_LEN) ||
                           (key.data[0] == LEDGER_KEY_BLOCK && key.len == 1 + LEDGER_KEY_LEN + 8);
    if (is_ledger) {
        return replay_ledger(engine->groups, entry, err);
    }
    return zsp_err_set(err, ZSP_ECORRUPT, "state key of %zu bytes, kind 0x%02x, is not known",
                       key.len, key.data[0]);
}
