/* SPDX-License-Identifier: MPL-2.0
 *
 * Room for replies is asked for before anything is read or handed out.
 */
#include "common/limits.h"
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"
#include "tests/support/literal.h"

#define TICKETS_MAX 64u

/* The host's side: what it says, and what it has reserved. */
struct host {
    struct engine_fixture *fixture;
    enum engine_room say;
    uint64_t refused; /* this ticket gets no room; 0 = none */
    unsigned asked;   /* for more than nothing */
    uint32_t reserved[TICKETS_MAX];
};

static enum engine_room room(void *arg, uint64_t ticket, uint32_t bytes)
{
    struct host *const self = arg;
    assert_true(ticket < TICKETS_MAX);
    self->asked += bytes > 0 ? 1 : 0;
    const enum engine_room said = ticket == self->refused ? ENGINE_NO_ROOM : self->say;
    if (bytes == 0 || said == ENGINE_ROOM) {
        self->reserved[ticket] = bytes;
        return ENGINE_ROOM;
    }
    return said;
}

static int set_up(void **state)
{
    static struct host host;
    host = (struct host){.fixture = fixture_new(FIXTURE_MEM)};
    host.fixture->options.room_fn = room;
    host.fixture->options.room_arg = &host;
    fixture_restart(host.fixture, MEM_KEEP_SYNCED);
    *state = &host;
    return 0;
}

static int tear_down(void **state)
{
    const struct host *const self = *state;
    fixture_destroy(self->fixture);
    return 0;
}

static const char *payloads(struct host *self, uint64_t ticket)
{
    const struct answer *const answer = fixture_answer(self->fixture, ticket);
    return answer ? fixture_payloads(answer) : "no answer";
}

static int code(struct host *self, uint64_t ticket)
{
    const struct answer *const answer = fixture_answer(self->fixture, ticket);
    assert_non_null(answer);
    return answer->code;
}

/* --- READ ----------------------------------------------------------------------------- */

static void a_read_reserves_what_it_may_bring(void **state)
{
    struct host *const self = *state;
    steps_publish_each(self->fixture, "t", "a b");
    const uint64_t ticket = fixture_send(
        self->fixture, "READ", "{'topic': 't', 'from': 'earliest', 'max_bytes': 77777}", NULL);
    assert_int_equal(self->reserved[ticket], 77777);
    fixture_pump(self->fixture);
    assert_string_equal(payloads(self, ticket), "a b");
    assert_int_equal(self->asked, 1);
}

static void a_read_without_room_is_over_credit(void **state)
{
    struct host *const self = *state;
    steps_publish_each(self->fixture, "t", "a");
    self->say = ENGINE_NO_ROOM;
    fixture_error(self->fixture, ZSP_EOVER_CREDIT, "READ", "{'topic': 't', 'from': 'earliest'}",
                  NULL);
}

/* A long poll may last a minute: it holds room only while there is something to read. */
static void a_read_that_waits_for_messages_holds_nothing(void **state)
{
    struct host *const self = *state;
    steps_publish_each(self->fixture, "t", "a");
    self->say = ENGINE_NO_ROOM;
    const uint64_t ticket = fixture_send(self->fixture, "READ",
                                         "{'topic': 't', 'from': 'latest', 'wait_ms': 5000}", NULL);
    fixture_pump(self->fixture);
    assert_int_equal(self->asked, 0);
    self->say = ENGINE_ROOM;
    steps_publish_each(self->fixture, "t", "b");
    assert_string_equal(payloads(self, ticket), "b");
    assert_int_equal(self->reserved[ticket], ZSP_MIB);
}

static void reads_wait_until_others_are_answered(void **state)
{
    struct host *const self = *state;
    steps_publish_each(self->fixture, "t", "a");
    self->say = ENGINE_ROOM_LATER;
    uint64_t tickets[3];
    for (size_t i = 0; i < 3; i++) {
        tickets[i] = fixture_send(self->fixture, "READ",
                                  "{'topic': 't', 'from': 'earliest', 'wait_ms': 1000}", NULL);
    }
    fixture_pump(self->fixture);
    steps_publish_each(self->fixture, "t", "b");
    fixture_advance(self->fixture, 2000); /* room may take longer than the wait */
    self->refused = tickets[1];
    assert_string_equal(payloads(self, tickets[0]), "no answer");
    self->say = ENGINE_ROOM;
    fixture_pump(self->fixture);
    assert_string_equal(payloads(self, tickets[0]), "a b");
    assert_int_equal(code(self, tickets[1]), ZSP_EOVER_CREDIT);
    assert_string_equal(payloads(self, tickets[2]), "a b");
}

