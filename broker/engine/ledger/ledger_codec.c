/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/ledger/ledger_codec.h"

#include <inttypes.h>
#include <string.h>

#include "common/assert.h"

#define CODEC_VERSION          1u
#define HEAD_LOST_VERSION      2u
#define HEAD_EXPIRED_VERSION   3u
#define HEAD_COMPACTED_VERSION 4u

/* Runs that are put into a map together. */
#define LOAD_SPANS 512u

enum run_flag {
    FLAG_LEASE = 1,
    FLAG_LAST = 2,
    FLAG_DUE = 4,
    FLAG_COUNTS = 8,
    FLAG_LIMIT = 16,
    FLAG_REASONS = 32,
    FLAG_SAME = 64,
    FLAG_PRIORITY = 128
};

/* States as stored; never renumber. */
enum stored_state {
    STORED_NONE,
    STORED_READY,
    STORED_WAITING,
    STORED_LEASED,
    STORED_DEAD,
    STORED_DONE,
    STORED_REDRIVEN = 128 /* a bit beside the state */
};

_Static_assert(ZSP_STATE_BLOCK == 65536u, "an offset within a block is a u16");

/* --- Keys ---------------------------------------------------------------------------- */

struct zsp_slice ledger_head_key(const struct ledger *self, uint8_t *key)
{
    key[0] = LEDGER_KEY_HEAD;
    memcpy(key + 1, self->key, LEDGER_KEY_LEN);
    return (struct zsp_slice){key, 1 + LEDGER_KEY_LEN};
}

struct zsp_slice ledger_block_key(const struct ledger *self, uint64_t block, uint8_t *key)
{
    key[0] = LEDGER_KEY_BLOCK;
    memcpy(key + 1, self->key, LEDGER_KEY_LEN);
    zsp_put_u64(key + 1 + LEDGER_KEY_LEN, block);
    return (struct zsp_slice){key, 1 + LEDGER_KEY_LEN + 8};
}

/* --- Head ---------------------------------------------------------------------------- */

void ledger_write_head(struct zsp_writer *out, const struct ledger *self)
{
    const struct ledger_rare *const rare = ledger_rare_of(self);
    const uint8_t version = rare->compacted > 0 ? HEAD_COMPACTED_VERSION
                            : rare->expired > 0 ? HEAD_EXPIRED_VERSION
                            : rare->lost > 0    ? HEAD_LOST_VERSION
                                                : CODEC_VERSION;
    zsp_write_u8(out, version);
    zsp_write_u64(out, self->journaled);
    zsp_write_u64(out, self->water);
    if (version >= HEAD_LOST_VERSION) {
        zsp_write_u64(out, rare->lost);
        zsp_write_u64(out, rare->lost_to);
    }
    if (version >= HEAD_EXPIRED_VERSION) {
        zsp_write_u64(out, rare->expired);
    }
    if (version >= HEAD_COMPACTED_VERSION) {
        zsp_write_u64(out, rare->compacted);
    }
}

int ledger_read_head(struct ledger *self, struct zsp_slice value, struct zsp_err *err)
{
    struct zsp_reader in = zsp_reader_init(value);
    const uint8_t version = zsp_read_u8(&in);
    const uint64_t high = zsp_read_u64(&in);
    const uint64_t water = zsp_read_u64(&in);
    const bool has_lost = version >= HEAD_LOST_VERSION;
    const uint64_t lost = has_lost ? zsp_read_u64(&in) : 0;
    const uint64_t lost_to = has_lost ? zsp_read_u64(&in) : 0;
    const uint64_t expired = version >= HEAD_EXPIRED_VERSION ? zsp_read_u64(&in) : 0;
    const uint64_t compacted = version >= HEAD_COMPACTED_VERSION ? zsp_read_u64(&in) : 0;
    if (in.failed || zsp_reader_left(&in) > 0 || version < CODEC_VERSION ||
        version > HEAD_COMPACTED_VERSION || water < high) {
        return zsp_err_set(err, ZSP_ECORRUPT, "group state: head of %zu bytes, version %u",
                           value.len, version);
    }
    self->high = self->journaled = high;
    self->water = water;
    if (!has_lost) {
        ledger_rare_forget(self);
        return 0;
    }
    struct ledger_rare *const rare = ledger_rare_open(self);
    if (!rare) {
        return zsp_err_set(err, ZSP_ENOMEM, "group state: out of memory");
    }
    rare->lost = lost;
    rare->lost_to = lost_to;
    rare->expired = expired;
    rare->compacted = compacted;
    return 0;
}

/* --- Writing a block ------------------------------------------------------------------- */

void block_write_begin(struct block_writer *self, struct zsp_writer *out,
                       const struct reasons *reasons)
{
    *self = (struct block_writer){.out = out, .reasons = reasons, .reasons_kept = ZSP_REASONS_KEPT};
    zsp_write_u8(out, CODEC_VERSION);
}

