/* SPDX-License-Identifier: MPL-2.0
 *
 * Groups of mode `ordered`: how members share the partitions when they do not pull the same topics.
 */
#include <string.h>

#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"
#include "tests/support/prng.h"

#define FIRST  5 /* sessions */
#define SECOND 6
#define THIRD  7

static void topic(struct engine_fixture *f, const char *name, unsigned partitions)
{
    fixture_ok(f, "TOPIC.CREATE",
               fixture_format("{'topic': '%s', 'partitions': %u}", name, partitions), NULL);
}

/* Topics t and u with so many partitions, and an ordered group g of both. */
static void begin(struct engine_fixture *f, unsigned of_t, unsigned of_u)
{
    topic(f, "t", of_t);
    topic(f, "u", of_u);
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['t', 'u'], 'mode': 'ordered'}", NULL);
}

/* One message to each partition. */
static void fill(struct engine_fixture *f, const char *name, unsigned partitions)
{
    f->session = 0;
    for (unsigned i = 0; i < partitions; i++) {
        fixture_send(f, "PUBLISH", fixture_format("{'topic': '%s', 'partition': %u}", name, i),
                     "[[b'x']]");
    }
    fixture_pump(f);
}

/* `topics` as a list without brackets; "" = all of the group. */
static const char *pull_args(const char *topics, unsigned wait_ms)
{
    return topics[0] == '\0'
               ? fixture_format("{'group': 'g', 'max_messages': 100, 'wait_ms': %u}", wait_ms)
               : fixture_format(
                     "{'group': 'g', 'topics': [%s], 'max_messages': 100, 'wait_ms': %u}", topics,
                     wait_ms);
}

/* It gets so many messages, each of another partition. */
static unsigned pull_as(struct engine_fixture *f, uint64_t session, const char *topics)
{
    f->session = session;
    return (unsigned)steps_count(fixture_ok(f, "PULL", pull_args(topics, 0), NULL));
}

static uint64_t wait_as(struct engine_fixture *f, uint64_t session, const char *topics)
{
    f->session = session;
    const uint64_t ticket = fixture_send(f, "PULL", pull_args(topics, 60000), NULL);
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    return ticket;
}

/* What was sent is durable in one moment: all messages come at once. */
static void let_come(struct engine_fixture *f)
{
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
}

static unsigned got(struct engine_fixture *f, uint64_t ticket)
{
    const struct answer *const a = fixture_answer(f, ticket);
    return a ? (unsigned)steps_count(a) : 0;
}

/* Goal: no partition lies idle for the sake of a member that does not take it. */
static void who_waits_for_another_topic_is_no_rival(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 6, 2);
    fill(f, "u", 2);
    assert_int_equal(pull_as(f, SECOND, "'u'"), 2);
    (void)wait_as(f, SECOND, "'u'");
    fill(f, "t", 6);
    assert_int_equal(pull_as(f, FIRST, "'t'"), 6);
}

/* Many partitions of another topic do not raise a share. */
static void work_of_another_topic_counts_for_nothing(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 4, 20);
    fill(f, "u", 20);
    assert_int_equal(pull_as(f, THIRD, "'u'"), 20);
    const uint64_t first = wait_as(f, FIRST, "'t'");
    const uint64_t second = wait_as(f, SECOND, "'t'");
    mem_store_hold(f->mem, MEM_SYNCS);
    fill(f, "t", 4);
    let_come(f);
    assert_int_equal(got(f, first), 2);
    assert_int_equal(got(f, second), 2);
}

/* Who has its hands full with one topic leaves the other to who takes that alone. */
static void what_a_member_has_of_other_topics_counts(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 4, 4);
    fill(f, "u", 4);
    assert_int_equal(pull_as(f, FIRST, ""), 4);
    const uint64_t first = wait_as(f, FIRST, "");
    const uint64_t second = wait_as(f, SECOND, "'t'");
    mem_store_hold(f->mem, MEM_SYNCS);
    fill(f, "t", 4);
    let_come(f);
    assert_int_equal(got(f, first), 0);
    assert_int_equal(got(f, second), 4);
}

/* Each has much that the other one cannot take: that makes neither wait for the other. */
static void what_two_could_take_one_of_them_takes(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 1, 5);
    topic(f, "v", 5);
    fill(f, "u", 5);
    assert_int_equal(pull_as(f, FIRST, "'t', 'u'"), 5);
    const uint64_t first = wait_as(f, FIRST, "'t', 'u'");
    f->session = SECOND;
    fixture_ok(f, "PULL", pull_args("'t', 'v'", 0), NULL);
    fill(f, "v", 5);
    assert_int_equal(pull_as(f, SECOND, "'t', 'v'"), 5);
    const uint64_t second = wait_as(f, SECOND, "'t', 'v'");
    fill(f, "t", 1);
    assert_int_equal(got(f, first) + got(f, second), 1);
}

static void topics_of_one_partition_are_shared_as_well(void **state)
{
    static const char *const names[] = {"t", "u", "v", "w"};
    struct engine_fixture *f = *state;
    begin(f, 1, 1);
    topic(f, "v", 1);
    topic(f, "w", 1);
    f->session = FIRST;
    fixture_ok(f, "PULL", pull_args("'v', 'w'", 0), NULL); /* they join */
    const uint64_t first = wait_as(f, FIRST, "");
    const uint64_t second = wait_as(f, SECOND, "");
    mem_store_hold(f->mem, MEM_SYNCS);
    for (size_t i = 0; i < 4; i++) {
        fill(f, names[i], 1);
    }
    let_come(f);
    assert_int_equal(got(f, first), 2);
    assert_int_equal(got(f, second), 2);
}