static void a_read_that_waits_for_room_can_end(void **state)
{
    struct host *const self = *state;
    struct engine_fixture *const f = self->fixture;
    steps_publish_each(f, "t", "a");
    steps_publish_each(f, "u", "a");
    self->say = ENGINE_ROOM_LATER;
    const uint64_t abandoned =
        fixture_send(f, "READ", "{'topic': 't', 'from': 'earliest', 'wait_ms': 1}", NULL);
    const uint64_t deleted = fixture_send(f, "READ", "{'topic': 'u', 'from': 'earliest'}", NULL);
    const uint64_t drained = fixture_send(f, "READ", "{'topic': 't', 'from': 'earliest'}", NULL);
    engine_abandon(f->engine, f->now, abandoned);
    fixture_ok(f, "TOPIC.DELETE", "{'topic': 'u'}", NULL);
    assert_int_equal(code(self, deleted), ZSP_ENOT_FOUND);
    engine_drain(f->engine, f->now);
    fixture_pump(f);
    assert_string_equal(fixture_text(fixture_answer(f, drained), "reason"), "shutting_down");
    assert_null(fixture_answer(f, abandoned));
}

/* --- PULL ----------------------------------------------------------------------------- */

static void an_empty_pull_needs_no_room(void **state)
{
    struct host *const self = *state;
    self->say = ENGINE_NO_ROOM;
    steps_pull(self->fixture, 1);
    steps_pull(self->fixture, 1);
    (void)steps_wait(self->fixture, 1, 1000);
    fixture_pump(self->fixture);
    assert_int_equal(self->asked, 0);
}

/* Goal: one client that does not read costs neither messages nor others' turns. */
static void a_pull_without_room_leaves_all_to_the_next(void **state)
{
    struct host *const self = *state;
    steps_pull(self->fixture, 1);
    self->refused = steps_wait(self->fixture, 10, 1000);
    const uint64_t next = steps_wait(self->fixture, 10, 1000);
    fixture_pump(self->fixture);
    steps_publish_each(self->fixture, "t", "a b");
    assert_int_equal(code(self, self->refused), ZSP_EOVER_CREDIT);
    assert_string_equal(payloads(self, next), "a");
    assert_string_equal(steps_part(self->fixture, "t", 0), "0 2 1 1 0 0");
}

static void a_pull_waits_until_others_are_answered(void **state)
{
    struct host *const self = *state;
    steps_pull(self->fixture, 1);
    steps_publish_each(self->fixture, "t", "a b");
    self->say = ENGINE_ROOM_LATER;
    const uint64_t ticket = steps_wait(self->fixture, 10, 0);
    fixture_pump(self->fixture);
    assert_string_equal(payloads(self, ticket), "no answer");
    assert_string_equal(steps_part(self->fixture, "t", 0), "0 2 2 0 0 0");
    self->say = ENGINE_ROOM;
    fixture_pump(self->fixture);
    assert_string_equal(payloads(self, ticket), "a b");
    assert_int_equal(self->reserved[ticket], ZSP_MIB);
}

/* Send a request of the session again; returns its new ticket. */
static uint64_t resend(struct engine_fixture *f, struct zsp_slice verb, const char *args,
                       uint64_t id)
{
    struct zsp_writer text = {0};
    struct zsp_err error = {0};
    struct wire_request request = {0};
    struct wire_decoder *decoder = wire_decoder_new();
    literal_write(&text,
                  fixture_format("[1, '%s', %d, %s]", (const char *)verb.data, (int)id, args));
    assert_int_equal(wire_request_decode(decoder, zsp_writer_slice(&text), &request, &error), 0);
    const struct engine_request input = {.ticket = f->next_ticket,
                                         .session = f->session,
                                         .id = id,
                                         .verb = verb,
                                         .args = request.args};
    engine_request(f->engine, f->now, &input);
    wire_decoder_destroy(&decoder);
    zsp_writer_fini(&text);
    return f->next_ticket++;
}

/* A resent pull is answered with its lease again, when there is room. */
static void a_resent_pull_asks_as_well(void **state)
{
    struct host *const self = *state;
    struct engine_fixture *const f = self->fixture;
    const char *const args = "{'group': 'g', 'topics': ['t']}";
    f->session = 5;
    steps_publish_each(f, "t", "a b");
    const struct answer *const first = steps_pull(f, 10);
    self->say = ENGINE_ROOM_LATER;
    const uint64_t again = resend(f, zsp_slice_str("PULL"), args, first->ticket);
    self->refused = resend(f, zsp_slice_str("PULL"), args, first->ticket);
    fixture_pump(f);
    assert_string_equal(payloads(self, again), "no answer");
    assert_int_equal(code(self, self->refused), ZSP_EOVER_CREDIT);
    self->say = ENGINE_ROOM;
    fixture_pump(f);
    assert_string_equal(payloads(self, again), "a b");
    assert_int_equal(fixture_answer(f, again)->lease, first->lease);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_read_reserves_what_it_may_bring, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_read_without_room_is_over_credit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_read_that_waits_for_messages_holds_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(reads_wait_until_others_are_answered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_read_that_waits_for_room_can_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_empty_pull_needs_no_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_pull_without_room_leaves_all_to_the_next, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_pull_waits_until_others_are_answered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_resent_pull_asks_as_well, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
