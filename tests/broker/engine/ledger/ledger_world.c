/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/broker/engine/ledger/ledger_world.h"

#include "tests/common/testing.h"

static void nothing_changed(void *arg, struct ledger *ledger)
{
    (void)arg;
    (void)ledger;
}

static void nothing_is_over(void *arg, struct lease *lease)
{
    (void)arg;
    (void)lease;
}

static uint64_t next_random(void *arg)
{
    return prng_next(arg);
}

int world_set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    const struct step_hooks hooks = {world, nothing_changed, nothing_is_over};
    world->prng = (struct prng){7};
    run_slab_init(&world->slab, &world->reasons);
    lease_table_init(&world->leases, next_random, &world->prng);
    step_init(&world->step, &world->leases, &hooks);
    ledger_init(&world->ledger, 1, 2, 3, &world->slab);
    world->next_lease = 1;
    *state = world;
    return 0;
}

int world_tear_down(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < world->journal_count; i++) {
        zsp_buf_put(&world->journal[i].key);
        zsp_buf_put(&world->journal[i].value);
    }
    free(world->journal);
    ledger_fini(&world->ledger);
    step_fini(&world->step);
    lease_table_fini(&world->leases);
    run_slab_fini(&world->slab);
    reasons_fini(&world->reasons);
    free(world);
    return 0;
}

/* --- A journal ------------------------------------------------------------------------- */

void world_keep_entry(struct world *world, const struct store_entry *entry)
{
    if (world->journal_count == world->journal_capacity) {
        world->journal_capacity = world->journal_capacity > 0 ? world->journal_capacity * 2 : 64;
        world->journal = realloc(world->journal, world->journal_capacity * sizeof *world->journal);
        assert_non_null(world->journal);
    }
    world->journal[world->journal_count++] = (struct kept_entry){
        .kind = entry->kind,
        .key = zsp_buf_copy(entry->key),
        .value = zsp_buf_copy(entry->value),
    };
}

void world_keep_step(struct world *world)
{
    const struct store_entry *entries = NULL;
    size_t count = 0;
    assert_int_equal(step_seal(&world->step, &entries, &count, NULL), 0);
    for (size_t i = 0; i < count; i++) {
        world_keep_entry(world, &entries[i]);
    }
    step_keep(&world->step);
}

static struct zsp_slice bytes_of(const struct zsp_buf *buf)
{
    return (struct zsp_slice){buf->data, buf->len};
}

void world_replay(struct world *world, size_t from, struct ledger *ret)
{
    ledger_init(ret, 1, 2, 3, &world->slab);
    for (size_t i = from; i < world->journal_count; i++) {
        const struct kept_entry *entry = &world->journal[i];
        const uint8_t *key = entry->key->data;
        if (key[0] == LEDGER_KEY_HEAD) {
            assert_int_equal(ledger_read_head(ret, bytes_of(entry->value), NULL), 0);
            continue;
        }
        assert_int_equal(key[0], LEDGER_KEY_BLOCK);
        assert_int_equal(ledger_replay_block(ret, zsp_get_u64(key + 1 + LEDGER_KEY_LEN),
                                             entry->kind, bytes_of(entry->value), NULL),
                         0);
    }
}

/* Append what carrying forward appends: an image of every object. */
void world_image_all(struct world *world)
{
    const struct ledger *ledger = &world->ledger;
    uint8_t key[GROUP_KEY_ROOM];
    struct zsp_writer value = {0};
    ledger_write_head(&value, ledger);
    struct store_entry entry = {ledger_head_key(ledger, key), STORE_IMAGE,
                                zsp_writer_slice(&value)};
    world_keep_entry(world, &entry);
    for (size_t i = 0; i < block_set_count(&ledger->blocks); i++) {
        zsp_writer_reset(&value);
        ledger_write_block(ledger, block_set_at(&ledger->blocks, i), ZSP_STATE_RECORD_MAX, &value);
        entry =
            (struct store_entry){ledger_block_key(ledger, block_set_at(&ledger->blocks, i), key),
                                 STORE_IMAGE, zsp_writer_slice(&value)};
        world_keep_entry(world, &entry);
    }
    zsp_writer_fini(&value);
}

/* --- Comparing --------------------------------------------------------------------------- */

struct dump {
    const struct ledger *ledger;
    struct zsp_writer out;
    struct run_span last; /* not written yet */
    bool any;
};

static void dump_last(struct dump *dump)
{
    const struct run *run = &dump->last.run;
    if (!dump->any) {
        return;
    }
    zsp_write_u64(&dump->out, dump->last.first);
    zsp_write_u64(&dump->out, dump->last.end);
    zsp_write_u64(&dump->out, run->lease);
    zsp_write_u64(&dump->out, run->last_lease);
    zsp_write_u64(&dump->out, (uint64_t)run->due_ms);
    zsp_write_u32(&dump->out, run->deliveries);
    zsp_write_u32(&dump->out, run->failures);
    zsp_write_u32(&dump->out,
                  (uint32_t)run->state << 16 | (uint32_t)run->last_outcome << 8 | run->limit);
}

