/* SPDX-License-Identifier: MPL-2.0
 *
 * Messages handed out in any order: the ledger against a plain model, an array
 * that knows the state of each message, and single cases of what lies above `high`.
 */
#include "broker/engine/ledger/ledger.h"

#include <string.h>

#include "tests/broker/engine/ledger/ledger_world.h"
#include "tests/common/testing.h"

#define OFFSETS_MAX 3000u
#define PULLS_MAX   3u
#define PIECES_MAX  16u

/* FREE: may be handed out, whether it was before or not. */
enum status { FREE, RESERVED, OUT, WAITING, DEAD, DONE };

struct pull {
    struct piece pieces[PIECES_MAX];
    size_t piece_count;
};

struct model {
    struct world *world;
    enum status status[OFFSETS_MAX];
    struct pull pulls[PULLS_MAX]; /* at work */
    bool woken;                   /* retries came due, which only memory knows */
};

/* --- Comparing --------------------------------------------------------------------------- */

static enum status status_of(const struct ledger *ledger, uint64_t offset)
{
    static const enum status by_state[RUN_STATES] = {
        [RUN_READY] = FREE, [RUN_RESERVED] = RESERVED, [RUN_WAITING] = WAITING,
        [RUN_LEASED] = OUT, [RUN_DEAD] = DEAD,         [RUN_DONE] = DONE,
    };
    struct run_span span;
    if (runmap_next(&ledger->runs, offset, RUN_CLASS_ANY, &span) && span.first <= offset) {
        return by_state[span.run.state];
    }
    return offset < ledger->high ? DONE : FREE;
}

static void assert_is_model(const struct model *model)
{
    const struct ledger *ledger = &model->world->ledger;
    uint64_t counts[DONE + 1] = {0};
    uint64_t committed = ledger->mark;
    for (uint64_t i = 0; i < ledger->mark; i++) {
        const enum status status = model->status[i];
        assert_int_equal(status_of(ledger, i), status);
        counts[status]++;
        if (status != DONE && status != DEAD && i < committed) {
            committed = i;
        }
    }
    assert_int_equal(ledger_ready(ledger), counts[FREE]);
    assert_int_equal(ledger_leased(ledger), counts[OUT]);
    assert_int_equal(ledger_waiting(ledger), counts[WAITING]);
    assert_int_equal(ledger_dead(ledger), counts[DEAD]);
    assert_int_equal(ledger_committed(ledger), committed);
}

static void set_status(struct model *model, uint64_t first, uint64_t end, enum status status)
{
    for (uint64_t i = first; i < end; i++) {
        model->status[i] = status;
    }
}

/* --- What happens --------------------------------------------------------------------------- */

static uint64_t below(struct model *model, uint64_t bound)
{
    return prng_below(&model->world->prng, bound);
}

static struct pull *idle_pull(struct model *model)
{
    for (size_t i = 0; i < PULLS_MAX; i++) {
        if (model->pulls[i].piece_count == 0) {
            return &model->pulls[i];
        }
    }
    return NULL;
}

static void note_taken(struct model *model, struct pull *pull, const struct take *take)
{
    pull->piece_count = take->piece_count;
    for (size_t i = 0; i < take->piece_count; i++) {
        for (uint64_t o = take->pieces[i].first; o < take->pieces[i].end; o++) {
            assert_int_equal(model->status[o], FREE);
        }
        set_status(model, take->pieces[i].first, take->pieces[i].end, RESERVED);
    }
}

static void take_in_order(struct model *model)
{
    struct pull *pull = idle_pull(model);
    if (pull) {
        const struct take take =
            world_take(model->world, 1 + below(model, 100), pull->pieces, PIECES_MAX);
        note_taken(model, pull, &take);
    }
}

