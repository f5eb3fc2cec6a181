/* SPDX-License-Identifier: MPL-2.0
 *
 * The record of a step: what is written of everything it touched follows from
 * the state after the last change.
 */
#include <stdlib.h>

#include "broker/engine/ledger/ledger_codec.h"
#include "broker/engine/ledger/step.h"
#include "broker/engine/ledger/step_priv.h"

/* A record's entries, with room left for what the store adds to each. A grant of ZSP_RUNS_MAX
 * runs with all their reasons fits. */
#define STEP_BYTES_MAX (ZSP_STATE_RECORD_MAX - 128u * ZSP_KIB)
_Static_assert(ZSP_RUNS_MAX *(64u + ZSP_REASONS_KEPT * (ZSP_REASON_MAX + 2u)) < STEP_BYTES_MAX,
               "a grant fits a record");

static int begin_entry(struct step *self, enum store_entry_kind kind, struct zsp_slice key)
{
    struct step_entry *entries =
        step_grow(self->entries, self->entry_count, &self->entry_capacity, sizeof *entries);
    if (!entries) {
        return ZSP_ENOMEM;
    }
    self->entries = entries;
    struct step_entry *entry = &entries[self->entry_count++];
    entry->kind = kind;
    entry->key_pos = self->bytes.len;
    entry->key_len = key.len;
    zsp_write_bytes(&self->bytes, key);
    entry->value_pos = self->bytes.len;
    entry->value_len = 0;
    return self->bytes.failed ? ZSP_ENOMEM : 0;
}

static int end_entry(struct step *self)
{
    struct step_entry *entry = &self->entries[self->entry_count - 1];
    entry->value_len = self->bytes.len - entry->value_pos;
    return self->bytes.failed ? ZSP_ENOMEM : 0;
}

int step_entry(struct step *self, const struct store_entry *entry)
{
    int rc = begin_entry(self, entry->kind, entry->key);
    if (rc == 0) {
        zsp_write_bytes(&self->bytes, entry->value);
        rc = end_entry(self);
        self->durable = true;
    }
    return rc;
}

