/* SPDX-License-Identifier: MPL-2.0
 *
 * "Called wrongly a function returns ZSPOOL_EINVAL and changes nothing": nothing
 * of ours breaks, and nothing reaches the broker.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <zspool.h>

#include "tests/support/obliging_broker.h"

#define WAIT_MS 30000 /* for what takes milliseconds */

static const char not_utf8[] = {'a', (char)0xff, '\0'};

struct fixture {
    struct obliging_broker obliging;
    struct fake_broker *broker;
    zspool_client_t *client;
};

static int set_up(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof f);
    f.broker = fake_broker_start(obliging_handler, &f.obliging);
    f.client = zspool_new(fake_broker_endpoint(f.broker), NULL, NULL);
    assert_int_equal(zspool_connect(f.client, WAIT_MS, NULL, NULL), 0);
    *state = &f;
    return 0;
}

/* The broker was asked nothing, and the client is as good as new. */
static int tear_down(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(zspool_ping(f->client, WAIT_MS, NULL, NULL), 0);
    assert_int_equal(atomic_load(&f->obliging.requests), 0);
    zspool_destroy(&f->client);
    assert_null(f->client);
    fake_broker_stop(&f->broker);
    return 0;
}

#define WRONG(call) assert_int_equal(call, ZSPOOL_EINVAL)

/* --- No object, no place for the result ---------------------------------------------------- */

static void nothing_in_the_place_of_an_object(void **state)
{
    struct fixture *f = *state;
    zspool_error_t err = {0};
    zspool_header_t header;
    const zspool_message_t *message;
    zspool_reader_options_t replay;
    zspool_reader_options_init(&replay);
    replay.topic = "t";
    zspool_destroy(NULL);
    zspool_producer_destroy(NULL);
    zspool_consumer_destroy(NULL);
    zspool_reader_destroy(NULL);
    zspool_consumer_stop(NULL);
    zspool_interrupt(NULL);
    zspool_interrupt_clear(NULL);
    assert_false(zspool_consumer_finished(NULL));
    zspool_consumer_want(NULL, true);
    zspool_reader_want(NULL, false);
    WRONG(zspool_connect(NULL, 0, NULL, &err));
    WRONG(err.code);
    assert_int_equal(zspool_fd(NULL), -1);
    WRONG(zspool_dispatch(NULL, 0));
    assert_null(zspool_producer_new(NULL, NULL, &err));
    WRONG(err.code);
    assert_string_equal(zspool_producer_name(NULL), "");
    WRONG(zspool_send(NULL, NULL, NULL, NULL));
    WRONG(zspool_room(NULL, 0, 0, NULL));
    WRONG(zspool_wait(NULL, 1, 0, NULL, NULL));
    WRONG(zspool_flush(NULL, 0, NULL));
    WRONG(zspool_reports(NULL, NULL, 0));
    assert_null(zspool_consumer_new(NULL, NULL, NULL));
    assert_null(zspool_consumer_new(f->client, NULL, &err));
    WRONG(err.code);
    WRONG(zspool_next(NULL, &message, 0, NULL));
    WRONG(zspool_settle(NULL, NULL, ZSPOOL_ACK, NULL, NULL));
    WRONG(zspool_settle_flush(NULL, 0, NULL));
    WRONG(zspool_lost(NULL, NULL, 0));
    assert_null(zspool_commit_new(NULL, NULL, NULL, &err));
    WRONG(err.code);
    WRONG(zspool_commit_send(NULL, NULL, NULL));
    WRONG(zspool_commit_settle(NULL, NULL, ZSPOOL_ACK, NULL, NULL));
    WRONG(zspool_commit_run(NULL, 0, NULL, NULL));
    zspool_commit_clear(NULL);
    zspool_commit_destroy(NULL);
    assert_null(zspool_reader_new(NULL, &replay, NULL));
    assert_null(zspool_reader_new(f->client, NULL, &err));
    WRONG(err.code);
    WRONG(zspool_read(NULL, &message, 0, NULL));
    WRONG(zspool_message_header(NULL, 0, &header));
    zspool_free(NULL);
}