/* --- Whoever and whatever ---------------------------------------------------------------------- */

#define MEMBERS 6u
#define TOPICS  4u
#define PARTS   5u /* of each topic */

struct member_of_many {
    unsigned topics; /* bits; what it pulls */
    uint64_t ticket; /* of the pull that waits; 0 = none does */
};

struct many {
    struct engine_fixture *f;
    struct prng prng;
    struct member_of_many members[MEMBERS];
    bool is_there[TOPICS][PARTS], is_out[TOPICS][PARTS]; /* the message of the partition */
};

static const char *topics_of(unsigned bits)
{
    static const char *const names[] = {"'a'", "'b'", "'c'", "'d'"};
    static char text[40];
    size_t at = 0;
    text[0] = '\0';
    for (unsigned t = 0; t < TOPICS; t++) {
        if ((bits >> t & 1u) != 0) {
            (void)snprintf(text + at, sizeof text - at, "%s%s", at == 0 ? "" : ", ", names[t]);
            at = strlen(text);
        }
    }
    return text;
}

static void note_answers(struct many *self)
{
    for (unsigned m = 0; m < MEMBERS; m++) {
        struct member_of_many *const member = &self->members[m];
        const struct answer *const a =
            member->ticket != 0 ? fixture_answer(self->f, member->ticket) : NULL;
        if (!a) {
            continue;
        }
        member->ticket = 0;
        const msgpack_object_array runs = wire_map_find(a->map, "runs")->via.array;
        assert_true(runs.size > 0);
        for (uint32_t i = 0; i < runs.size; i++) {
            const msgpack_object *const run = runs.ptr[i].via.array.ptr;
            const unsigned t = (unsigned)(run[0].via.str.ptr[0] - 'a');
            assert_int_equal(member->topics >> t & 1u, 1);
            self->is_out[t][run[1].via.u64] = true;
        }
    }
}

/* A message that is at nobody is waited for by nobody. */
static void judge(const struct many *self)
{
    for (unsigned i = 0; i < TOPICS * PARTS * MEMBERS; i++) {
        const unsigned t = i / PARTS % TOPICS;
        const unsigned p = i % PARTS;
        const struct member_of_many *const member = &self->members[i / (PARTS * TOPICS)];
        if (self->is_there[t][p] && !self->is_out[t][p] && member->ticket != 0 &&
            (member->topics >> t & 1u) != 0) {
            fail_msg("member %u of topics %s waits, and so does a message of %c/%u",
                     i / (PARTS * TOPICS), topics_of(member->topics), (char)('a' + t), p);
        }
    }
}

static void do_something(struct many *self)
{
    const unsigned m = (unsigned)prng_below(&self->prng, MEMBERS);
    const unsigned t = (unsigned)prng_below(&self->prng, TOPICS);
    const unsigned p = (unsigned)prng_below(&self->prng, PARTS);
    struct member_of_many *const member = &self->members[m];
    if (prng_chance(&self->prng, 500) && member->ticket == 0) {
        self->f->session = FIRST + m;
        member->ticket = fixture_send(
            self->f, "PULL",
            fixture_format("{'group': 'g', 'topics': [%s], 'max_messages': %u, "
                           "'wait_ms': 60000}",
                           topics_of(member->topics), prng_chance(&self->prng, 500) ? 1u : 100u),
            NULL);
    } else if (!self->is_there[t][p]) {
        self->is_there[t][p] = true;
        self->f->session = 0;
        fixture_send(self->f, "PUBLISH",
                     fixture_format("{'topic': '%c', 'partition': %u}", (char)('a' + t), p),
                     "[[b'x']]");
    }
}

/* Members that take any of four topics, nothing is ever settled: whoever waits could have nothing. */
static void a_message_and_a_member_never_wait_for_each_other(void **state)
{
    struct engine_fixture *f = *state;
    struct many self = {.f = f};
    f->session = 0;
    for (unsigned t = 0; t < TOPICS; t++) {
        topic(f, fixture_format("%c", (char)('a' + t)), PARTS);
    }
    for (uint64_t seed = 1; seed <= 30; seed++) {
        const char *const group =
            "{'group': 'g', 'topics': ['a', 'b', 'c', 'd'], 'mode': 'ordered', "
            "'start': 'latest'}";
        f->session = 0;
        fixture_ok(f, "GROUP.CREATE", group, NULL);
        self = (struct many){.f = f, .prng = {seed}};
        for (unsigned m = 0; m < MEMBERS; m++) {
            self.members[m].topics = 1 + (unsigned)prng_below(&self.prng, (1u << TOPICS) - 1);
        }
        for (int i = 0; i < 120; i++) {

            do_something(&self);
            if (prng_chance(&self.prng, 600)) {
                fixture_pump(f);
                note_answers(&self);
                judge(&self);
            }
        }
        f->session = 0;
        fixture_ok(f, "GROUP.DELETE", "{'group': 'g'}", NULL);
        fixture_restart(f, MEM_KEEP_SYNCED); /* whoever waits does so no more */
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_waits_for_another_topic_is_no_rival),
        TEST(work_of_another_topic_counts_for_nothing),
        TEST(what_a_member_has_of_other_topics_counts),
        TEST(what_two_could_take_one_of_them_takes),
        TEST(topics_of_one_partition_are_shared_as_well),
        TEST(a_message_and_a_member_never_wait_for_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
