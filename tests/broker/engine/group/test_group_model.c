/* SPDX-License-Identifier: MPL-2.0
 *
 * A group against a plain model: an array that knows of each message what was
 * said about it. Random pulls, outcomes, lost leases, full journals, images and
 * restarts; after each step the group's figures must be the model's.
 */
#include <inttypes.h>

#include "common/record.h"
#include "common/wire.h"
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"
#include "tests/support/prng.h"

#define MESSAGES_MAX 4000u
#define LEASES_MAX   400u
#define FAILURES_MAX 3u
#define LEASE_MS     20000

enum status { FRESH, READY, WAITING, LEASED, DONE, DEAD };

struct message {
    enum status status;
    uint64_t lease, last_lease;
    const char *last_outcome;
    int64_t due_ms; /* model time */
    uint32_t deliveries, failures;
    uint64_t lease_max; /* 0 = any */
};

struct model_lease {
    uint64_t number;
    uint64_t granted;
    int64_t deadline_ms;
};

struct model {
    struct engine_fixture *f;
    struct prng prng;
    struct message messages[MESSAGES_MAX];
    uint64_t count; /* published */
    struct model_lease leases[LEASES_MAX];
    size_t lease_count;
    int64_t start_ms; /* of the grace */
};

/* --- The model's rules --------------------------------------------------------------------- */

static void fail_message(struct message *message)
{
    message->failures++;
    message->status = message->failures >= FAILURES_MAX ? DEAD : READY;
}

static void settle_in_model(struct model *model, struct message *message, const char *outcome,
                            int64_t delay_ms)
{
    message->last_lease = message->lease;
    message->last_outcome = outcome;
    message->lease = 0;
    if (strcmp(outcome, "ack") == 0) {
        message->status = DONE;
    } else if (strcmp(outcome, "retry") == 0) {
        message->lease_max = 0;
        fail_message(message);
        if (message->status == READY && delay_ms > 0) {
            message->status = WAITING;
            message->due_ms = model->f->now.mono_ms + delay_ms;
        }
    } else if (strcmp(outcome, "release") == 0) {
        message->status = READY;
    } else {
        message->failures++;
        message->status = DEAD;
    }
}

static uint64_t half(uint64_t granted)
{
    uint64_t most = 1;
    while (most * 2 <= granted / 2) {
        most *= 2;
    }
    return most;
}

static void end_lease(struct model *model, const struct model_lease *lease)
{
    for (uint64_t i = 0; i < model->count; i++) {
        struct message *message = &model->messages[i];
        if (message->status != LEASED || message->lease != lease->number) {
            continue;
        }
        message->lease = 0;
        message->status = READY;
        if (lease->granted == 1) {
            fail_message(message);
        } else {
            message->lease_max = half(lease->granted);
        }
    }
}