static void no_client_for_an_administrative_call(void **state)
{
    (void)state;
    zspool_topic_spec_t topic;
    zspool_group_spec_t group;
    zspool_seek_spec_t seek;
    zspool_request_spec_t request;
    zspool_figures_t *stats;
    zspool_names_t *names;
    zspool_topic_info_t *topic_info;
    zspool_group_info_t *group_info;
    zspool_trace_t *trace;
    zspool_producer_info_t *producer_info;
    zspool_seek_result_t *moved;
    zspool_savepoint_list_t *savepoints;
    zspool_restore_result_t *restored;
    zspool_dead_choice_t dead;
    zspool_dead_list_t *dead_list;
    zspool_dead_messages_t *dead_messages;
    zspool_dead_result_t *dead_result;
    zspool_reply_t *reply;
    zspool_topic_spec_init(&topic, "t");
    zspool_group_spec_init(&group, "g");
    zspool_seek_spec_init(&seek, "g", "t");
    zspool_dead_choice_init(&dead, "g");
    zspool_request_spec_init(&request, "PING");
    WRONG(zspool_ping(NULL, 0, NULL, NULL));
    WRONG(zspool_stats(NULL, 0, &stats, NULL));
    WRONG(zspool_topic_create(NULL, &topic, 0, NULL));
    WRONG(zspool_topic_set(NULL, &topic, 0, NULL));
    WRONG(zspool_topic_info(NULL, "t", 0, &topic_info, NULL));
    WRONG(zspool_topic_list(NULL, NULL, 0, &names, NULL));
    WRONG(zspool_topic_delete(NULL, "t", false, 0, NULL));
    WRONG(zspool_group_create(NULL, &group, 0, NULL));
    WRONG(zspool_group_set(NULL, &group, 0, NULL));
    WRONG(zspool_group_info(NULL, "g", 0, &group_info, NULL));
    WRONG(zspool_group_trace(NULL, "g", "t", 0, 0, 0, &trace, NULL));
    WRONG(zspool_group_list(NULL, NULL, 0, &names, NULL));
    WRONG(zspool_group_delete(NULL, "g", false, 0, NULL));
    WRONG(zspool_group_pause(NULL, "g", 0, NULL));
    WRONG(zspool_group_resume(NULL, "g", 0, NULL));
    WRONG(zspool_topic_purge(NULL, NULL, 0, NULL, NULL));
    WRONG(zspool_savepoint_save(NULL, "g", "s", false, 0, NULL));
    WRONG(zspool_savepoint_list(NULL, "g", 0, &savepoints, NULL));
    WRONG(zspool_savepoint_drop(NULL, "g", "s", false, 0, NULL));
    WRONG(zspool_savepoint_restore(NULL, "g", "s", false, 0, &restored, NULL));
    WRONG(zspool_savepoint_undo(NULL, "g", false, 0, &restored, NULL));
    WRONG(zspool_dead_list(NULL, &dead, 0, 0, &dead_list, NULL));
    WRONG(zspool_dead_read(NULL, &dead, 0, &dead_messages, NULL));
    WRONG(zspool_dead_redrive(NULL, &dead, 0, &dead_result, NULL));
    WRONG(zspool_dead_drop(NULL, &dead, 0, &dead_result, NULL));
    WRONG(zspool_dead_stop(NULL, "g", 0, &dead_result, NULL));
    WRONG(zspool_group_seek(NULL, &seek, 0, &moved, NULL));
    WRONG(zspool_producer_info(NULL, "p", 0, &producer_info, NULL));
    WRONG(zspool_settle_at(NULL, "g", NULL, 0, 0, NULL));
    WRONG(zspool_request(NULL, &request, 0, &reply, NULL));
}

static void no_place_for_the_result(void **state)
{
    struct fixture *f = *state;
    zspool_seek_spec_t seek;
    zspool_dead_choice_t dead;
    zspool_request_spec_t request;
    zspool_seek_spec_init(&seek, "g", "t");
    seek.to.kind = ZSPOOL_POSITION_EARLIEST;
    zspool_request_spec_init(&request, "PING");
    zspool_dead_choice_init(&dead, "g");
    WRONG(zspool_dead_list(f->client, &dead, 0, 0, NULL, NULL));
    WRONG(zspool_dead_redrive(f->client, &dead, 0, NULL, NULL));
    WRONG(zspool_dead_drop(f->client, &dead, 0, NULL, NULL));
    WRONG(zspool_savepoint_list(f->client, "g", 0, NULL, NULL));
    WRONG(zspool_savepoint_restore(f->client, "g", "s", false, 0, NULL, NULL));
    WRONG(zspool_savepoint_undo(f->client, "g", false, 0, NULL, NULL));
    WRONG(zspool_stats(f->client, 0, NULL, NULL));
    WRONG(zspool_topic_info(f->client, "t", 0, NULL, NULL));
    WRONG(zspool_topic_list(f->client, NULL, 0, NULL, NULL));
    WRONG(zspool_group_info(f->client, "g", 0, NULL, NULL));
    WRONG(zspool_group_trace(f->client, "g", "t", 0, 0, 0, NULL, NULL));
    WRONG(zspool_group_list(f->client, NULL, 0, NULL, NULL));
    WRONG(zspool_group_seek(f->client, &seek, 0, NULL, NULL));
    WRONG(zspool_producer_info(f->client, "p", 0, NULL, NULL));
    WRONG(zspool_request(f->client, &request, 0, NULL, NULL));
}

