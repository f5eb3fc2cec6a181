/* SPDX-License-Identifier: MPL-2.0
 *
 * The ledger: what is handed out when, and that its durable form says the same
 * as memory, whatever happened and whichever entries are left.
 */
#include "broker/engine/ledger.h"

#include "broker/engine/ledger_codec.h"
#include "broker/engine/outcome.h"
#include "broker/engine/step.h"
#include "tests/common/testing.h"
#include "tests/support/prng.h"

/* A durable entry, as the store would keep it. */
struct kept_entry {
    enum store_entry_kind kind;
    struct zsp_buf *key, *value;
};

struct world {
    struct reasons reasons;
    struct run_slab slab;
    struct lease_table leases;
    struct step step;
    struct ledger ledger;
    struct kept_entry *journal;
    size_t journal_count, journal_capacity;
    struct prng prng;
    uint64_t next_lease;
};

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

static int set_up(void **state)
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

static int tear_down(void **state)
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

static void keep_entry(struct world *world, const struct store_entry *entry)
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

static void keep_step(struct world *world)
{
    const struct store_entry *entries = NULL;
    size_t count = 0;
    assert_int_equal(step_seal(&world->step, &entries, &count, NULL), 0);
    for (size_t i = 0; i < count; i++) {
        keep_entry(world, &entries[i]);
    }
    step_keep(&world->step);
}

static struct zsp_slice bytes_of(const struct zsp_buf *buf)
{
    return (struct zsp_slice){buf->data, buf->len};
}

