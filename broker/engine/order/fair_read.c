/* SPDX-License-Identifier: MPL-2.0
 *
 * How windows learn whose messages are whose: they are read ahead, in stretches.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "broker/engine/group/group.h"
#include "broker/engine/order/fair.h"
#include "broker/engine/unpack.h"
#include "common/hash.h"

/* Bytes of one read, and how many may follow each other before a pull looks again. */
#define READ_BYTES (1u * ZSP_MIB)
#define READS_MAX  8u
/* Of messages without that field; a hash of others is odd. */
#define NO_TENANT 2u

enum fair_kind { FAIR_KEY, FAIR_PRODUCER, FAIR_HEADER };

struct group_fair {
    enum fair_kind kind;
    uint64_t turns; /* of the group's pulls */
    uint64_t fits;  /* messages into a reply, perhaps */
    struct fair *behind_first;
    struct zsp_slice header; /* into bytes */
    uint8_t bytes[];
};

struct fair_read {
    struct engine_op op;        /* first: its address is the tag */
    struct fair *fair;          /* NULL = gone meanwhile */
    LIST_ENTRY(fair_read) link; /* of all */
    uint64_t first, end;
    uint32_t left; /* reads that may follow */
};

/* --- The setting -------------------------------------------------------------------------------------- */

static const char of_header[] = "header.";
#define OF_HEADER_LEN (sizeof of_header - 1)

static bool is_of_header(struct zsp_slice text)
{
    return text.len > OF_HEADER_LEN && text.len <= OF_HEADER_LEN + ZSP_NAME_MAX &&
           memcmp(text.data, of_header, OF_HEADER_LEN) == 0;
}

int group_fair_check(struct zsp_slice text, struct zsp_err *err)
{
    if (!is_of_header(text) && !zsp_slice_equal_str(text, "key") &&
        !zsp_slice_equal_str(text, "producer")) {
        char got[128]; /* cut to a whole letter below */
        (void)snprintf(got, sizeof got, "%.*s", (int)text.len, (const char *)text.data);
        (void)zsp_err_set(err, ZSP_EBAD_VALUE,
                          "settings: fair_by must be key, producer or header.NAME, not %.*s",
                          (int)text.len, (const char *)text.data);
        zsp_err_detail(err, "fair_by", "key, producer or header.NAME", got);
        return ZSP_EBAD_VALUE;
    }
    return 0;
}

struct group_fair *group_fair_new(struct zsp_slice text)
{
    const bool is_header = is_of_header(text);
    const size_t skip = is_header ? OF_HEADER_LEN : text.len;
    struct group_fair *made = calloc(1, sizeof *made + text.len - skip);
    if (made) {
        made->fits = UINT32_MAX;
        made->kind = is_header                          ? FAIR_HEADER
                     : zsp_slice_equal_str(text, "key") ? FAIR_KEY
                                                        : FAIR_PRODUCER;
        memcpy(made->bytes, text.data + skip, text.len - skip);
        made->header = (struct zsp_slice){made->bytes, text.len - skip};
    }
    return made;
}