static void take_anywhere(struct model *model)
{
    struct ledger *ledger = &model->world->ledger;
    struct pull *pull = idle_pull(model);
    struct take take = {.messages = 1 + below(model, 60), .piece_max = PIECES_MAX};
    for (uint64_t tries = 1 + below(model, 4); pull && tries > 0 && take.messages > 0; tries--) {
        struct run_span span;
        take.pieces = pull->pieces;
        if (!ledger_next_fresh(ledger, below(model, ledger->mark + 1), &span)) {
            continue;
        }
        uint64_t length = 1 + below(model, span.end - span.first);
        length = length < take.messages ? length : take.messages;
        const uint64_t first = span.first + below(model, span.end - span.first - length + 1);
        assert_int_equal(ledger_take_fresh(ledger, &take, first, first + length), 0);
    }
    if (pull) {
        note_taken(model, pull, &take);
    }
}

/* Hand out some of what a pull holds, and put the rest back. */
static void finish_pull(struct model *model)
{
    struct world *world = model->world;
    struct pull *pull = &model->pulls[below(model, PULLS_MAX)];
    step_begin(&world->step);
    for (size_t i = 0; i < pull->piece_count; i++) {
        const struct piece *piece = &pull->pieces[i];
        const uint64_t cut = piece->first + below(model, piece->end - piece->first + 1);
        world_lease_out(world, piece->first, cut, world->next_lease);
        set_status(model, piece->first, cut, OUT);
        set_status(model, cut, piece->end, FREE);
    }
    world->next_lease++;
    world_keep_step(world);
    const bool backwards = below(model, 2) == 0;
    for (size_t i = 0; i < pull->piece_count; i++) {
        const struct piece *piece = &pull->pieces[backwards ? pull->piece_count - 1 - i : i];
        assert_int_equal(ledger_untake(&world->ledger, piece->first, piece->end), 0);
    }
    pull->piece_count = 0;
}

static void settle_one(struct model *model)
{
    static const struct run outcomes[] = {
        {.state = RUN_NONE},
        {.state = RUN_READY, .deliveries = 1},
        {.state = RUN_READY}, /* undelivered */
        {.state = RUN_WAITING, .due_ms = 5, .deliveries = 1},
        {.state = RUN_DEAD, .deliveries = 1, .failures = 1},
    };
    static const enum status statuses[] = {DONE, FREE, FREE, WAITING, DEAD};
    struct ledger *ledger = &model->world->ledger;
    struct run_span span;
    const uint64_t from = below(model, ledger->mark + 1);
    if (!runmap_next(&ledger->runs, from, RUN_CLASS_LEASED, &span)) {
        return;
    }
    span.first += below(model, span.end - span.first);
    span.end -= below(model, span.end - span.first);
    const uint64_t drawn = below(model, 12);
    const size_t outcome = drawn < 5 ? (size_t)drawn : 0;
    assert_int_equal(
        step_set(&model->world->step, ledger, span.first, span.end, &outcomes[outcome]), 0);
    set_status(model, span.first, span.end, statuses[outcome]);
}

static void settle_some(struct model *model)
{
    struct model *before = malloc(sizeof *before);
    assert_non_null(before);
    *before = *model;
    step_begin(&model->world->step);
    for (uint64_t i = below(model, 12); i > 0; i--) {
        settle_one(model);
    }
    if (below(model, 4) > 0) {
        world_keep_step(model->world);
    } else {
        step_undo(&model->world->step);
        memcpy(model->status, before->status, sizeof model->status);
    }
    free(before);
}

static void wake_all(struct model *model)
{
    bool all = false;
    assert_int_equal(ledger_wake(&model->world->ledger, 5, SIZE_MAX, &all), 0);
    for (size_t i = 0; i < OFFSETS_MAX; i++) {
        model->status[i] = model->status[i] == WAITING ? FREE : model->status[i];
    }
    model->woken = true;
}