static int seal_leases(struct step *self)
{
    uint8_t key[GROUP_KEY_ROOM];
    for (size_t i = 0; i < self->lease_count; i++) {
        const struct lease *lease = self->lease_notes[i].lease;
        if (lease->outstanding > 0 && !self->lease_notes[i].write) {
            continue;
        }
        const bool over = lease->outstanding == 0;
        int rc = begin_entry(self, over ? STORE_GONE : STORE_IMAGE,
                             lease_key(lease->group_id, lease->number, key));
        if (rc == 0 && !over) {
            lease_write(&self->bytes, lease);
        }
        rc = rc == 0 ? end_entry(self) : rc;
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static int seal_head(struct step *self, const struct step_ledger *note)
{
    const struct ledger *ledger = note->ledger;
    if (ledger->journaled == note->journaled && ledger->water == note->water &&
        ledger_rare_of(ledger)->expired == note->expired &&
        ledger_rare_of(ledger)->compacted == note->compacted) {
        return 0;
    }
    uint8_t key[GROUP_KEY_ROOM];
    int rc = begin_entry(self, STORE_IMAGE, ledger_head_key(ledger, key));
    if (rc < 0) {
        return rc;
    }
    ledger_write_head(&self->bytes, ledger);
    return end_entry(self);
}

struct delta_walk {
    struct block_writer writer;
    const struct ledger *ledger;
    uint64_t pos;
};

static void write_gap(struct delta_walk *walk, uint64_t end)
{
    if (walk->pos < end) {
        const struct run_span gap = {.first = walk->pos, .end = end};
        block_write_run(&walk->writer, &gap);
    }
    walk->pos = end;
}

static int write_delta_run(void *arg, const struct run_span *span)
{
    struct delta_walk *walk = arg;
    struct run_span part = *span;
    if (ledger_durable_part(walk->ledger, &part)) {
        write_gap(walk, part.first);
        block_write_run(&walk->writer, &part);
        walk->pos = part.end;
    }
    return 0; /* what is not durable is a gap */
}

/* The stretch as it is now, with its gaps. */
static void write_delta(struct delta_walk *walk, uint64_t first, uint64_t end)
{
    walk->pos = first;
    (void)runmap_visit(&walk->ledger->runs, first, end, write_delta_run, walk);
    write_gap(walk, end);
}

static int seal_delta(struct step *self, const struct ledger *ledger, uint64_t block,
                      const struct step_touch *touches, size_t count)
{
    const uint64_t base = block * ZSP_STATE_BLOCK;
    struct delta_walk walk = {.ledger = ledger};
    block_write_begin(&walk.writer, &self->bytes, ledger->runs.slab->reasons);
    uint64_t done = base; /* touched stretches may overlap; each offset is written once */
    for (size_t i = 0; i < count; i++) {
        const uint64_t from = touches[i].first > done ? touches[i].first : done;
        const uint64_t to =
            touches[i].end < base + ZSP_STATE_BLOCK ? touches[i].end : base + ZSP_STATE_BLOCK;
        if (from < to) {
            write_delta(&walk, from, to);
            done = to;
        }
    }
    return end_entry(self);
}

/* One block, by what it was and what it is now. `touches` begin with the first that ends in or
 * behind the block; those that begin behind it do no harm. */
static int seal_block(struct step *self, const struct ledger *ledger, uint64_t block,
                      const struct step_touch *touches, size_t count)
{
    const uint64_t base = block * ZSP_STATE_BLOCK;
    const bool was = block_set_has(&ledger->blocks, block);
    const bool is = ledger_has_durable(ledger, base, base + ZSP_STATE_BLOCK);
    if (!was && !is) {
        return 0;
    }
    uint8_t key[GROUP_KEY_ROOM];
    const enum store_entry_kind kind = !is ? STORE_GONE : was ? STORE_DELTA : STORE_IMAGE;
    int rc = begin_entry(self, kind, ledger_block_key(ledger, block, key));
    if (rc < 0 || kind == STORE_GONE) {
        return rc;
    }
    if (kind == STORE_DELTA) {
        return seal_delta(self, ledger, block, touches, count);
    }
    ledger_write_block(ledger, block, ZSP_STATE_RECORD_MAX / 2, &self->bytes);
    return end_entry(self);
}

static int compare_touches(const void *left, const void *right)
{
    const struct step_touch *a = left;
    const struct step_touch *b = right;
    if (a->ledger_index != b->ledger_index) {
        return a->ledger_index < b->ledger_index ? -1 : 1;
    }
    if (a->first != b->first) {
        return a->first < b->first ? -1 : 1;
    }
    return a->end < b->end ? -1 : a->end > b->end;
}

/* Touches [from, to) of one ledger, in order: each block of theirs once. */
static int seal_blocks(struct step *self, size_t from, size_t to)
{
    struct ledger *ledger = self->ledgers[self->touches[from].ledger_index].ledger;
    uint64_t next_block = 0;
    uint32_t blocks_new = 0;
    for (size_t i = from; i < to; i++) {
        const struct step_touch *touch = &self->touches[i];
        uint64_t block = touch->first / ZSP_STATE_BLOCK;
        const uint64_t last = (touch->end - 1) / ZSP_STATE_BLOCK;
        for (block = block > next_block ? block : next_block; block <= last; block++) {
            /* Touches that begin in this block end before the first one of a later block. */
            size_t count = 1;
            while (i + count < to && self->touches[i + count].first / ZSP_STATE_BLOCK <= block) {
                count++;
            }
            int rc = seal_block(self, ledger, block, touch, count);
            if (rc < 0) {
                return rc;
            }
            blocks_new++;
            next_block = block + 1;
        }
    }
    return block_set_reserve(&ledger->blocks, blocks_new);
}

/* More than a record holds is not written to its end, only to be refused. */
static int check_room(const struct step *self)
{
    return self->bytes.len > STEP_BYTES_MAX ? ZSP_ETOO_LARGE : 0;
}

/* All blocks of a ledger that was begun anew. */
static int seal_reset(struct step *self, struct ledger *ledger)
{
    uint32_t blocks_new = 0;
    for (size_t i = 0; i < block_set_count(&ledger->blocks); i++) {
        const uint64_t block = block_set_at(&ledger->blocks, i);
        const uint64_t base = block * ZSP_STATE_BLOCK;
        const bool is = ledger_has_durable(ledger, base, base + ZSP_STATE_BLOCK);
        uint8_t key[GROUP_KEY_ROOM];
        int rc =
            begin_entry(self, is ? STORE_IMAGE : STORE_GONE, ledger_block_key(ledger, block, key));
        if (rc == 0 && is) {
            ledger_write_block(ledger, block, ZSP_STATE_RECORD_MAX / 2, &self->bytes);
        }
        rc = rc == 0 ? end_entry(self) : rc;
        rc = rc == 0 ? check_room(self) : rc;
        if (rc < 0) {
            return rc;
        }
    }
    for (uint64_t block = 0; ledger_next_block(ledger, &block); block++) {
        if (block_set_has(&ledger->blocks, block)) {
            continue;
        }
        int rc = seal_block(self, ledger, block, NULL, 0);
        rc = rc == 0 ? check_room(self) : rc;
        if (rc < 0) {
            return rc;
        }
        blocks_new++;
    }
    return block_set_reserve(&ledger->blocks, blocks_new);
}

/* The entries as the store takes them: their bytes do not move any more. */
static int seal_entries(struct step *self)
{
    while (self->sealed_capacity < self->entry_count) {
        struct store_entry *sealed =
            step_grow(self->sealed, self->sealed_capacity, &self->sealed_capacity, sizeof *sealed);
        if (!sealed) {
            return ZSP_ENOMEM;
        }
        self->sealed = sealed;
    }
    const uint8_t *bytes = self->bytes.data;
    for (size_t i = 0; i < self->entry_count; i++) {
        const struct step_entry *entry = &self->entries[i];
        self->sealed[i] = (struct store_entry){
            .key = {bytes + entry->key_pos, entry->key_len},
            .kind = entry->kind,
            .value = {bytes + entry->value_pos, entry->value_len},
        };
    }
    return 0;
}

int step_seal(struct step *self, const struct store_entry **ret_entries, size_t *ret_count,
              struct zsp_err *err)
{
    int rc = seal_leases(self);
    for (size_t i = 0; i < self->ledger_count && rc == 0; i++) {
        rc = seal_head(self, &self->ledgers[i]);
        if (rc == 0 && self->ledgers[i].replaced) {
            rc = seal_reset(self, self->ledgers[i].ledger);
        }
    }
    if (self->touch_count > 1) {
        qsort(self->touches, self->touch_count, sizeof *self->touches, compare_touches);
    }
    for (size_t from = 0, to; from < self->touch_count && rc == 0; from = to) {
        for (to = from; to < self->touch_count &&
                        self->touches[to].ledger_index == self->touches[from].ledger_index;
             to++) {
        }
        rc = seal_blocks(self, from, to);
    }
    if (rc == 0) {
        rc = seal_entries(self);
    }
    rc = rc == 0 ? check_room(self) : rc;
    if (rc == ZSP_ETOO_LARGE) {
        return zsp_err_set(err, rc, "group state: a change of more than %u bytes", STEP_BYTES_MAX);
    }
    if (rc < 0) {
        return zsp_err_set(err, rc, "group state: %s", zsp_strerror(rc));
    }
    *ret_entries = self->sealed;
    *ret_count = self->entry_count;
    return 0;
}