static uint8_t stored_state(const struct run *run)
{
    switch ((enum run_state)run->state) {
    case RUN_READY:
    case RUN_RESERVED:
    case RUN_PARKED:
        return STORED_READY;
    case RUN_WAITING:
        return STORED_WAITING;
    case RUN_LEASED:
        return STORED_LEASED;
    case RUN_DEAD:
        return STORED_DEAD;
    case RUN_DONE:
        return STORED_DONE;
    case RUN_NONE:
    case RUN_STATES:
        break;
    }
    return STORED_NONE;
}

/* A dead one, without a lease: the flag says it, and nothing follows. */
static bool owes_copy(const struct run *run)
{
    return run->state == RUN_DEAD && run->started != 0;
}

static unsigned flags_of(const struct block_writer *self, const struct run *run)
{
    unsigned flags = 0;
    if (run->state == RUN_NONE || run->state == RUN_DONE) {
        return flags;
    }
    flags |= run->state == RUN_LEASED || owes_copy(run) ? FLAG_LEASE : 0u;
    flags |= run->last_lease != 0 ? FLAG_LAST : 0u;
    flags |=
        run->state == RUN_WAITING || (run->state == RUN_DEAD && run->due_ms != 0) ? FLAG_DUE : 0u;
    flags |= run->deliveries != 1 || run->failures != 0 ? FLAG_COUNTS : 0u;
    flags |= run->limit != 0 ? FLAG_LIMIT : 0u;
    flags |= run->urgency != 0 ? FLAG_PRIORITY : 0u;
    if (run->reasons != 0 && self->reasons_kept > 0) {
        flags |= run->reasons == self->last_reasons ? FLAG_SAME : FLAG_REASONS;
    }
    return flags;
}

static void write_reasons(struct block_writer *self, uint32_t set)
{
    uint32_t count = reasons_count(self->reasons, set);
    count = count < self->reasons_kept ? count : self->reasons_kept;
    zsp_write_u8(self->out, (uint8_t)count);
    for (uint32_t i = 0; i < count; i++) {
        zsp_write_short(self->out, reasons_text(self->reasons, set, i));
    }
    self->last_reasons = set;
}

void block_write_run(struct block_writer *self, const struct run_span *span)
{
    const struct run *run = &span->run;
    const unsigned flags = flags_of(self, run);
    zsp_assert(span->first / ZSP_STATE_BLOCK == (span->end - 1) / ZSP_STATE_BLOCK);
    zsp_write_u16(self->out, (uint16_t)(span->first % ZSP_STATE_BLOCK));
    zsp_write_u16(self->out, (uint16_t)(span->end - span->first - 1));
    zsp_write_u8(self->out,
                 (uint8_t)(stored_state(run) | (run->redriven != 0 ? STORED_REDRIVEN : 0)));
    zsp_write_u8(self->out, (uint8_t)flags);
    if (run->state == RUN_LEASED) {
        zsp_write_u64(self->out, run->lease);
    }
    if (flags & FLAG_LAST) {
        zsp_write_u64(self->out, run->last_lease);
        zsp_write_u8(self->out, run->last_outcome);
    }
    if (flags & FLAG_DUE) {
        zsp_write_u64(self->out, (uint64_t)run->due_ms);
    }
    if (flags & FLAG_COUNTS) {
        zsp_write_u32(self->out, run->deliveries);
        zsp_write_u32(self->out, run->failures);
    }
    if (flags & FLAG_LIMIT) {
        zsp_write_u8(self->out, run->limit);
    }
    if (flags & FLAG_REASONS) {
        write_reasons(self, run->reasons);
    }
    if (flags & FLAG_PRIORITY) {
        zsp_write_u8(self->out, (uint8_t)run_priority(run));
    }
}

struct durable_walk {
    const struct ledger *ledger;
    struct block_writer *writer;
};

bool ledger_durable_part(const struct ledger *self, struct run_span *span)
{
    if (span->end <= self->journaled || !ledger_is_untouched(&span->run)) {
        return true;
    }
    span->end = self->journaled;
    return span->first < span->end;
}

static int write_durable(void *arg, const struct run_span *span)
{
    struct durable_walk *walk = arg;
    struct run_span part = *span;
    if (ledger_durable_part(walk->ledger, &part)) {
        block_write_run(walk->writer, &part);
    }
    return 0;
}

bool ledger_has_durable(const struct ledger *self, uint64_t first, uint64_t end)
{
    struct run_span span;
    while (runmap_next(&self->runs, first, RUN_CLASS_ANY, &span) && span.first < end) {
        span.first = span.first > first ? span.first : first;
        first = span.end;
        if (ledger_durable_part(self, &span)) {
            return true;
        }
    }
    return false;
}