static void seek(struct model *model)
{
    struct ledger *ledger = &model->world->ledger;
    const uint64_t to = below(model, ledger->mark + 1);
    const bool keeps_dead = below(model, 2) == 0;
    step_begin(&model->world->step);
    assert_int_equal(step_reset(&model->world->step, ledger, to, keeps_dead), 0);
    world_keep_step(model->world);
    for (uint64_t i = 0; i < ledger->mark; i++) {
        const bool stays = model->status[i] == DEAD && (i < to || keeps_dead);
        model->status[i] = stays ? DEAD : i < to ? DONE : FREE;
    }
    memset(model->pulls, 0, sizeof model->pulls);
}

static void restart(struct model *model)
{
    struct world *world = model->world;
    struct ledger replayed;
    world_replay(world, 0, &replayed);
    assert_int_equal(ledger_recount(&replayed), 0);
    replayed.mark = world->ledger.mark;
    ledger_fini(&world->ledger);
    world->ledger = replayed;
    for (size_t i = 0; i < OFFSETS_MAX; i++) {
        model->status[i] = model->status[i] == RESERVED ? FREE : model->status[i];
    }
    memset(model->pulls, 0, sizeof model->pulls);
    wake_all(model); /* as those of before were */
}

static void assert_replays(struct model *model)
{
    if (!model->woken) {
        world_assert_replays(model->world, 0);
    }
}

static void do_something(struct model *model)
{
    const uint64_t choice = below(model, 1000);
    if (choice < 150) {
        take_in_order(model);
    } else if (choice < 350) {
        take_anywhere(model);
    } else if (choice < 600) {
        finish_pull(model);
    } else if (choice < 980) {
        settle_some(model);
    } else if (choice < 985) {
        wake_all(model);
    } else if (choice < 988) {
        seek(model);
    } else if (choice < 995) {
        restart(model);
    } else {
        assert_replays(model);
    }
}

/* Goal: whatever order messages go out and come back in, the ledger says of each what is true, in
 * memory and after a replay. */
static void it_says_what_a_plain_model_says(void **state)
{
    struct world *world = *state;
    struct model *model = calloc(1, sizeof *model);
    assert_non_null(model);
    for (uint64_t seed = 1; seed <= 20; seed++) {
        memset(model, 0, sizeof *model);
        model->world = world;
        world->prng = (struct prng){seed};
        for (int round = 0; round < 600; round++) {
            const uint64_t grown = world->ledger.mark + below(model, 12);
            world->ledger.mark = grown < OFFSETS_MAX ? grown : OFFSETS_MAX;
            do_something(model);
            assert_is_model(model);
        }
        assert_replays(model);
        void *fresh = world;
        world_tear_down(&fresh);
        world_set_up(&fresh);
        world = fresh;
    }
    free(model);
    *state = world;
}

/* --- Single cases ---------------------------------------------------------------------------- */

static void take_at(struct world *world, uint64_t first, uint64_t end)
{
    struct piece piece;
    struct take take = {.messages = end - first, .pieces = &piece, .piece_max = 1};
    assert_int_equal(ledger_take_fresh(&world->ledger, &take, first, end), 0);
}

static uint64_t grant_at(struct world *world, uint64_t first, uint64_t end)
{
    take_at(world, first, end);
    const uint64_t lease = world->next_lease++;
    step_begin(&world->step);
    world_lease_out(world, first, end, lease);
    world_keep_step(world);
    return lease;
}

static size_t node_count(const struct world *world)
{
    const uint32_t taken = world->slab.used - 1; /* number 0 is none */
    return taken > 0 ? taken - 1 : 0;            /* the map's head */
}

/* Goal: what was finished far ahead costs one run, which goes when the rest is finished. */
static void finished_ahead_is_remembered_until_it_is_passed(void **state)
{
    struct world *world = *state;
    world->ledger.mark = 1000;
    (void)grant_at(world, 500, 600);
    world_ack(world, 500, 600);
    assert_int_equal(ledger_committed(&world->ledger), 0);
    assert_int_equal(ledger_ready(&world->ledger), 900);
    assert_int_equal(node_count(world), 1);
    world_assert_replays(world, 0);
    (void)world_grant(world, 500);
    world_ack(world, 0, 500);
    assert_int_equal(ledger_committed(&world->ledger), 600);
    assert_int_equal(node_count(world), 0);
    assert_int_equal(block_set_count(&world->ledger.blocks), 0);
    world_assert_replays(world, 0);
}

