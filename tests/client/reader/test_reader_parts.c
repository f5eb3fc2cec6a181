/* SPDX-License-Identifier: MPL-2.0
 *
 * READs whose answers come in parts: each is there for the host as it comes, and what becomes of
 * the rest when it does not come.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <zspool.h>

#include "common/wire.h"
#include "tests/support/fake_broker.h"

#define WAIT_MS 30000 /* for what takes milliseconds */
#define END     8u    /* of the topic, which has one partition */

/* What the broker does with the second READ, which begins at 2: its parts bring 2 and 3, then 4. */
enum scenario { WHOLE, HELD, CUT, BROKEN, REFUSED };

struct fixture {
    enum scenario scenario;
    bool no_parts; /* the broker does not know them */
    unsigned reads;
    uint64_t held_id; /* HELD: of the second READ, until somebody lists topics */
    struct fake_broker *broker;
    zspool_client_t *client;
    zspool_reader_t *reader;
};

/* Records of one byte. */
static const struct zsp_slice one = {(const uint8_t *)"\x91\xc4\x01x", 4};
static const struct zsp_slice two = {(const uint8_t *)"\x91\xc4\x01x\x91\xc4\x01x", 8};

static void answer_rest(struct fake_broker *broker, const struct fake_request *request)
{
    fake_reply_body(broker, request,
                    "{'runs': [['t', 0, 5, 1, null, 5]], 'next': 6, 'start': 0, 'end': 8, "
                    "'reason': 'limit'}",
                    one, 0);
}

static void answer_parts(struct fixture *self, struct fake_broker *broker,
                         const struct fake_request *request)
{
    fake_reply_part_body(broker, request, "{'runs': [['t', 0, 2, 2, null, 5]], 'next': 4}", two);
    switch (self->scenario) {
    case CUT:
        fake_drop(broker);
        return;
    case REFUSED:
        fake_refuse(broker, request, ZSP_EOVER_CREDIT, false, NULL);
        return;
    case BROKEN: /* told as two, and there is one frame for none */
        fake_reply_part_body(broker, request, "{'runs': [['t', 0, 4, 2, null, 5]], 'next': 6}",
                             (struct zsp_slice){NULL, 0});
        answer_rest(broker, request);
        return;
    case WHOLE:
    case HELD:
        break;
    }
    fake_reply_part_body(broker, request, "{'runs': [['t', 0, 4, 1, null, 5]], 'next': 5}", one);
    if (self->scenario == HELD) {
        self->held_id = request->id;
        return;
    }
    answer_rest(broker, request);
}

/* A READ without parts: the next two. */
static void answer_whole(struct fake_broker *broker, const struct fake_request *request,
                         uint64_t from)
{
    static const char *const maps[] = {
        "{'runs': [['t', 0, 0, 2, null, 5]], 'next': 2, 'start': 0, 'end': 8, 'reason': 'limit'}",
        "{'runs': [['t', 0, 2, 2, null, 5]], 'next': 4, 'start': 0, 'end': 8, 'reason': 'limit'}",
        "{'runs': [['t', 0, 4, 2, null, 5]], 'next': 6, 'start': 0, 'end': 8, 'reason': 'limit'}",
        "{'runs': [['t', 0, 6, 2, null, 5]], 'next': 8, 'start': 0, 'end': 8, 'reason': 'end'}",
    };
    assert_int_equal(from % 2, 0);
    fake_reply_body(broker, request, maps[from / 2], two, 0);
}

static uint64_t read_from(const struct fake_request *request)
{
    const msgpack_object *from = wire_map_find(request->args, "from");
    return from->type == MSGPACK_OBJECT_ARRAY ? from->via.array.ptr[1].via.u64 : 0;
}

static void handle(struct fake_broker *broker, const struct fake_request *request, void *arg)
{
    struct fixture *self = arg;
    if (fake_is(request, "TOPIC.LIST")) {
        answer_rest(broker, &(struct fake_request){.id = self->held_id});
        fake_reply(broker, request, "{'items': [], 'more': false}");
        return;
    }
    assert_true(fake_is(request, "READ"));
    const msgpack_object *parts = wire_map_find(request->args, "parts");
    const bool in_parts = parts && parts->type == MSGPACK_OBJECT_BOOLEAN && parts->via.boolean;
    self->reads++;
    /* The first answer tells where the end is, so it comes at once. */
    assert_int_equal(in_parts, !self->no_parts && self->reads > 1);
    if (in_parts && self->reads == 2) {
        answer_parts(self, broker, request);
    } else {
        answer_whole(broker, request, read_from(request));
    }
}

