/* SPDX-License-Identifier: MPL-2.0
 *
 * In what order a reader hands out the messages of two partitions, whatever the order of
 * their replies; and what becomes of a run that turns out not to hold what it tells.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>
#include <zspool.h>

#include "tests/support/fake_broker.h"

#define WAIT_MS 30000 /* for what takes milliseconds */
#define REPLIES 2u

/* What the broker answers to the READs of a partition, in turn. Records are of one byte. */
struct reply {
    const char *map;
    const char *body;
};

struct fixture {
    const char *partitions; /* of TOPIC.INFO */
    struct reply replies[2][REPLIES];
    unsigned asked[2];
    unsigned late_partition, late_reply; /* this one waits until somebody lists topics */
    bool is_late_due;
    bool holds;
    uint64_t held_id;
    struct fake_broker *broker;
    zspool_client_t *client;
    zspool_reader_t *reader;
};

static void answer(struct fixture *self, struct fake_broker *broker, unsigned partition,
                   unsigned index, uint64_t id)
{
    const struct reply *reply = &self->replies[partition][index];
    const struct fake_request request = {.id = id};
    fake_reply_body(broker, &request, reply->map, zsp_slice_str(reply->body), 0);
}

static void handle(struct fake_broker *broker, const struct fake_request *request, void *arg)
{
    struct fixture *self = arg;
    if (fake_is(request, "TOPIC.LIST")) {
        self->is_late_due = true;
        if (self->holds) {
            answer(self, broker, self->late_partition, self->late_reply, self->held_id);
        }
        fake_reply(broker, request, "{'items': [], 'more': false}");
        return;
    }
    if (!fake_is(request, "READ")) {
        fake_reply(broker, request, self->partitions);
        return;
    }
    const unsigned partition = (unsigned)fake_uint(request, "partition", 0);
    const unsigned index = self->asked[partition]++;
    assert_true(index < REPLIES);
    if (partition == self->late_partition && index == self->late_reply && !self->is_late_due) {
        self->holds = true;
        self->held_id = request->id;
        return;
    }
    answer(self, broker, partition, index, request->id);
}

static void set_up(struct fixture *self, int32_t partition)
{
    zspool_reader_options_t options;
    zspool_reader_options_init(&options);
    options.topic = "t";
    options.partition = partition;
    self->broker = fake_broker_start(handle, self);
    self->client = zspool_new(fake_broker_endpoint(self->broker), NULL, NULL);
    self->reader = zspool_reader_new(self->client, &options, NULL);
    assert_non_null(self->reader);
}

static void tear_down(struct fixture *self)
{
    zspool_reader_destroy(&self->reader);
    zspool_destroy(&self->client);
    fake_broker_stop(&self->broker);
}

static void assert_next(struct fixture *self, uint32_t partition, uint64_t offset)
{
    const zspool_message_t *message;
    assert_int_equal(zspool_read(self->reader, &message, WAIT_MS, NULL), 0);
    assert_int_equal(message->partition, partition);
    assert_int_equal(message->offset, offset);
}

static void assert_none_yet(struct fixture *self)
{
    const zspool_message_t *message;
    assert_int_equal(zspool_read(self->reader, &message, 0, NULL), ZSPOOL_ETIMEOUT);
}

static void assert_end(struct fixture *self)
{
    const zspool_message_t *message;
    assert_int_equal(zspool_read(self->reader, &message, WAIT_MS, NULL), ZSPOOL_END);
}

static void let_the_late_one_come(struct fixture *self)
{
    zspool_names_t *names = NULL;
    assert_int_equal(zspool_topic_list(self->client, NULL, WAIT_MS, &names, NULL), 0);
    zspool_free(names);
}

#define TWO_PARTITIONS \
    "{'topic': 't', 'id': 1, 'settings': {}, 'partitions': [[0, 0, 9, 9], [1, 0, 9, 9]]}"
#define RECORD "\x91\xc4\x01m"

/* Partition 1 is all here while the second reply of partition 0 is not; both have messages of time 5.
 * Those of partition 0 come first, though the reader was at partition 1 before. */