static void pass_time(struct model *model, int64_t ms)
{
    fixture_advance(model->f, ms);
    const int64_t now_ms = model->f->now.mono_ms;
    for (uint64_t i = 0; i < model->count; i++) {
        struct message *message = &model->messages[i];
        if (message->status == WAITING && message->due_ms <= now_ms) {
            message->status = READY;
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < model->lease_count; i++) {
        if (model->leases[i].deadline_ms <= now_ms && now_ms >= model->start_ms + 10000) {
            end_lease(model, &model->leases[i]);
        } else {
            model->leases[kept++] = model->leases[i];
        }
    }
    model->lease_count = kept;
}

/* --- Operations ------------------------------------------------------------------------------- */

static void publish(struct model *model)
{
    struct zsp_writer body = {0};
    const uint64_t count = 1 + prng_below(&model->prng, 30);
    if (model->count + count > MESSAGES_MAX) {
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        const char *payload = fixture_format("%" PRIu64, model->count++);
        const struct zsp_record record = {.payload = zsp_slice_str(payload)};
        zsp_record_write(&body, &record);
    }
    const uint64_t ticket =
        fixture_send_bytes(model->f, "PUBLISH", "{'topic': 't'}", zsp_writer_slice(&body));
    zsp_writer_fini(&body);
    fixture_pump(model->f);
    assert_int_equal(fixture_answer(model->f, ticket)->status, WIRE_OK);
}

/* Every message of the run was to be had, and its body is its own. */
static void take_run(struct model *model, const struct wire_run *run, struct zsp_slice *body,
                     uint64_t granted)
{
    for (uint64_t i = run->first; i < run->first + run->count; i++) {
        struct message *message = &model->messages[i];
        struct zsp_slice bytes;
        struct zsp_record record = {0};
        assert_true(message->status == FRESH || message->status == READY);
        assert_true(message->lease_max == 0 || granted <= message->lease_max);
        assert_int_equal(zsp_record_next(body, &bytes), 0);
        assert_int_equal(zsp_record_decode(bytes, &record, NULL), 0);
        assert_true(zsp_slice_equal_str(record.payload, fixture_format("%" PRIu64, i)));
        message->status = LEASED;
        message->lease = run->lease;
        message->deliveries++;
        assert_int_equal(run->deliveries, message->deliveries);
        assert_int_equal(run->failures, message->failures);
    }
}

static void pull(struct model *model)
{
    const unsigned max = 1 + (unsigned)prng_below(&model->prng, 60);
    if (model->lease_count == LEASES_MAX) {
        return;
    }
    const bool refused = model->f->mem && prng_chance(&model->prng, 100);
    if (refused) {
        mem_store_fail_next_state(model->f->mem, ZSP_ENO_SPACE);
    }
    const char *args = fixture_format("{'group': 'g', 'max_messages': %u}", max);
    const struct answer *answer = fixture_call(model->f, "PULL", args, NULL);
    if (refused) {
        mem_store_fail_next_state(model->f->mem, 0);
    }
    if (answer->status == WIRE_ERR) {
        assert_true(refused);
        assert_int_equal(answer->code, ZSP_ENO_SPACE);
        return;
    }
    const uint64_t granted = steps_count(answer);
    const msgpack_object *runs = wire_map_find(answer->map, "runs");
    struct zsp_slice body = answer->body;
    for (uint32_t i = 0; i < runs->via.array.size; i++) {
        struct wire_run run = {0};
        assert_int_equal(wire_run_decode(&runs->via.array.ptr[i], &run, NULL), 0);
        take_run(model, &run, &body, granted);
    }
    assert_int_equal(body.len, 0);
    assert_true(granted <= max);
    if (granted > 0) {
        model->leases[model->lease_count++] =
            (struct model_lease){answer->lease, granted, model->f->now.mono_ms + LEASE_MS};
    }
}

/* What the model says to an outcome for one message. */
static const char *verdict(const struct message *message, uint64_t lease, const char *outcome)
{
    if (message->status == LEASED && message->lease == lease) {
        return "applied";
    }
    if (message->status == DONE) {
        return "done";
    }
    if (message->status == FRESH) {
        return "unknown";
    }
    const bool repeats = message->last_lease == lease && strcmp(outcome, "ack") != 0 &&
                         strcmp(message->last_outcome, outcome) == 0;
    return repeats ? "done" : "lost";
}

/* The verdict that the answer gives for an offset. */
static const char *told(const struct answer *answer, uint64_t offset)
{
    static char word[16];
    const msgpack_object *rows = wire_map_find(answer->map, "not_applied");
    for (uint32_t i = 0; i < rows->via.array.size; i++) {
        const msgpack_object *row = rows->via.array.ptr[i].via.array.ptr;
        if (offset >= row[2].via.u64 && offset < row[2].via.u64 + row[3].via.u64) {
            memcpy(word, row[4].via.str.ptr, row[4].via.str.size);
            word[row[4].via.str.size] = '\0';
            return word;
        }
    }
    return "applied";
}

static void settle(struct model *model)
{
    static const char *const outcomes[] = {"ack", "ack", "ack", "retry", "release", "reject"};
    const char *outcome = outcomes[prng_below(&model->prng, 6)];
    const uint64_t first = prng_below(&model->prng, model->count + 1);
    const uint64_t count = 1 + prng_below(&model->prng, 20);
    if (first + count > model->count) {
        return;
    }
    uint64_t lease = model->messages[first].lease;
    if (lease == 0 || prng_chance(&model->prng, 100)) {
        lease = model->messages[first].last_lease > 0 ? model->messages[first].last_lease : 1;
    }
    const int64_t delay_ms = (int64_t)prng_below(&model->prng, 3) * 4000;
    const char *arg = strcmp(outcome, "retry") == 0
                          ? fixture_format(", {'delay_ms': %" PRId64 "}", delay_ms)
                          : "";
    const struct answer *answer =
        fixture_ok(model->f, "SETTLE",
                   fixture_format("{'group': 'g', 'runs': [['t', 0, %" PRIu64 ", %" PRIu64
                                  ", %" PRIu64 ", '%s'%s]]}",
                                  first, count, lease, outcome, arg),
                   NULL);
    for (uint64_t i = first; i < first + count; i++) {
        struct message *message = &model->messages[i];
        const char *expected = verdict(message, lease, outcome);
        assert_string_equal(told(answer, i), expected);
        if (strcmp(expected, "applied") == 0) {
            settle_in_model(model, message, outcome, delay_ms);
        }
    }
}

/* Broker time goes on from the last record, so one is written first. */
static void restart(struct model *model)
{
    fixture_ok(model->f, "GROUP.SET", "{'group': 'g'}", NULL);
    fixture_restart(model->f, MEM_KEEP_WRITTEN);
    fixture_pump(model->f); /* retries that were due already wake in the first turn */
    model->start_ms = model->f->now.mono_ms;
}

/* The store carries forward: every object is imaged anew. */
static void want_images(struct model *model)
{
    struct mem_store *mem = model->f->mem;
    if (!mem) {
        return;
    }
    const size_t count = mem_store_record_count(mem);
    for (size_t i = prng_below(&model->prng, count); i < count; i++) {
        const struct mem_store_record *record = mem_store_record(mem, i);
        for (size_t k = 0; k < record->entry_count; k++) {
            mem_store_want_image(mem, record->entries[k].key);
        }
    }
    fixture_pump(model->f);
}

static void check_figures(struct model *model)
{
    uint64_t counts[DEAD + 1] = {0};
    uint64_t committed = model->count;
    for (uint64_t i = model->count; i > 0; i--) {
        const enum status status = model->messages[i - 1].status;
        counts[status]++;
        committed = status == DONE || status == DEAD ? committed : i - 1;
    }
    const char *expected = fixture_format(
        "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, committed,
        model->count, counts[FRESH] + counts[READY], counts[LEASED], counts[WAITING], counts[DEAD]);
    assert_string_equal(steps_part(model->f, "t", 0), expected);
}

static void play(struct engine_fixture *f, uint64_t seed, int steps)
{
    struct model *model = calloc(1, sizeof *model);
    assert_non_null(model);
    model->f = f;
    model->prng = (struct prng){seed};
    model->start_ms = f->now.mono_ms;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 't'}", NULL);
    fixture_ok(f, "GROUP.CREATE",
               fixture_format("{'group': 'g', 'topics': ['t'], 'settings': {'lease_ms': %d, "
                              "'max_failures': %u}}",
                              LEASE_MS, FAILURES_MAX),
               NULL);
    for (int i = 0; i < steps; i++) {
        const uint64_t choice = prng_below(&model->prng, 1000);
        if (choice < 150) {
            publish(model);
        } else if (choice < 400) {
            pull(model);
        } else if (choice < 900) {
            settle(model);
        } else if (choice < 980) {
            pass_time(model, (int64_t)prng_below(&model->prng, 8000));
        } else if (choice < 990) {
            want_images(model);
        } else {
            restart(model);
        }
        check_figures(model);
    }
    free(model);
}

static void a_group_does_what_the_model_does(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct engine_fixture *f = fixture_new(FIXTURE_MEM);
        play(f, seed, 800);
        fixture_destroy(f);
    }
}

static void so_it_does_over_the_segmented_log(void **state)
{
    (void)state;
    struct engine_fixture *f = fixture_new(FIXTURE_LOG);
    play(f, 99, 500);
    fixture_destroy(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_does_what_the_model_does),
        cmocka_unit_test(so_it_does_over_the_segmented_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