static void set_up(struct fixture *self)
{
    zspool_reader_options_t options;
    zspool_reader_options_init(&options);
    options.topic = "t";
    options.partition = 0;
    self->broker = fake_broker_start(handle, self);
    fake_features(self->broker, self->no_parts ? "['shared']" : "['shared', 'parts']");
    self->client = zspool_new(fake_broker_endpoint(self->broker), NULL, NULL);
    self->reader = zspool_reader_new(self->client, &options, NULL);
    assert_non_null(self->reader);
}

static void assert_reads(struct fixture *self, uint64_t first, uint64_t end)
{
    const zspool_message_t *message;
    for (uint64_t i = first; i < end; i++) {
        assert_int_equal(zspool_read(self->reader, &message, WAIT_MS, NULL), 0);
        assert_int_equal(message->offset, i);
    }
}

static void assert_end(struct fixture *self)
{
    const zspool_message_t *message;
    assert_int_equal(zspool_read(self->reader, &message, WAIT_MS, NULL), ZSPOOL_END);
}

static void tear_down(struct fixture *self)
{
    zspool_reader_destroy(&self->reader);
    zspool_destroy(&self->client);
    fake_broker_stop(&self->broker);
}

static void parts_and_the_rest_follow_each_other(void **state)
{
    (void)state;
    struct fixture f = {.scenario = WHOLE};
    set_up(&f);
    assert_reads(&f, 0, END);
    assert_end(&f);
    tear_down(&f);
    assert_int_equal(f.reads, 3);
}

/* The answer stands out, and what came of it is read. */
static void a_part_is_there_before_the_answer(void **state)
{
    (void)state;
    struct fixture f = {.scenario = HELD};
    const zspool_message_t *message;
    set_up(&f);
    assert_reads(&f, 0, 5);
    assert_int_equal(zspool_read(f.reader, &message, 0, NULL), ZSPOOL_ETIMEOUT);
    zspool_names_t *topics = NULL;
    assert_int_equal(zspool_topic_list(f.client, NULL, WAIT_MS, &topics, NULL), 0);
    zspool_free(topics);
    assert_reads(&f, 5, END);
    assert_end(&f);
    tear_down(&f);
}

/* The connection goes, or the broker has no room: the next READ begins behind the last part. */
static void what_did_not_come_is_asked_for_again(void **state)
{
    (void)state;
    const enum scenario scenarios[] = {CUT, REFUSED};
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        struct fixture f = {.scenario = scenarios[i]};
        set_up(&f);
        assert_reads(&f, 0, END);
        assert_end(&f);
        tear_down(&f);
        /* A connection that is cut may take the part along. */
        assert_in_range(f.reads, 4, scenarios[i] == CUT ? 5 : 4);
    }
}

/* It is told once, and nothing is skipped: what came behind it in the same answer does not count. */
static void a_part_that_cannot_be_read_is_asked_for_again(void **state)
{
    (void)state;
    struct fixture f = {.scenario = BROKEN};
    const zspool_message_t *message;
    set_up(&f);
    assert_reads(&f, 0, 4);
    assert_int_equal(zspool_read(f.reader, &message, WAIT_MS, NULL), ZSPOOL_EBAD_RECORD);
    assert_reads(&f, 4, END);
    assert_end(&f);
    tear_down(&f);
}

static void who_does_not_know_parts_is_not_asked_for_them(void **state)
{
    (void)state;
    struct fixture f = {.no_parts = true};
    set_up(&f);
    assert_reads(&f, 0, END);
    assert_end(&f);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_and_the_rest_follow_each_other),
        cmocka_unit_test(a_part_is_there_before_the_answer),
        cmocka_unit_test(what_did_not_come_is_asked_for_again),
        cmocka_unit_test(a_part_that_cannot_be_read_is_asked_for_again),
        cmocka_unit_test(who_does_not_know_parts_is_not_asked_for_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