/* Goal: after a crash a message that was finished ahead stays finished, what was only read before
 * it is handed out. */
static void a_crash_forgets_what_was_only_reserved(void **state)
{
    struct world *world = *state;
    struct piece pieces[4];
    struct ledger replayed;
    world->ledger.mark = 1000;
    (void)grant_at(world, 500, 600);
    world_ack(world, 500, 600);
    (void)world_take(world, 700, pieces, 4);
    assert_int_equal(world->ledger.high, 800);
    world_replay(world, 0, &replayed);
    assert_int_equal(ledger_recount(&replayed), 0);
    replayed.mark = 1000;
    assert_int_equal(replayed.high, 0);
    assert_int_equal(ledger_ready(&replayed), 900);
    ledger_fini(&replayed);
}

static void what_is_put_back_ahead_is_fresh_again(void **state)
{
    struct world *world = *state;
    world->ledger.mark = 1000;
    take_at(world, 500, 600);
    take_at(world, 0, 500);
    assert_int_equal(world->ledger.high, 600);
    assert_int_equal(ledger_untake(&world->ledger, 100, 500), 0);
    assert_int_equal(world->ledger.high, 100);
    assert_int_equal(ledger_ready(&world->ledger), 800);
    assert_int_equal(ledger_untake(&world->ledger, 500, 600), 0);
    assert_int_equal(ledger_ready(&world->ledger), 900);
    assert_int_equal(node_count(world), 1);
}

static void what_never_reached_its_client_is_fresh_after_a_restart(void **state)
{
    struct world *world = *state;
    const struct run undelivered = {.state = RUN_READY};
    world->ledger.mark = 1000;
    (void)grant_at(world, 500, 600);
    world_put(world, 500, 600, &undelivered);
    assert_int_equal(block_set_count(&world->ledger.blocks), 0);
    assert_int_equal(ledger_ready(&world->ledger), 1000);
    world_assert_replays(world, 0);
}

static void a_seek_forgets_what_was_finished_ahead(void **state)
{
    struct world *world = *state;
    world->ledger.mark = 1000;
    (void)grant_at(world, 500, 600);
    world_ack(world, 500, 600);
    step_begin(&world->step);
    assert_int_equal(step_reset(&world->step, &world->ledger, 50, true), 0);
    world_keep_step(world);
    assert_int_equal(ledger_ready(&world->ledger), 950);
    assert_int_equal(block_set_count(&world->ledger.blocks), 0);
    world_assert_replays(world, 0);
}

/* Goal: what lies behind damage does not hide what lies before it. */
static void figures_count_only_what_lies_before_damage(void **state)
{
    struct world *world = *state;
    world->ledger.mark = 1000;
    (void)grant_at(world, 500, 900);
    ledger_rare_open(&world->ledger)->blocked = 100;
    assert_int_equal(ledger_ready(&world->ledger), 100);
    struct run_span span;
    assert_true(ledger_next_fresh(&world->ledger, 0, &span));
    assert_int_equal(span.end, 100);
    assert_false(ledger_next_fresh(&world->ledger, 100, &span));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_says_what_a_plain_model_says, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(finished_ahead_is_remembered_until_it_is_passed,
                                        world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(a_crash_forgets_what_was_only_reserved, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(what_is_put_back_ahead_is_fresh_again, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(what_never_reached_its_client_is_fresh_after_a_restart,
                                        world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(a_seek_forgets_what_was_finished_ahead, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(figures_count_only_what_lies_before_damage, world_set_up,
                                        world_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