bool ledger_next_block(const struct ledger *self, uint64_t *block)
{
    struct run_span span;
    uint64_t at = *block;
    while (runmap_next(&self->runs, at * ZSP_STATE_BLOCK, RUN_CLASS_ANY, &span)) {
        const uint64_t first = span.first / ZSP_STATE_BLOCK;
        at = first > at ? first : at;
        if (ledger_has_durable(self, at * ZSP_STATE_BLOCK, (at + 1) * ZSP_STATE_BLOCK)) {
            *block = at;
            return true;
        }
        at++;
    }
    return false;
}

void ledger_write_block(const struct ledger *self, uint64_t block, size_t bytes_max,
                        struct zsp_writer *out)
{
    const size_t before = out->len;
    const uint64_t first = block * ZSP_STATE_BLOCK;
    struct block_writer writer;
    for (uint32_t kept = ZSP_REASONS_KEPT;; kept--) {
        block_write_begin(&writer, out, self->runs.slab->reasons);
        writer.reasons_kept = kept;
        struct durable_walk walk = {.ledger = self, .writer = &writer};
        (void)runmap_visit(&self->runs, first, first + ZSP_STATE_BLOCK, write_durable, &walk);
        if (kept == 0 || out->failed || out->len - before <= bytes_max) {
            return;
        }
        out->len = before;
    }
}

/* --- Replay ------------------------------------------------------------------------------ */

struct block_reader {
    struct zsp_reader in;
    struct reasons *reasons;
    uint64_t base;         /* the block's first offset */
    uint32_t last_reasons; /* set of the last run that has some; holds a reference */
};

/* Read the texts of a set, oldest pushed first. */
static int read_reasons(struct block_reader *self, uint32_t *ret_set)
{
    struct zsp_slice texts[ZSP_REASONS_KEPT];
    const uint8_t count = zsp_read_u8(&self->in);
    if (count == 0 || count > ZSP_REASONS_KEPT) {
        return ZSP_ECORRUPT;
    }
    for (uint8_t i = 0; i < count; i++) {
        texts[i] = zsp_read_short(&self->in);
    }
    if (self->in.failed) {
        return ZSP_ECORRUPT;
    }
    uint32_t set = 0;
    int rc = 0;
    for (uint8_t i = count; i > 0 && rc == 0; i--) {
        struct zsp_buf *text = zsp_buf_copy(texts[i - 1]);
        const uint32_t below = set;
        rc = text ? reasons_push(self->reasons, below, text, &set) : ZSP_ENOMEM;
        reasons_drop(self->reasons, rc == 0 ? below : set);
        zsp_buf_put(&text);
    }
    if (rc == 0) {
        *ret_set = set;
    }
    return rc;
}

static enum run_state memory_state(uint8_t stored)
{
    static const enum run_state states[] = {RUN_NONE,   RUN_READY, RUN_WAITING,
                                            RUN_LEASED, RUN_DEAD,  RUN_DONE};
    return stored < sizeof states / sizeof states[0] ? states[stored] : RUN_STATES;
}

/* The fields that `flags` announce; `run` has its state. */
static int read_fields(struct block_reader *self, unsigned flags, struct run *run)
{
    run->lease = flags & FLAG_LEASE && run->state != RUN_DEAD ? zsp_read_u64(&self->in) : 0;
    run->started = flags & FLAG_LEASE && run->state == RUN_DEAD ? 1 : 0;
    if (flags & FLAG_LAST) {
        run->last_lease = zsp_read_u64(&self->in);
        run->last_outcome = zsp_read_u8(&self->in) & 7u;
    }
    run->due_ms = flags & FLAG_DUE ? (int64_t)zsp_read_u64(&self->in) : 0;
    run->deliveries = flags & FLAG_COUNTS ? zsp_read_u32(&self->in) : 1;
    run->failures = flags & FLAG_COUNTS ? zsp_read_u32(&self->in) : 0;
    run->limit = flags & FLAG_LIMIT ? zsp_read_u8(&self->in) : 0;
    if (self->in.failed || run->limit > 64 || (run->state == RUN_LEASED) != (run->lease != 0) ||
        (run->state != RUN_DEAD && (run->state == RUN_WAITING) != ((flags & FLAG_DUE) != 0))) {
        return ZSP_ECORRUPT;
    }
    if (flags & FLAG_REASONS) {
        uint32_t set = 0;
        int rc = read_reasons(self, &set);
        if (rc < 0) {
            return rc;
        }
        reasons_drop(self->reasons, self->last_reasons);
        self->last_reasons = set;
    }
    run->reasons = flags & (FLAG_REASONS | FLAG_SAME) ? self->last_reasons : 0;
    const unsigned priority = flags & FLAG_PRIORITY ? zsp_read_u8(&self->in) : ZSP_PRIORITY;
    if (self->in.failed || priority > ZSP_PRIORITY_MAX) {
        return ZSP_ECORRUPT;
    }
    run->urgency = (int8_t)((int)priority - (int)ZSP_PRIORITY);
    return 0;
}