static void replay(struct world *world, size_t from, struct ledger *ret)
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
static void image_all(struct world *world)
{
    const struct ledger *ledger = &world->ledger;
    uint8_t key[GROUP_KEY_ROOM];
    struct zsp_writer value = {0};
    ledger_write_head(&value, ledger->journaled, ledger->water);
    struct store_entry entry = {ledger_head_key(ledger, key), STORE_IMAGE,
                                zsp_writer_slice(&value)};
    keep_entry(world, &entry);
    for (size_t i = 0; i < ledger->blocks.count; i++) {
        zsp_writer_reset(&value);
        ledger_write_block(ledger, ledger->blocks.blocks[i], ZSP_JOURNAL_RECORD_MAX, &value);
        entry = (struct store_entry){ledger_block_key(ledger, ledger->blocks.blocks[i], key),
                                     STORE_IMAGE, zsp_writer_slice(&value)};
        keep_entry(world, &entry);
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
    if (part.run.state != RUN_DEAD && part.end > dump->ledger->journaled) {
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

static struct zsp_writer dump_ledger(const struct ledger *ledger)
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
    struct zsp_writer left = dump_ledger(a);
    struct zsp_writer right = dump_ledger(b);
    assert_int_equal(left.len, right.len);
    assert_memory_equal(left.data, right.data, left.len);
    assert_int_equal(a->blocks.count, b->blocks.count);
    zsp_writer_fini(&left);
    zsp_writer_fini(&right);
}

static void assert_replays(struct world *world, size_t from)
{
    struct ledger replayed;
    replay(world, from, &replayed);
    assert_same(&world->ledger, &replayed);
    assert_int_equal(ledger_check(&replayed, NULL), 0);
    ledger_fini(&replayed);
}

/* --- Doing ----------------------------------------------------------------------------------- */

static struct take take_some(struct world *world, uint64_t messages, struct piece *pieces,
                             size_t max)
{
    struct take take = {.messages = messages, .pieces = pieces, .piece_max = max};
    assert_int_equal(ledger_take(&world->ledger, &take), 0);
    return take;
}

/* Hand out what was taken of a piece; in the open step. */
static void lease_out(struct world *world, uint64_t first, uint64_t end, uint64_t lease)
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

static uint64_t grant(struct world *world, uint64_t messages)
{
    struct piece pieces[32];
    const struct take take = take_some(world, messages, pieces, 32);
    const uint64_t lease = world->next_lease++;
    step_begin(&world->step);
    for (size_t i = 0; i < take.piece_count; i++) {
        lease_out(world, pieces[i].first, pieces[i].end, lease);
    }
    keep_step(world);
    return lease;
}

static void put(struct world *world, uint64_t first, uint64_t end, const struct run *run)
{
    step_begin(&world->step);
    assert_int_equal(step_set(&world->step, &world->ledger, first, end, run), 0);
    keep_step(world);
}

static void ack(struct world *world, uint64_t first, uint64_t end)
{
    const struct run none = {.state = RUN_NONE};
    put(world, first, end, &none);
}

static void retry(struct world *world, uint64_t first, uint64_t end, int64_t due_ms)
{
    const struct run run = {
        .state = due_ms > 0 ? RUN_WAITING : RUN_READY, .due_ms = due_ms, .deliveries = 1};
    put(world, first, end, &run);
}

/* --- Rules ------------------------------------------------------------------------------------ */

/* Goal: the common case costs one node and two small records. */
static void a_pull_and_its_ack_leave_nothing_behind(void **state)
{
    struct world *world = *state;
    world->ledger.mark = 5000;
    grant(world, 1000);
    assert_int_equal(world->slab.used - world->slab.free_count, 2); /* number 0 is none */
    assert_int_equal(world->journal_count, 2);                      /* head, block */
    ack(world, 0, 1000);
    assert_int_equal(world->slab.used - world->slab.free_count, 1);
    assert_int_equal(world->journal_count, 3);
    assert_int_equal(world->journal[2].kind, STORE_GONE);
    assert_int_equal(ledger_committed(&world->ledger), 1000);
    assert_int_equal(ledger_ready(&world->ledger), 4000);
    size_t bytes = 0;
    for (size_t i = 0; i < world->journal_count; i++) {
        bytes += world->journal[i].key->len + world->journal[i].value->len;
    }
    assert_true(bytes < 200);
    assert_replays(world, 0);
}

static void committed_stands_at_the_first_unfinished(void **state)
{
    struct world *world = *state;
    world->ledger.mark = 100;
    grant(world, 100);
    ack(world, 50, 100);
    assert_int_equal(ledger_committed(&world->ledger), 0);
    ack(world, 0, 20);
    assert_int_equal(ledger_committed(&world->ledger), 20);
    ack(world, 20, 50);
    assert_int_equal(ledger_committed(&world->ledger), 100);
}

static void committed_passes_the_dead(void **state)
{
    struct world *world = *state;
    world->ledger.mark = 10;
    grant(world, 10);
    const struct run dead = {.state = RUN_DEAD, .deliveries = 1, .failures = 5};
    put(world, 0, 4, &dead);
    assert_int_equal(ledger_committed(&world->ledger), 4);
    ack(world, 4, 10);
    assert_int_equal(ledger_committed(&world->ledger), 10);
    assert_int_equal(ledger_dead(&world->ledger), 4);
    assert_replays(world, 0);
}

static void what_was_released_comes_before_what_is_fresh(void **state)
{
    struct world *world = *state;
    struct piece pieces[4];
    world->ledger.mark = 100;
    grant(world, 50);
    retry(world, 30, 31, 0);
    retry(world, 7, 8, 0);
    const struct take take = take_some(world, 4, pieces, 4);
    assert_int_equal(take.piece_count, 3);
    assert_int_equal(pieces[0].first, 7);
    assert_int_equal(pieces[1].first, 30);
    assert_int_equal(pieces[2].first, 50);
    assert_int_equal(pieces[2].end, 52);
}

static void a_retry_comes_when_it_is_due(void **state)
{
    struct world *world = *state;
    bool all = false;
    world->ledger.mark = 10;
    grant(world, 10);
    retry(world, 2, 4, 1000);
    assert_int_equal(ledger_due_ms(&world->ledger), 1000);
    assert_int_equal(ledger_ready(&world->ledger), 0);
    assert_int_equal(ledger_wake(&world->ledger, 999, 10, &all), 0);
    assert_int_equal(ledger_ready(&world->ledger), 0);
    assert_int_equal(ledger_wake(&world->ledger, 1000, 10, &all), 0);
    assert_true(all);
    assert_int_equal(ledger_ready(&world->ledger), 2);
    assert_int_equal(ledger_due_ms(&world->ledger), INT64_MAX);
}

static void waking_is_bounded(void **state)
{
    struct world *world = *state;
    bool all = true;
    world->ledger.mark = 10;
    grant(world, 10);
    for (uint64_t i = 0; i < 10; i += 2) {
        retry(world, i, i + 1, 5);
    }
    assert_int_equal(ledger_wake(&world->ledger, 5, 3, &all), 0);
    assert_false(all);
    assert_int_equal(ledger_ready(&world->ledger), 3);
    assert_int_equal(ledger_wake(&world->ledger, 5, 3, &all), 0);
    assert_true(all);
}

static void fresh_messages_put_back_are_fresh_again(void **state)
{
    struct world *world = *state;
    struct piece pieces[4];
    world->ledger.mark = 1000;
    take_some(world, 1000, pieces, 4);
    assert_int_equal(ledger_ready(&world->ledger), 0);
    assert_int_equal(ledger_untake(&world->ledger, 100, 1000), 0);
    assert_int_equal(world->ledger.high, 100);
    assert_int_equal(ledger_ready(&world->ledger), 900);
    assert_int_equal(world->slab.used - world->slab.free_count, 2);
}

/* Goal: what another pull still reads must not count as done after a crash. */
static void a_grant_behind_a_reservation_keeps_what_is_before_it(void **state)
{
    struct world *world = *state;
    struct piece first[4];
    struct ledger replayed;
    world->ledger.mark = 200;
    take_some(world, 100, first, 4);
    grant(world, 100);
    assert_int_equal(world->ledger.journaled, 200);
    replay(world, 0, &replayed);
    replayed.mark = 200;
    assert_int_equal(ledger_committed(&replayed), 0);
    assert_int_equal(ledger_ready(&replayed), 100);
    assert_int_equal(ledger_leased(&replayed), 100);
    ledger_fini(&replayed);
}

static void limited_messages_go_out_alone_and_few(void **state)
{
    struct world *world = *state;
    struct piece pieces[8];
    world->ledger.mark = 100;
    grant(world, 20);
    const struct run limited = {.state = RUN_READY, .limit = 3, .deliveries = 1};
    put(world, 0, 10, &limited);
    const struct run tighter = {.state = RUN_READY, .limit = 2, .deliveries = 1};
    put(world, 2, 3, &tighter);
    const struct take take = take_some(world, 50, pieces, 8);
    assert_true(take.alone);
    assert_int_equal(take.taken, 2);
}

static void unlimited_messages_do_not_wait_for_limited_ones(void **state)
{
    struct world *world = *state;
    struct piece pieces[8];
    world->ledger.mark = 100;
    grant(world, 20);
    const struct run limited = {.state = RUN_READY, .limit = 1, .deliveries = 1};
    put(world, 5, 10, &limited);
    retry(world, 2, 3, 0);
    const struct take take = take_some(world, 50, pieces, 8);
    assert_false(take.alone);
    assert_int_equal(take.taken, 50);
    assert_int_equal(pieces[0].first, 2);
    assert_int_equal(pieces[1].first, 20);
}

static void nothing_passes_a_damaged_range(void **state)
{
    struct world *world = *state;
    struct piece pieces[8];
    world->ledger.mark = 100;
    world->ledger.blocked = 30;
    const struct take take = take_some(world, 100, pieces, 8);
    assert_int_equal(take.taken, 30);
    assert_int_equal(ledger_ready(&world->ledger), 0);
}

static void a_reset_keeps_the_dead_and_hands_out_the_rest(void **state)
{
    struct world *world = *state;
    struct piece pieces[8];
    const struct run dead = {.state = RUN_DEAD, .deliveries = 1, .failures = 1};
    world->ledger.mark = 100;
    grant(world, 60);
    put(world, 10, 12, &dead);
    ack(world, 12, 60);
    step_begin(&world->step);
    assert_int_equal(step_reset(&world->step, &world->ledger, 5, true), 0);
    keep_step(world);
    assert_int_equal(ledger_committed(&world->ledger), 5);
    assert_int_equal(ledger_ready(&world->ledger), 93);
    assert_replays(world, 0);
    const struct take take = take_some(world, 100, pieces, 8);
    assert_int_equal(take.taken, 93);
    assert_int_equal(pieces[0].end, 10);
    assert_int_equal(pieces[1].first, 12);
    assert_int_equal(ledger_ready(&world->ledger), 0);
}

/* Goal: also when the dead lie where nothing was handed out since the seek. */
static void committed_passes_the_dead_after_a_seek(void **state)
{
    struct world *world = *state;
    const struct run dead = {.state = RUN_DEAD, .deliveries = 1, .failures = 1};
    world->ledger.mark = 20;
    grant(world, 20);
    put(world, 0, 2, &dead);
    put(world, 4, 6, &dead);
    step_begin(&world->step);
    assert_int_equal(step_reset(&world->step, &world->ledger, 0, true), 0);
    keep_step(world);
    assert_int_equal(ledger_committed(&world->ledger), 2);
    grant(world, 2);
    assert_int_equal(ledger_committed(&world->ledger), 2);
    ack(world, 2, 4);
    assert_int_equal(ledger_committed(&world->ledger), 6);
    assert_replays(world, 0);
}

static void a_reset_may_bring_the_dead_back(void **state)
{
    struct world *world = *state;
    const struct run dead = {.state = RUN_DEAD, .deliveries = 1, .failures = 1};
    world->ledger.mark = 20;
    grant(world, 20);
    put(world, 2, 4, &dead);
    put(world, 10, 12, &dead);
    step_begin(&world->step);
    assert_int_equal(step_reset(&world->step, &world->ledger, 3, false), 0);
    keep_step(world);
    assert_int_equal(ledger_dead(&world->ledger), 1); /* the one before the position */
    assert_int_equal(ledger_ready(&world->ledger), 17);
    assert_replays(world, 0);
}

static void a_refused_reset_changes_nothing(void **state)
{
    struct world *world = *state;
    const struct run dead = {.state = RUN_DEAD, .deliveries = 1, .failures = 1};
    world->ledger.mark = 70000;
    grant(world, 70000);
    put(world, 2, 4, &dead);
    struct zsp_writer before = dump_ledger(&world->ledger);
    step_begin(&world->step);
    assert_int_equal(step_reset(&world->step, &world->ledger, 66000, true), 0);
    step_undo(&world->step);
    struct zsp_writer after = dump_ledger(&world->ledger);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, before.len);
    assert_int_equal(world->ledger.high, 70000);
    zsp_writer_fini(&before);
    zsp_writer_fini(&after);
}

/* --- Durable form ------------------------------------------------------------------------------ */

static void random_reason(struct world *world, struct run *run)
{
    static const char *const texts[] = {"timeout", "bad input", "no such customer"};
    struct zsp_buf *text = zsp_buf_copy(zsp_slice_str(texts[prng_below(&world->prng, 3)]));
    assert_int_equal(reasons_push(&world->reasons, run->reasons, text, &run->reasons), 0);
    zsp_buf_put(&text);
}

/* Settle a random stretch that is out, in one of all ways. */
static void settle_some(struct world *world)
{
    static const struct group_settings settings = {
        .max_failures = 3, .backoff_ms = 10, .backoff_max_ms = 100};
    struct run_span span;
    const uint64_t from = prng_below(&world->prng, world->ledger.mark + 1);
    if (!runmap_next(&world->ledger.runs, from, RUN_CLASS_LEASED, &span)) {
        return;
    }
    const uint64_t length = span.end - span.first;
    span.first += prng_below(&world->prng, length);
    span.end -= prng_below(&world->prng, span.end - span.first);
    struct run run = span.run;
    const uint32_t held = run.reasons;
    const struct lost_lease lost = {.granted = (uint32_t)(1 + prng_below(&world->prng, 9))};
    switch (prng_below(&world->prng, 6)) {
    case 0:
        outcome_retry(&settings, UINT64_MAX, 1000, &run);
        random_reason(world, &run);
        break;
    case 1:
        outcome_release(&run);
        break;
    case 2:
        outcome_reject(&run);
        random_reason(world, &run);
        break;
    case 3:
        (void)outcome_lost(&settings, &lost, &run);
        break;
    default:
        run = (struct run){.state = RUN_NONE};
        break;
    }
    assert_int_equal(step_set(&world->step, &world->ledger, span.first, span.end, &run), 0);
    if (run.reasons != held) {
        reasons_drop(&world->reasons, run.reasons);
    }
}

static void grant_some(struct world *world)
{
    struct piece pieces[64];
    const uint64_t wanted = 1 + prng_below(&world->prng, 20000);
    const struct take take = take_some(world, wanted, pieces, 64);
    step_begin(&world->step);
    for (size_t i = 0; i < take.piece_count; i++) {
        const uint64_t middle =
            pieces[i].first + prng_below(&world->prng, pieces[i].end - pieces[i].first + 1);
        lease_out(world, pieces[i].first, middle, world->next_lease);
        pieces[i].first = middle;
    }
    world->next_lease++;
    keep_step(world);
    for (size_t i = take.piece_count; i > 0 && prng_below(&world->prng, 8) > 0; i--) {
        assert_int_equal(ledger_untake(&world->ledger, pieces[i - 1].first, pieces[i - 1].end), 0);
    }
}

static void settle_many(struct world *world)
{
    struct zsp_writer before = dump_ledger(&world->ledger);
    step_begin(&world->step);
    for (uint64_t i = prng_below(&world->prng, 20); i > 0; i--) {
        settle_some(world);
    }
    if (prng_below(&world->prng, 4) > 0) {
        keep_step(world);
    } else {
        step_undo(&world->step);
        struct zsp_writer after = dump_ledger(&world->ledger);
        assert_int_equal(before.len, after.len);
        assert_memory_equal(before.data, after.data, before.len);
        zsp_writer_fini(&after);
    }
    zsp_writer_fini(&before);
}

static void reset_some(struct world *world)
{
    const uint64_t to = prng_below(&world->prng, world->ledger.mark + 1);
    step_begin(&world->step);
    assert_int_equal(step_reset(&world->step, &world->ledger, to, prng_below(&world->prng, 2) == 0),
                     0);
    keep_step(world);
}

/* Goal: deltas, images and ends, in any legal order, give back what was in memory. Method: all
 * operations at random over several blocks; now and then replay everything, or everything since
 * a random moment with an image of each object behind it, as the store carries forward. */
static void any_legal_replay_gives_the_same_state(void **state)
{
    struct world *world = *state;
    for (int round = 0; round < 1500; round++) {
        world->ledger.mark += prng_below(&world->prng, 600);
        const uint64_t choice = prng_below(&world->prng, 100);
        if (choice < 45) {
            grant_some(world);
        } else if (choice < 99) {
            settle_many(world);
        } else {
            reset_some(world);
        }
        if (round % 50 == 0) {
            assert_replays(world, 0);
        }
        if (round % 100 == 99) {
            const size_t from = (size_t)prng_below(&world->prng, world->journal_count);
            image_all(world);
            assert_replays(world, from);
        }
    }
    assert_true(world->ledger.blocks.count > 2);
}

static void damaged_entries_are_refused(void **state)
{
    struct world *world = *state;
    static const uint8_t bad[][12] = {
        {2},                                   /* version */
        {1, 0},                                /* cut off */
        {1, 0, 0, 0, 0, 9, 0},                 /* no such state */
        {1, 255, 255, 1, 0, 1, 0},             /* leaves the block */
        {1, 0, 0, 0, 0, 3, 0},                 /* leased under no lease */
        {1, 0, 0, 0, 0, 2, 0},                 /* waits for no time */
        {1, 0, 0, 0, 0, 4, 32, 9},             /* nine reasons */
        {1, 0, 0, 0, 0, 4, 32, 1, 200, 0, 65}, /* a reason cut off */
    };
    const size_t lengths[] = {1, 2, 7, 7, 7, 7, 8, 11};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct zsp_err err = {0};
        const struct zsp_slice value = {bad[i], lengths[i]};
        assert_int_equal(ledger_replay_block(&world->ledger, 0, STORE_IMAGE, value, &err),
                         ZSP_ECORRUPT);
        assert_true(err.msg[0] != '\0');
    }
    assert_int_equal(ledger_read_head(&world->ledger, (struct zsp_slice){bad[0], 12}, NULL),
                     ZSP_ECORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_pull_and_its_ack_leave_nothing_behind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(committed_stands_at_the_first_unfinished, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(committed_passes_the_dead, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_released_comes_before_what_is_fresh, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_retry_comes_when_it_is_due, set_up, tear_down),
        cmocka_unit_test_setup_teardown(waking_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fresh_messages_put_back_are_fresh_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_grant_behind_a_reservation_keeps_what_is_before_it,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(limited_messages_go_out_alone_and_few, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unlimited_messages_do_not_wait_for_limited_ones, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(nothing_passes_a_damaged_range, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_reset_keeps_the_dead_and_hands_out_the_rest, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(committed_passes_the_dead_after_a_seek, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_reset_may_bring_the_dead_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_refused_reset_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(any_legal_replay_gives_the_same_state, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_entries_are_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
