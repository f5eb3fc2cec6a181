/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/broker/store/rewrite/rewriting_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/crash_fs.h"

#define TURNS_MAX 10000

uint64_t rewriting_world_draw(struct rewriting_world *self, uint64_t below)
{
    self->random = self->random * 6364136223846793005u + 1442695040888963407u;
    return (self->random >> 33) % below;
}

void rewriting_world_set_up(struct rewriting_world *self, uint64_t seed)
{
    void *state = NULL;
    self->random = seed;
    assert_int_equal(log_case_set_up(&state), 0);
    self->store = state;
    self->store->now.wall_ms = 1000000;
    self->packer = zsp_packer_new(1);
    assert_non_null(self->packer);
}

void rewriting_world_tear_down(struct rewriting_world *self)
{
    void *state = self->store;
    zsp_packer_destroy(&self->packer);
    log_case_tear_down(&state);
}

/* --- Publishing ----------------------------------------------------------------------------------- */

void rewriting_world_append(struct rewriting_world *self, uint32_t partition,
                            struct zsp_slice records, uint32_t count, uint64_t packed_one_of)
{
    uint8_t packed[4096];
    struct zsp_slice body = records;
    const bool packs = rewriting_world_draw(self, packed_one_of) == 0;
    if (packs) {
        const int64_t len = zsp_pack(self->packer, body, packed, sizeof packed);
        assert_true(len > 0);
        body = (struct zsp_slice){packed, (size_t)len};
    }
    struct log_case *c = self->store;
    struct zsp_buf *buf = zsp_buf_copy(body);
    const struct store_batch batch = {.frame = buf,
                                      .body = {buf->data, buf->len},
                                      .record_count = count,
                                      .codec = packs ? ZSP_CODEC_ZSTD : ZSP_CODEC_NONE,
                                      .raw_bytes = packs ? (uint32_t)records.len : 0,
                                      .priority = c->priority,
                                      .timestamp_ms = c->now.wall_ms};
    (void)c->store->ops->append(c->store, c->parts[partition], &batch, 5, NULL);
    zsp_buf_put(&buf);
    log_case_run(c);
}

/* --- Looking --------------------------------------------------------------------------------------- */

static void look_at_batch(struct rewriting_world *self, const struct store_batch *batch)
{
    static uint8_t raw[65536];
    struct zsp_slice body = batch->body;
    struct zsp_slice bytes;
    struct zsp_record record;
    if (batch->codec == ZSP_CODEC_ZSTD) {
        struct zsp_unpacker *unpacker = zsp_unpacker_new();
        assert_int_equal(zsp_unpack(unpacker, body, raw, batch->raw_bytes, NULL), 0);
        zsp_unpacker_destroy(&unpacker);
        body = (struct zsp_slice){raw, batch->raw_bytes};
    }
    uint64_t offset = batch->first_offset;
    for (; zsp_record_next(&body, &bytes) == 0; offset++) {
        assert_int_equal(zsp_record_decode(bytes, &record, NULL), 0);
        char id[32] = {0};
        memcpy(id, record.id.data, record.id.len);
        const uint64_t serial = strtoull(id, NULL, 10);
        assert_true(serial < self->serial);
        assert_true(offset < REWRITING_MESSAGES_MAX);
        self->seen_fn(self, offset, serial, &record);
        self->is_there[offset] = true;
    }
    assert_int_equal(offset, batch->first_offset + batch->record_count);
}

void rewriting_world_look(struct rewriting_world *self, uint64_t from)
{
    struct log_case *c = self->store;
    const uint64_t mark = log_case_info(c, 0).synced_offset;
    memset(self->is_there, 0, sizeof self->is_there);
    for (uint64_t at = from; at < mark; at = c->read.covered.end_offset) {
        assert_int_equal(log_case_read(c, 0, at), 0);
        assert_int_equal(c->read.covered.first_offset, at);
        assert_true(c->read.covered.end_offset > at);
        for (uint32_t i = 0; i < c->read.batch_count; i++) {
            look_at_batch(self, &c->read.batches[i]);
        }
    }
    assert_true(mark >= self->end);
    assert_true(mark < REWRITING_MESSAGES_MAX);
    self->end = mark;
}

/* --- Driving ----------------------------------------------------------------------------------------- */

static bool is_busy(struct log_case *c, uint32_t partition)
{
    const struct store_part_info info = log_case_info(c, partition);
    return info.is_compacting || info.is_island_busy;
}

void rewriting_world_wait(struct rewriting_world *self, uint32_t partition)
{
    struct log_case *c = self->store;
    log_case_run(c);
    for (int i = 0; i < TURNS_MAX && !c->failed && is_busy(c, partition); i++) {
        c->now.mono_ms += 20;
        log_case_run(c);
    }
    assert_true(c->failed || !is_busy(c, partition));
}

bool rewriting_world_crash(struct rewriting_world *self, bool power, uint64_t seed)
{
    struct log_case *c = self->store;
    log_case_kill(c);
    const bool crashed = crash_fs_frozen(c->fs);
    if (power) {
        crash_fs_power_loss(c->fs, seed);
    } else {
        crash_fs_process_crash(c->fs);
    }
    log_case_assert_clean(c);
    log_case_reopen(c);
    return crashed;
}

void rewriting_crash_everywhere(bool (*crash_at)(uint64_t call, bool power), bool power)
{
    uint64_t calls = 0;
    while (crash_at(calls, power)) {
        calls++;
    }
    assert_true(calls > 40);
}