static int read_run(struct block_reader *self, struct run_span *ret)
{
    const uint64_t first = zsp_read_u16(&self->in);
    const uint64_t count = (uint64_t)zsp_read_u16(&self->in) + 1;
    const unsigned stored = zsp_read_u8(&self->in);
    const enum run_state state = memory_state((uint8_t)(stored & ~(unsigned)STORED_REDRIVEN));
    const unsigned flags = zsp_read_u8(&self->in);
    const bool has_fields = state != RUN_NONE && state != RUN_DONE;
    if (self->in.failed || state == RUN_STATES || count > ZSP_STATE_BLOCK - first ||
        (!has_fields && (flags != 0 || stored >= STORED_REDRIVEN))) {
        return ZSP_ECORRUPT;
    }
    *ret = (struct run_span){.first = self->base + first, .end = self->base + first + count};
    ret->run.state = (uint8_t)state;
    ret->run.redriven = stored >= STORED_REDRIVEN ? 1 : 0;
    return has_fields ? read_fields(self, flags, &ret->run) : 0;
}

/* Runs on their way into a map, in order; each holds its reasons. */
struct run_load {
    struct runmap *map;
    size_t count;
    struct run_span spans[LOAD_SPANS];
};

static int put_load(struct run_load *self)
{
    struct reasons *const reasons = self->map->slab->reasons;
    const int rc = runmap_set_all(self->map, self->spans, self->count);
    for (size_t i = 0; i < self->count; i++) {
        reasons_drop(reasons, self->spans[i].run.reasons);
    }
    self->count = 0;
    return rc;
}

static int add_load(struct run_load *self, const struct run_span *span)
{
    const bool is_next = self->count == 0 || self->spans[self->count - 1].end <= span->first;
    const int rc = self->count == LOAD_SPANS || !is_next ? put_load(self) : 0;
    self->spans[self->count++] = *span;
    reasons_hold(self->map->slab->reasons, span->run.reasons);
    return rc;
}

static int read_block(struct ledger *self, uint64_t block, struct zsp_slice value)
{
    struct run_slab *const slab = self->runs.slab;
    struct block_reader reader = {
        .in = zsp_reader_init(value),
        .reasons = slab->reasons,
        .base = block * ZSP_STATE_BLOCK,
    };
    struct run_load load; /* its spans are large, and come one by one */
    load.map = &self->runs;
    load.count = 0;
    int rc = zsp_read_u8(&reader.in) == CODEC_VERSION ? 0 : ZSP_ECORRUPT;
    while (rc == 0 && zsp_reader_left(&reader.in) > 0) {
        struct run_span span;
        rc = read_run(&reader, &span);
        if (rc == 0 && span.run.state == RUN_DEAD && span.run.due_ms > slab->died_max_ms) {
            slab->died_max_ms = span.run.due_ms;
        }
        if (rc == 0) {
            rc = add_load(&load, &span);
        }
    }
    const int put_rc = put_load(&load);
    reasons_drop(reader.reasons, reader.last_reasons);
    return rc < 0 ? rc : put_rc;
}

int ledger_replay_block(struct ledger *self, uint64_t block, enum store_entry_kind kind,
                        struct zsp_slice value, struct zsp_err *err)
{
    if (block > UINT64_MAX / ZSP_STATE_BLOCK - 1) {
        return zsp_err_set(err, ZSP_ECORRUPT, "group state: block number %" PRIu64, block);
    }
    if (kind == STORE_DELTA && !block_set_has(&self->blocks, block)) {
        return 0; /* its image, or its end, follows */
    }
    int rc = 0;
    if (kind != STORE_DELTA) {
        const struct run none = {.state = RUN_NONE};
        const uint64_t first = block * ZSP_STATE_BLOCK;
        rc = runmap_set(&self->runs, first, first + ZSP_STATE_BLOCK, &none);
        block_set_remove(&self->blocks, block);
    }
    if (rc == 0 && kind != STORE_GONE) {
        rc = block_set_reserve(&self->blocks, 1);
    }
    if (rc == 0 && kind != STORE_GONE) {
        block_set_add(&self->blocks, block);
        rc = read_block(self, block, value);
    }
    if (rc == 0) {
        return 0;
    }
    return zsp_err_set(err, rc,
                       "group state: block %" PRIu64 " of partition %" PRIu32 " (topic %" PRIu64
                       ", group %" PRIu64 "): %s",
                       block, ledger_partition_index(self), ledger_topic_id(self),
                       ledger_group_id(self), zsp_strerror(rc));
}