/* --- What the error tells -------------------------------------------------------------------- */

#define TELLS(call, object_, wanted_, got_)       \
    do {                                          \
        memset(&err, 0, sizeof err);              \
        (void)(call);                             \
        assert_true(err.code != 0);               \
        assert_string_equal(err.object, object_); \
        assert_string_equal(err.wanted, wanted_); \
        assert_string_equal(err.got, got_);       \
    } while (0)

/* Whatever is out of its range is named, with the range and what was given. */
static void a_value_out_of_range_is_told_with_its_range(void **state)
{
    struct fixture *f = *state;
    zspool_error_t err;
    zspool_options_t client;
    zspool_producer_options_t producer;
    zspool_consumer_options_t consumer;
    zspool_reader_options_t replay;
    zspool_topic_spec_t topic;
    zspool_seek_spec_t seek;
    zspool_seek_result_t *moved;
    zspool_options_init(&client);
    client.answer_ms = -1;
    TELLS(zspool_new("tcp://127.0.0.1:1", &client, &err), "answer_ms", "0..86400000", "-1");
    zspool_producer_options_init(&producer);
    producer.delivery_ms = -2;
    TELLS(zspool_producer_new(f->client, &producer, &err), "delivery_ms", "-1..31536000000", "-2");
    zspool_producer_options_init(&producer);
    producer.codec_level = 20;
    TELLS(zspool_producer_new(f->client, &producer, &err), "codec_level", "1..19", "20");
    zspool_consumer_options_init(&consumer);
    consumer.group = "g";
    consumer.prefetch_messages = 1000001;
    TELLS(zspool_consumer_new(f->client, &consumer, &err), "prefetch_messages", "0..1000000",
          "1000001");
    zspool_reader_options_init(&replay);
    replay.topic = "t";
    replay.partition = 1024;
    TELLS(zspool_reader_new(f->client, &replay, &err), "partition", "-1..1023", "1024");
    zspool_topic_spec_init(&topic, "t");
    topic.partitions = 1025;
    TELLS(zspool_topic_create(f->client, &topic, 0, &err), "partitions", "0..1024", "1025");
    zspool_seek_spec_init(&seek, "g", "t");
    seek.to.kind = ZSPOOL_POSITION_EARLIEST;
    seek.partition = -2;
    TELLS(zspool_group_seek(f->client, &seek, 0, &moved, &err), "partition", "-1..1023", "-2");
}

/* Also what is no number. */
static void a_value_of_another_kind_is_told_with_what_was_wanted(void **state)
{
    struct fixture *f = *state;
    static const char endpoints[] = "tcp://HOST:PORT, ipc://PATH or inproc://NAME";
    zspool_error_t err;
    zspool_options_t client;
    zspool_consumer_options_t consumer;
    zspool_purge_spec_t purge;
    zspool_purge_result_t *purged;
    zspool_out_t out = zspool_out("t", "x", 1);
    zspool_options_init(&client);
    client.session_heartbeat_ms = 99;
    TELLS(zspool_new("tcp://127.0.0.1:1", &client, &err), "session_heartbeat_ms",
          "100..60000, 0 or -1", "99");
    TELLS(zspool_new("udp://x", NULL, &err), "endpoints", endpoints, "udp://x");
    zspool_consumer_options_init(&consumer);
    TELLS(zspool_consumer_new(f->client, &consumer, &err), "group", "a name", "nothing");
    zspool_purge_spec_init(&purge, "t");
    TELLS(zspool_topic_purge(f->client, &purge, 0, &purged, &err), "before", "", "");
    purge.partition = 1024;
    TELLS(zspool_topic_purge(f->client, &purge, 0, &purged, &err), "partition", "-1..1023", "1024");
    zspool_producer_t *producer = zspool_producer_new(f->client, NULL, NULL);
    out.created_at_ms = -1;
    TELLS(zspool_send(producer, &out, NULL, &err), "created_at_ms", "0..9223372036854775807", "-1");
    zspool_producer_destroy(&producer);
}