static void of_equal_times_the_lower_partition_comes_first_though_it_comes_late(void **state)
{
    (void)state;
    struct fixture f = {
        .partitions = TWO_PARTITIONS,
        .replies = {{{"{'runs': [['t', 0, 0, 1, null, 5]], 'next': 1, 'start': 0, 'end': 3}",
                      RECORD},
                     {"{'runs': [['t', 0, 1, 2, null, 5]], 'next': 3, 'start': 0, 'end': 3, "
                      "'reason': 'end'}",
                      RECORD RECORD}},
                    {{"{'runs': [['t', 1, 0, 2, null, 4], ['t', 1, 2, 2, null, 5]], 'next': 4, "
                      "'start': 0, 'end': 4, 'reason': 'end'}",
                      RECORD RECORD RECORD RECORD}}},
        .late_partition = 0,
        .late_reply = 1};
    set_up(&f, ZSPOOL_PARTITION_ALL);
    assert_next(&f, 1, 0);
    assert_next(&f, 1, 1);
    assert_next(&f, 0, 0);
    assert_none_yet(&f);
    let_the_late_one_come(&f);
    assert_next(&f, 0, 1);
    assert_next(&f, 0, 2);
    assert_next(&f, 1, 2);
    assert_next(&f, 1, 3);
    assert_end(&f);
    tear_down(&f);
}

/* The same from the other side: it is the higher one that comes late, and nothing of it is waited
 * for longer than its own time wants. */
static void a_late_higher_partition_holds_back_what_may_be_behind_it(void **state)
{
    (void)state;
    struct fixture f = {
        .partitions = TWO_PARTITIONS,
        .replies = {{{"{'runs': [['t', 0, 0, 2, null, 5], ['t', 0, 2, 1, null, 7]], 'next': 3, "
                      "'start': 0, 'end': 3, 'reason': 'end'}",
                      RECORD RECORD RECORD}},
                    {{"{'runs': [['t', 1, 0, 3, null, 5]], 'next': 3, 'start': 0, 'end': 3, "
                      "'reason': 'end'}",
                      RECORD RECORD RECORD}}},
        .late_partition = 1,
        .late_reply = 0};
    set_up(&f, ZSPOOL_PARTITION_ALL);
    assert_none_yet(&f);
    let_the_late_one_come(&f);
    assert_next(&f, 0, 0);
    assert_next(&f, 0, 1);
    for (uint64_t offset = 0; offset < 3; offset++) {
        assert_next(&f, 1, offset);
    }
    assert_next(&f, 0, 2);
    assert_end(&f);
    tear_down(&f);
}

/* A bad record in the middle of a run is told when its turn comes, and asked for again. */
static void a_bad_record_in_a_run_is_told_and_read_again_from_there(void **state)
{
    (void)state;
    struct fixture f = {
        .replies = {{{"{'runs': [['t', 0, 0, 4, null, 5]], 'next': 4, 'start': 0, 'end': 4, "
                      "'reason': 'end'}",
                      RECORD RECORD "\x91\xa1x" RECORD},
                     {"{'runs': [['t', 0, 2, 2, null, 5]], 'next': 4, 'start': 0, 'end': 4, "
                      "'reason': 'end'}",
                      RECORD RECORD}}},
        .late_partition = UINT32_MAX};
    const zspool_message_t *message;
    zspool_error_t err;
    set_up(&f, 0);
    assert_next(&f, 0, 0);
    assert_next(&f, 0, 1);
    assert_int_equal(zspool_read(f.reader, &message, WAIT_MS, &err), ZSPOOL_EBAD_RECORD);
    assert_next(&f, 0, 2);
    assert_next(&f, 0, 3);
    assert_end(&f);
    tear_down(&f);
}

/* The descriptor is readable while messages of a run are left, and no longer. */
static void the_descriptor_is_readable_to_the_last_message_of_a_run(void **state)
{
    (void)state;
    struct fixture f = {
        .replies = {{{"{'runs': [['t', 0, 0, 3, null, 5]], 'next': 3, 'start': 0, 'end': 4}",
                      RECORD RECORD RECORD}}},
        .late_partition = 0,
        .late_reply = 1};
    set_up(&f, 0);
    struct pollfd fd = {.fd = zspool_fd(f.client), .events = POLLIN};
    for (uint64_t offset = 0; offset < 3; offset++) {
        assert_int_equal(poll(&fd, 1, WAIT_MS), 1);
        assert_next(&f, 0, offset);
    }
    assert_int_equal(poll(&fd, 1, 0), 0);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_equal_times_the_lower_partition_comes_first_though_it_comes_late),
        cmocka_unit_test(a_late_higher_partition_holds_back_what_may_be_behind_it),
        cmocka_unit_test(a_bad_record_in_a_run_is_told_and_read_again_from_there),
        cmocka_unit_test(the_descriptor_is_readable_to_the_last_message_of_a_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