void group_fair_destroy(struct group_fair **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

/* Who has a window shares fairly. */
static struct group_fair *rules_of(const struct fair *self)
{
    return self->ledger->group->rules->fair;
}

void group_fair_served(struct group_fair *self)
{
    self->turns++;
}

uint64_t group_fair_turns(const struct group_fair *self)
{
    return self->turns;
}

void group_fair_fit(struct group_fair *self, uint64_t messages, bool cut)
{
    if (cut) {
        self->fits = messages + messages / 8 + 1;
    } else if (messages >= self->fits / 2 && self->fits < UINT32_MAX) {
        self->fits *= 2;
    }
}

uint64_t group_fair_fits(const struct group_fair *self)
{
    return self->fits;
}

/* --- Who is behind ------------------------------------------------------------------------------------ */

void fair_behind(struct group_fair *self, struct fair *fair)
{
    fair->behind_next = self->behind_first;
    self->behind_first = fair;
    fair->is_behind = true;
}

void fair_not_behind(struct group_fair *self, struct fair *fair)
{
    struct fair **at = &self->behind_first;
    while (*at && *at != fair) {
        at = &(*at)->behind_next;
    }
    if (*at) {
        *at = fair->behind_next;
    }
    fair->is_behind = false;
}

/* --- Tenants ------------------------------------------------------------------------------------------ */

static uint64_t tenant_of_bytes(struct zsp_slice bytes)
{
    return bytes.data ? zsp_hash(bytes) | 1u : NO_TENANT;
}

static uint64_t tenant_of(const struct group_fair *by, const struct zsp_record *record)
{
    struct zsp_slice rest, name, value;
    bool is_text;
    if (by->kind == FAIR_KEY) {
        return tenant_of_bytes(record->key);
    }
    rest = zsp_record_headers(record);
    while (zsp_record_header_next(&rest, &name, &value, &is_text) == 0) {
        if (zsp_slice_equal(name, by->header)) {
            return tenant_of_bytes(value);
        }
    }
    return NO_TENANT;
}

static bool is_full(const struct fair *self)
{
    return self->entry_count >= FAIR_ENTRIES_MAX;
}

/* The records of the batch from `next` on, as far as there is room. */
static int look_at_records(struct fair *self, const struct store_batch *batch,
                           struct zsp_slice body)
{
    uint64_t offset = batch->first_offset;
    struct zsp_record record;
    while (!is_full(self) && zsp_record_look(&body, &record) == 0) {
        if (offset >= self->next) {
            const uint64_t tenant = tenant_of(rules_of(self), &record);
            if (fair_add(self, tenant, batch->priority, offset, offset + 1) < 0) {
                return ZSP_ENOMEM;
            }
            self->next = offset + 1;
        }
        offset++;
    }
    return 0;
}

static int look_at_batch(struct engine *engine, struct fair *self, const struct store_batch *batch)
{
    const uint64_t end = batch->first_offset + batch->record_count;
    const uint64_t from = self->next > batch->first_offset ? self->next : batch->first_offset;
    int rc = 0;
    if (end <= self->next) {
        return 0;
    }
    if (self->next < batch->first_offset) { /* absent: found so by whoever takes it */
        rc = fair_add(self, 0, ZSP_PRIORITY, self->next, batch->first_offset);
        self->next = batch->first_offset;
    }
    if (rc < 0) {
        return rc;
    } /* What waits for its time comes in as well: the agenda knows, when it has its turn, not the clock now. */
    if (rules_of(self)->kind == FAIR_PRODUCER) {
        const uint64_t id = batch->producer_id;
        const struct zsp_slice bytes = {id != 0 ? (const uint8_t *)&id : NULL, sizeof id};
        self->next = end;
        return fair_add(self, tenant_of_bytes(bytes), batch->priority, from, end);
    }
    if (batch->codec == ZSP_CODEC_NONE) {
        return look_at_records(self, batch, batch->body);
    }
    struct zsp_buf *raw = NULL;
    rc = unpack_stored(&engine->unpack, self->ledger->partition, batch, &raw, NULL);
    if (rc == ZSP_ECORRUPT) { /* whoever takes it will tell */
        self->next = end;
        return fair_add(self, 0, batch->priority, from, end);
    }
    rc = rc == 0 ? look_at_records(self, batch, (struct zsp_slice){raw->data, raw->len}) : rc;
    zsp_buf_put(&raw);
    return rc;
}

/* --- Reading ------------------------------------------------------------------------------------------ */

static void leave(struct fair_read *read)
{
    LIST_REMOVE(read, link);
    free(read);
}

void fair_forget_read(struct fair *self)
{
    if (self->read) {
        self->read->fair = NULL;
        self->read = NULL;
    }
}

void fair_fini(struct groups *self)
{
    while (!LIST_EMPTY(&self->fair_reads)) {
        leave(LIST_FIRST(&self->fair_reads));
    }
    pool_fini(&self->fair_lanes);
    pool_fini(&self->fair_entries);
}

static void begin(struct engine *engine, struct fair *self, uint32_t reads_left);

/* What was read comes into the window. */
static int take_in(struct engine *engine, struct fair *self, const struct fair_read *read,
                   const struct store_completion *completion)
{
    uint64_t covered = completion->covered.end_offset;
    int rc = 0;
    switch (completion->error.code) {
    case 0:
        break;
    case ZSP_EOUT_OF_RANGE: /* retention was faster */
        covered = self->ledger->partition->start_offset;
        break;
    default: /* by offset: whoever takes it is told what is wrong */
        covered = read->end;
        break;
    }
    covered = covered < read->end ? covered : read->end;
    for (uint32_t i = 0; i < completion->batch_count && rc == 0 && !is_full(self); i++) {
        rc = look_at_batch(engine, self, &completion->batches[i]);
    }
    if (rc == 0 && self->next < covered && !is_full(self)) {
        rc = fair_add(self, 0, ZSP_PRIORITY, self->next, covered);
        self->next = covered;
    }
    return rc;
}

static void read_done(struct engine *engine, struct engine_op *op,
                      const struct store_completion *completion)
{
    struct fair_read *const read = (struct fair_read *)op;
    struct fair *const self = read->fair;
    const uint32_t left = read->left;
    if (!self || completion->error.code == ZSP_ENOT_FOUND) { /* the topic is going */
        if (self) {
            self->read = NULL;
        }
        leave(read);
        return;
    }
    self->read = NULL;
    const int rc = take_in(engine, self, read, completion);
    leave(read);
    if (rc < 0) {
        group_out_of_memory(engine->groups);
        return;
    }
    if (left > 0 && self->next < self->ledger->mark && !is_full(self)) {
        begin(engine, self, left - 1);
    } else {
        self->looked = rules_of(self)->turns + 1;
    }
    group_ledger_changed(engine->groups, self->ledger);
    if (group_is_awaited(self->ledger->group)) {
        group_wake(engine->groups, self->ledger->group);
    }
}

static void begin(struct engine *engine, struct fair *self, uint32_t reads_left)
{
    struct groups *const groups = engine->groups;
    struct fair_read *const made = calloc(1, sizeof *made);
    if (!made) {
        group_out_of_memory(groups);
        return;
    }
    *made = (struct fair_read){.op.done_fn = read_done,
                               .fair = self,
                               .first = self->next,
                               .end = self->ledger->mark,
                               .left = reads_left};
    LIST_INSERT_HEAD(&groups->fair_reads, made, link);
    const struct store_read read = {
        .part = self->ledger->partition->part,
        .from_offset = made->first,
        .to_offset = made->end,
        .max_bytes = READ_BYTES,
        .tag = engine_op_tag(&made->op),
    };
    struct zsp_err error = {0};
    self->read = made;
    if (engine->store->ops->read(engine->store, &read, &error) < 0) {
        self->read = NULL;
        leave(made);
        if (fair_add(self, 0, ZSP_PRIORITY, read.from_offset, read.to_offset) < 0) {
            group_out_of_memory(groups);
        }
        self->looked = rules_of(self)->turns + 1;
        self->next = read.to_offset; /* by offset: whoever takes it is told what is wrong */
    }
}

void fair_want(struct engine *engine, struct group *group)
{
    while (group_fair_of(group) && group_fair_of(group)->behind_first && !engine->failed) {
        struct fair *const fair = group_fair_of(group)->behind_first;
        fair_not_behind(group_fair_of(group), fair);
        if (!fair->read && fair->next < fair->ledger->mark && !is_full(fair)) {
            begin(engine, fair, READS_MAX);
            group_ledger_changed(engine->groups, fair->ledger); /* it waits for that */
        }
    }
}