/* --- Structs and values ------------------------------------------------------------------------ */

static void structs_that_nobody_prepared(void **state)
{
    struct fixture *f = *state;
    zspool_info_t info;
    zspool_topic_spec_t topic;
    zspool_group_spec_t group;
    zspool_seek_spec_t seek;
    zspool_seek_result_t *moved;
    zspool_request_spec_t request;
    zspool_reply_t *reply;
    zspool_producer_options_t producer;
    zspool_consumer_options_t consumer;
    zspool_reader_options_t replay;
    memset(&info, 0, sizeof info);
    memset(&topic, 0, sizeof topic);
    memset(&group, 0, sizeof group);
    memset(&seek, 0, sizeof seek);
    memset(&request, 0, sizeof request);
    memset(&producer, 0, sizeof producer);
    memset(&consumer, 0, sizeof consumer);
    memset(&replay, 0, sizeof replay);
    WRONG(zspool_connect(f->client, 0, &info, NULL));
    WRONG(zspool_topic_create(f->client, &topic, 0, NULL));
    WRONG(zspool_topic_create(f->client, NULL, 0, NULL));
    WRONG(zspool_group_create(f->client, &group, 0, NULL));
    WRONG(zspool_group_set(f->client, NULL, 0, NULL));
    WRONG(zspool_group_seek(f->client, &seek, 0, &moved, NULL));
    WRONG(zspool_group_seek(f->client, NULL, 0, &moved, NULL));
    WRONG(zspool_request(f->client, &request, 0, &reply, NULL));
    WRONG(zspool_request(f->client, NULL, 0, &reply, NULL));
    assert_null(zspool_producer_new(f->client, &producer, NULL));
    assert_null(zspool_consumer_new(f->client, &consumer, NULL));
    assert_null(zspool_reader_new(f->client, &replay, NULL));
}

static void names_that_are_none(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {NULL, "", ".hidden", "a/b", not_utf8};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        zspool_topic_spec_t topic;
        zspool_group_spec_t group;
        zspool_topic_info_t *topic_info;
        zspool_group_info_t *group_info;
        zspool_producer_info_t *producer_info;
        zspool_settle_run_t run = {.topic = bad[i], .count = 1, .lease = 1};
        zspool_reader_options_t replay;
        zspool_error_t err = {0};
        zspool_topic_spec_init(&topic, bad[i]);
        zspool_group_spec_init(&group, bad[i]);
        zspool_reader_options_init(&replay);
        zspool_settle_arg_init(&run.arg);
        replay.topic = bad[i];
        assert_int_equal(zspool_topic_create(f->client, &topic, 0, NULL), ZSPOOL_EBAD_NAME);
        assert_int_equal(zspool_topic_info(f->client, bad[i], 0, &topic_info, NULL),
                         ZSPOOL_EBAD_NAME);
        assert_int_equal(zspool_topic_delete(f->client, bad[i], true, 0, NULL), ZSPOOL_EBAD_NAME);
        assert_int_equal(zspool_group_create(f->client, &group, 0, NULL), ZSPOOL_EBAD_NAME);
        assert_int_equal(zspool_group_info(f->client, bad[i], 0, &group_info, NULL),
                         ZSPOOL_EBAD_NAME);
        assert_int_equal(zspool_group_delete(f->client, bad[i], true, 0, NULL), ZSPOOL_EBAD_NAME);
        assert_int_equal(zspool_group_pause(f->client, bad[i], 0, NULL), ZSPOOL_EBAD_NAME);
        assert_int_equal(zspool_savepoint_save(f->client, "g", bad[i], false, 0, NULL),
                         ZSPOOL_EBAD_NAME);
        assert_int_equal(zspool_producer_info(f->client, bad[i], 0, &producer_info, NULL),
                         ZSPOOL_EBAD_NAME);
        assert_int_equal(zspool_settle_at(f->client, "g", &run, 1, 0, NULL), ZSPOOL_EBAD_NAME);
        assert_int_equal(zspool_settle_at(f->client, bad[i], &run, 1, 0, NULL), ZSPOOL_EBAD_NAME);
        assert_null(zspool_reader_new(f->client, &replay, &err));
        assert_int_equal(err.code, ZSPOOL_EBAD_NAME);
    }
}