static bool same_text(const struct reasons *reasons, uint32_t a, uint32_t b)
{
    if (reasons_count(reasons, a) != reasons_count(reasons, b)) {
        return false;
    }
    for (uint32_t i = 0; i < reasons_count(reasons, a); i++) {
        if (!zsp_slice_equal(reasons_text(reasons, a, i), reasons_text(reasons, b, i))) {
            return false;
        }
    }
    return true;
}

/* Runs as they are durable; equal neighbours together, whatever the numbers of their reasons. */
static int dump_run(void *arg, const struct run_span *span)
{
    struct dump *dump = arg;
    struct run_span part = *span;
    part.run.started = 0;
    part.run.state = part.run.state == RUN_RESERVED ? RUN_READY : part.run.state;
    if (ledger_is_untouched(&part.run) && part.end > dump->ledger->journaled) {
        part.end = dump->ledger->journaled;
    }
    if (part.first >= part.end) {
        return 0;
    }
    const struct reasons *reasons = dump->ledger->runs.slab->reasons;
    struct run same = part.run;
    same.reasons = dump->last.run.reasons;
    if (dump->any && dump->last.end == part.first && run_equal(&same, &dump->last.run) &&
        same_text(reasons, part.run.reasons, dump->last.run.reasons)) {
        dump->last.end = part.end;
        return 0;
    }
    dump_last(dump);
    dump->last = part;
    dump->any = true;
    return 0;
}

struct zsp_writer world_dump(const struct ledger *ledger)
{
    struct dump dump = {.ledger = ledger};
    zsp_write_u64(&dump.out, ledger->journaled);
    zsp_write_u64(&dump.out, ledger->water);
    assert_int_equal(runmap_visit(&ledger->runs, 0, UINT64_MAX, dump_run, &dump), 0);
    dump_last(&dump);
    return dump.out;
}

static void assert_same(const struct ledger *a, const struct ledger *b)
{
    struct zsp_writer left = world_dump(a);
    struct zsp_writer right = world_dump(b);
    assert_int_equal(left.len, right.len);
    assert_memory_equal(left.data, right.data, left.len);
    assert_int_equal(block_set_count(&a->blocks), block_set_count(&b->blocks));
    zsp_writer_fini(&left);
    zsp_writer_fini(&right);
}

void world_assert_replays(struct world *world, size_t from)
{
    struct ledger replayed;
    world_replay(world, from, &replayed);
    assert_same(&world->ledger, &replayed);
    assert_int_equal(ledger_recount(&replayed), 0);
    assert_same(&world->ledger, &replayed);
    assert_int_equal(ledger_committed(&world->ledger), ledger_committed(&replayed));
    ledger_fini(&replayed);
}

/* --- Doing ----------------------------------------------------------------------------------- */

struct take world_take(struct world *world, uint64_t messages, struct piece *pieces, size_t max)
{
    struct take take = {.messages = messages, .pieces = pieces, .piece_max = max};
    assert_int_equal(ledger_take(&world->ledger, &take), 0);
    return take;
}

/* Hand out what was taken of a piece; in the open step. */
void world_lease_out(struct world *world, uint64_t first, uint64_t end, uint64_t lease)
{
    struct run_span span;
    while (first < end && runmap_next(&world->ledger.runs, first, RUN_CLASS_RESERVED, &span) &&
           span.first < end) {
        span.first = span.first > first ? span.first : first;
        span.end = span.end < end ? span.end : end;
        first = span.end;
        span.run.state = RUN_LEASED;
        span.run.lease = lease;
        span.run.deliveries++;
        assert_int_equal(step_set(&world->step, &world->ledger, span.first, span.end, &span.run),
                         0);
    }
}

uint64_t world_grant(struct world *world, uint64_t messages)
{
    struct piece pieces[32];
    const struct take take = world_take(world, messages, pieces, 32);
    const uint64_t lease = world->next_lease++;
    step_begin(&world->step);
    for (size_t i = 0; i < take.piece_count; i++) {
        world_lease_out(world, pieces[i].first, pieces[i].end, lease);
    }
    world_keep_step(world);
    return lease;
}

void world_put(struct world *world, uint64_t first, uint64_t end, const struct run *run)
{
    step_begin(&world->step);
    assert_int_equal(step_set(&world->step, &world->ledger, first, end, run), 0);
    world_keep_step(world);
}

void world_ack(struct world *world, uint64_t first, uint64_t end)
{
    const struct run none = {.state = RUN_NONE};
    world_put(world, first, end, &none);
}

void world_retry(struct world *world, uint64_t first, uint64_t end, int64_t due_ms)
{
    const struct run run = {
        .state = due_ms > 0 ? RUN_WAITING : RUN_READY, .due_ms = due_ms, .deliveries = 1};
    world_put(world, first, end, &run);
}