static void settings_and_text_that_cannot_be_sent(void **state)
{
    struct fixture *f = *state;
    static const zspool_figure_t wrong[] = {
        {.name = NULL, .value = 1},
        {.name = not_utf8, .value = 1},
        {.name = "a", .is_text = true, .text = NULL},
        {.name = "a", .is_text = true, .text = not_utf8},
    };
    zspool_names_t *names;
    zspool_topic_spec_t topic;
    zspool_group_spec_t group;
    zspool_topic_spec_init(&topic, "t");
    zspool_group_spec_init(&group, "g");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        topic.settings = &wrong[i];
        topic.setting_count = 1;
        group.settings = &wrong[i];
        group.setting_count = 1;
        WRONG(zspool_topic_set(f->client, &topic, 0, NULL));
        WRONG(zspool_group_set(f->client, &group, 0, NULL));
    }
    topic.settings = NULL;
    WRONG(zspool_topic_create(f->client, &topic, 0, NULL));
    zspool_topic_spec_init(&topic, "t");
    topic.partitions = 1025;
    WRONG(zspool_topic_create(f->client, &topic, 0, NULL));
    zspool_group_spec_init(&group, "g");
    group.mode = not_utf8;
    WRONG(zspool_group_create(f->client, &group, 0, NULL));
    group.mode = NULL;
    group.topic_count = 1;
    WRONG(zspool_group_create(f->client, &group, 0, NULL));
    WRONG(zspool_topic_list(f->client, not_utf8, 0, &names, NULL));
    WRONG(zspool_group_list(f->client, not_utf8, 0, &names, NULL));
}

/* What the broker could not even read it could only answer by giving the connection up. */
static void raw_requests_that_are_none(void **state)
{
    struct fixture *f = *state;
    static const zspool_bytes_t wrong[] = {
        {"", 0},                 /* nothing at all */
        {"\x93\x01\x02\x03", 4}, /* an array */
        {"\x81\xa1k", 3},        /* a map that is cut off */
        {"\x80\x80", 2},         /* two of them */
        {"\xc1", 1},             /* no MessagePack */
        {"\x81\xa1\xff\x01", 4}, /* a key that is not UTF-8 */
        {"\xdf\xff\xff\xff\xff", 5},
    };
    zspool_request_spec_t request;
    zspool_reply_t *reply;
    zspool_error_t err = {0};
    zspool_request_spec_init(&request, "TOPIC.INFO");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        request.args = wrong[i];
        WRONG(zspool_request(f->client, &request, 0, &reply, &err));
        WRONG(err.code);
    }
    zspool_request_spec_init(&request, not_utf8);
    WRONG(zspool_request(f->client, &request, 0, &reply, NULL));
    zspool_request_spec_init(&request, NULL);
    WRONG(zspool_request(f->client, &request, 0, &reply, NULL));
    zspool_request_spec_init(&request, "PUBLISH");
    request.body = (zspool_bytes_t){"", 0};
    WRONG(zspool_request(f->client, &request, 0, &reply, NULL));
}

static void positions_and_runs_out_of_range(void **state)
{
    struct fixture *f = *state;
    zspool_seek_spec_t seek;
    zspool_seek_result_t *moved;
    zspool_reader_options_t replay;
    zspool_settle_run_t run = {.topic = "t", .count = 1, .lease = 1};
    zspool_seek_spec_init(&seek, "g", "t");
    WRONG(zspool_group_seek(f->client, &seek, 0, &moved, NULL)); /* no position */
    seek.to.kind = (zspool_position_kind_t)99;
    WRONG(zspool_group_seek(f->client, &seek, 0, &moved, NULL));
    seek.to.kind = ZSPOOL_POSITION_LATEST;
    seek.partition = 1024;
    WRONG(zspool_group_seek(f->client, &seek, 0, &moved, NULL));
    zspool_reader_options_init(&replay);
    replay.topic = "t";
    replay.follow = true;
    replay.to.kind = ZSPOOL_POSITION_LATEST;
    assert_null(zspool_reader_new(f->client, &replay, NULL));
    replay.follow = false;
    replay.prefetch_bytes = 17u << 20;
    assert_null(zspool_reader_new(f->client, &replay, NULL));
    zspool_settle_arg_init(&run.arg);
    WRONG(zspool_settle_at(f->client, "g", &run, 0, 0, NULL));
    WRONG(zspool_settle_at(f->client, "g", &run, 4097, 0, NULL));
    run.outcome = (zspool_outcome_t)9;
    WRONG(zspool_settle_at(f->client, "g", &run, 1, 0, NULL));
    run.outcome = ZSPOOL_EXTEND;
    run.arg.extend_ms = 1;
    assert_int_equal(zspool_settle_at(f->client, "g", &run, 1, 0, NULL), ZSPOOL_EBAD_VALUE);
    run.outcome = ZSPOOL_REJECT;
    run.arg.reason = zspool_text(not_utf8);
    assert_int_equal(zspool_settle_at(f->client, "g", &run, 1, 0, NULL), ZSPOOL_EBAD_VALUE);
}

static void producers_and_fewer_than_no_reports(void **state)
{
    struct fixture *f = *state;
    zspool_producer_options_t options;
    zspool_report_t report;
    zspool_error_t err = {0};
    zspool_producer_t *producer = zspool_producer_new(f->client, NULL, NULL);
    const zspool_out_t nowhere = zspool_out(NULL, "x", 1);
    WRONG(zspool_send(producer, NULL, NULL, NULL));
    assert_int_equal(zspool_send(producer, &nowhere, NULL, NULL), ZSPOOL_EBAD_NAME);
    WRONG(zspool_reports(producer, &report, -1));
    WRONG(zspool_reports(producer, NULL, 1));
    assert_int_equal(zspool_reports(producer, NULL, 0), 0);
    WRONG(zspool_wait(producer, 1, 0, NULL, &err));
    assert_int_equal(zspool_flush(producer, 0, NULL), 0);
    zspool_producer_destroy(&producer);
    static const struct {
        size_t batch_bytes;
        int64_t delivery_ms;
        int level, reporting;
    } wrong[] = {{9u << 20, 0, 0, 0}, {0, -2, 0, 0}, {0, 0, 7, 0}, {0, 0, 0, -1}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        zspool_producer_options_init(&options);
        options.batch_bytes = wrong[i].batch_bytes;
        options.delivery_ms = wrong[i].delivery_ms;
        options.level = (zspool_level_t)wrong[i].level;
        options.reporting = (zspool_reporting_t)wrong[i].reporting;
        assert_null(zspool_producer_new(f->client, &options, &err));
        WRONG(err.code);
    }
}

/* --- Order of destruction ---------------------------------------------------------------------- */

/* A client outlives what was made of it: destroyed too early, it stays. */
static void a_client_in_use_is_not_destroyed(void **state)
{
    struct fixture *f = *state;
    zspool_reader_options_t replay;
    zspool_reader_options_init(&replay);
    replay.topic = "t";
    zspool_client_t *client = zspool_new("tcp://127.0.0.1:1", NULL, NULL);
    zspool_producer_t *producer = zspool_producer_new(client, NULL, NULL);
    zspool_reader_t *reader = zspool_reader_new(client, &replay, NULL);
    zspool_destroy(&client);
    assert_non_null(client);
    zspool_producer_destroy(&producer);
    zspool_destroy(&client);
    assert_non_null(client);
    zspool_reader_destroy(&reader);
    assert_null(reader);
    zspool_reader_destroy(&reader);
    zspool_destroy(&client);
    assert_null(client);
    (void)f;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_in_the_place_of_an_object),
        TEST(no_client_for_an_administrative_call),
        TEST(no_place_for_the_result),
        TEST(a_value_out_of_range_is_told_with_its_range),
        TEST(a_value_of_another_kind_is_told_with_what_was_wanted),
        TEST(structs_that_nobody_prepared),
        TEST(names_that_are_none),
        TEST(settings_and_text_that_cannot_be_sent),
        TEST(raw_requests_that_are_none),
        TEST(positions_and_runs_out_of_range),
        TEST(producers_and_fewer_than_no_reports),
        TEST(a_client_in_use_is_not_destroyed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
