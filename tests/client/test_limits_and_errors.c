/* SPDX-License-Identifier: MPL-2.0
 *
 * The errors and limits that zspool.h names and that no other test meets, at a
 * real zspoold.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zspool.h>

#include "tests/support/served.h"

#define WAIT_MS     30000 /* for what takes milliseconds */
#define REPORTS_MAX 65536
#define FATES_MAX   16384
#define TOPICS_MAX  4096
#define LOST_MAX    4096
#define RUNS        3000

static const char *const topics[] = {"t"};

static int set_up(void **state)
{
    static struct served f;
    served_start(&f);
    served_topic(f.client, "t", 2);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    served_end(*state);
    return 0;
}

/* To the partitions in turn, so that each message is a run of tickets of its own. */
static int send_to(zspool_producer_t *producer, int partition, uint64_t *ret_ticket)
{
    zspool_out_t out = zspool_out("t", "x", 1);
    out.partition = partition;
    return zspool_send(producer, &out, ret_ticket, NULL);
}

static void publish(struct served *f, int count)
{
    zspool_producer_t *producer = zspool_producer_new(f->client, NULL, NULL);
    for (int i = 0; i < count; i++) {
        assert_int_equal(send_to(producer, 0, NULL), 0);
    }
    assert_int_equal(zspool_flush(producer, WAIT_MS, NULL), 0);
    zspool_producer_destroy(&producer);
}

/* --- Producers ----------------------------------------------------------------------------- */

static void untaken_reports_stop_the_producer_until_they_are_taken(void **state)
{
    struct served *f = *state;
    static zspool_report_t reports[1000];
    zspool_producer_options_t options;
    int sent = 0;
    int code;
    zspool_producer_options_init(&options);
    options.reporting = ZSPOOL_REPORT_ALL;
    zspool_producer_t *producer = zspool_producer_new(f->client, &options, NULL);
    do {
        assert_int_equal(zspool_flush(producer, WAIT_MS, NULL), 0);
        for (int i = 0; i < 8192 && (code = send_to(producer, sent % 2, NULL)) == 0; i++) {
            sent++;
        }
    } while (code == 0);
    assert_int_equal(code, ZSPOOL_EAGAIN);
    assert_true(sent >= REPORTS_MAX);
    assert_int_equal(zspool_flush(producer, WAIT_MS, NULL), 0);
    assert_int_equal(zspool_room(producer, 1, 20, NULL), ZSPOOL_ETIMEOUT);
    int taken = zspool_reports(producer, reports, 1000);
    assert_int_equal(taken, 1000);
    for (int got = taken; got > 0; taken += got) {
        got = zspool_reports(producer, reports, 1000);
    }
    assert_int_equal(taken, sent);
    assert_int_equal(zspool_room(producer, 1, 0, NULL), 0);
    assert_int_equal(send_to(producer, 0, NULL), 0);
    zspool_producer_destroy(&producer);
}

static void an_old_ticket_is_known_to_be_kept_but_not_where(void **state)
{
    struct served *f = *state;
    zspool_report_t report;
    uint64_t ticket = 0;
    zspool_producer_t *producer = zspool_producer_new(f->client, NULL, NULL);
    assert_int_equal(send_to(producer, 0, &ticket), 0);
    assert_int_equal(zspool_flush(producer, WAIT_MS, NULL), 0); /* so it is the oldest */
    for (int i = 1; i < FATES_MAX + 100; i++) {
        assert_int_equal(send_to(producer, i % 2, &ticket), 0);
    }
    assert_int_equal(zspool_flush(producer, WAIT_MS, NULL), 0);
    assert_int_equal(zspool_wait(producer, 1, 0, &report, NULL), 0);
    assert_int_equal(report.first_offset, ZSPOOL_OFFSET_UNKNOWN);
    assert_int_equal(zspool_wait(producer, ticket, 0, &report, NULL), 0);
    assert_int_equal(report.first_ticket, ticket);
    assert_int_equal(report.first_offset, (FATES_MAX + 100) / 2 - 1);
    zspool_producer_destroy(&producer);
}

static void a_producer_knows_4096_topics(void **state)
{
    (void)state;
    zspool_error_t err = {0};
    zspool_client_t *lonely = zspool_new("tcp://127.0.0.1:1", NULL, NULL);
    zspool_producer_t *producer = zspool_producer_new(lonely, NULL, NULL);
    for (int i = 0; i <= TOPICS_MAX; i++) {
        char name[24];
        (void)snprintf(name, sizeof name, "topic-%d", i);
        const zspool_out_t out = zspool_out(name, "x", 1);
        const int code = zspool_send(producer, &out, NULL, &err);
        assert_int_equal(code, i < TOPICS_MAX ? 0 : ZSPOOL_ELIMIT_REACHED);
    }
    zspool_producer_destroy(&producer);
    zspool_destroy(&lonely);
}

static void headers_that_cannot_be_sent(void **state)
{
    struct served *f = *state;
    static zspool_header_t headers[257];
    zspool_out_t out = zspool_out("t", "x", 1);
    zspool_producer_t *producer = zspool_producer_new(f->client, NULL, NULL);
    for (int i = 0; i < 257; i++) {
        headers[i] = (zspool_header_t){{"n", 1}, {"v", 1}, false};
    }
    out.headers = headers;
    out.header_count = 257;
    assert_int_equal(zspool_send(producer, &out, NULL, NULL), ZSPOOL_EBAD_VALUE);
    out.header_count = 256;
    assert_int_equal(zspool_send(producer, &out, NULL, NULL), 0);
    headers[9].value = (zspool_bytes_t){"\xff", 1};
    assert_int_equal(zspool_send(producer, &out, NULL, NULL), 0);
    headers[9].is_text = true;
    assert_int_equal(zspool_send(producer, &out, NULL, NULL), ZSPOOL_EBAD_VALUE);
    headers[9].value.data = NULL;
    assert_int_equal(zspool_send(producer, &out, NULL, NULL), ZSPOOL_EBAD_VALUE);
    out.headers = NULL;
    assert_int_equal(zspool_send(producer, &out, NULL, NULL), ZSPOOL_EBAD_VALUE);
    out = zspool_out("t", "x", 1);
    out.created_at_ms = -1;
    assert_int_equal(zspool_send(producer, &out, NULL, NULL), ZSPOOL_EBAD_VALUE);
    assert_int_equal(zspool_flush(producer, WAIT_MS, NULL), 0);
    zspool_producer_destroy(&producer);
}

/* --- Consumers and readers -------------------------------------------------------------------- */

static zspool_consumer_t *consumer_of(struct served *f, const char *const *names, bool auto_extend)
{
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.group = "g";
    options.topics = names;
    options.topic_count = names ? 1 : 0;
    options.auto_extend = auto_extend;
    options.prefetch_messages = 10000;
    zspool_consumer_t *consumer = zspool_consumer_new(f->client, &options, NULL);
    assert_non_null(consumer);
    return consumer;
}

static void outcomes_for_a_group_that_was_deleted(void **state)
{
    struct served *f = *state;
    const zspool_message_t *message;
    zspool_error_t err = {0};
    publish(f, 1);
    zspool_consumer_t *consumer = consumer_of(f, topics, false);
    assert_int_equal(zspool_next(consumer, &message, WAIT_MS, NULL), 0);
    zspool_consumer_stop(consumer); /* else its next pull makes the group again */
    assert_int_equal(zspool_group_delete(f->client, "g", false, WAIT_MS, NULL), 0);
    assert_int_equal(zspool_settle(consumer, message, ZSPOOL_ACK, NULL, NULL), 0);
    const int code = zspool_settle_flush(consumer, WAIT_MS, &err);
    assert_true(code == ZSPOOL_ENOT_FOUND || code == ZSPOOL_ENOT_LEASED);
    assert_int_equal(zspool_settle_flush(consumer, WAIT_MS, NULL), 0);
    zspool_consumer_destroy(&consumer);
}

static void a_new_group_without_topics_has_nothing_to_give(void **state)
{
    struct served *f = *state;
    const zspool_message_t *message;
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.group = "nobody";
    options.mode = "backwards";
    zspool_consumer_t *consumer = zspool_consumer_new(f->client, &options, NULL);
    const int code = zspool_next(consumer, &message, WAIT_MS, NULL);
    assert_true(code < 0 && code != ZSPOOL_ETIMEOUT);
    zspool_consumer_destroy(&consumer);
}

static void the_oldest_losses_are_forgotten(void **state)
{
    struct served *f = *state;
    static zspool_lost_t lost[LOST_MAX + 1];
    const zspool_message_t *message;
    zspool_seek_spec_t seek;
    zspool_seek_result_t *result;
    const zspool_figure_t lease = {.name = "lease_ms", .value = 1000};
    zspool_group_spec_t group;
    zspool_group_spec_init(&group, "g");
    group.topics = topics;
    group.topic_count = 1;
    group.settings = &lease;
    group.setting_count = 1;
    assert_int_equal(zspool_group_create(f->client, &group, WAIT_MS, NULL), 0);
    publish(f, LOST_MAX + 500);
    zspool_consumer_t *consumer = consumer_of(f, NULL, true);
    for (int i = 0; i < LOST_MAX + 500; i++) {
        assert_int_equal(zspool_next(consumer, &message, WAIT_MS, NULL), 0);
    }
    zspool_consumer_stop(consumer);
    zspool_seek_spec_init(&seek, "g", "t");
    seek.to.kind = ZSPOOL_POSITION_EARLIEST;
    assert_int_equal(zspool_group_seek(f->client, &seek, WAIT_MS, &result, NULL), 0);
    zspool_free(result);
    assert_int_equal(zspool_dispatch(f->client, WAIT_MS), 1); /* a loss is told, then all of them */
    uint64_t total = 0;
    uint64_t last = 0;
    while (last < LOST_MAX + 499) {
        const int count = zspool_lost(consumer, lost, LOST_MAX + 1);
        assert_in_range(count, 0, LOST_MAX);
        for (int i = 0; i < count; i++) {
            total += lost[i].count;
            last = lost[i].first_offset > last ? lost[i].first_offset : last;
            assert_true(lost[i].held);
        }
        (void)zspool_ping(f->client, WAIT_MS, NULL, NULL);
    }
    assert_in_range(total, LOST_MAX, LOST_MAX + 500);
    zspool_consumer_destroy(&consumer);
}

static void a_partition_that_is_not_there(void **state)
{
    struct served *f = *state;
    const zspool_message_t *message;
    zspool_reader_options_t options;
    zspool_reader_options_init(&options);
    options.topic = "t";
    options.partition = 2;
    zspool_reader_t *reader = zspool_reader_new(f->client, &options, NULL);
    assert_int_equal(zspool_read(reader, &message, WAIT_MS, NULL), ZSPOOL_ENOT_FOUND);
    assert_int_equal(zspool_read(reader, &message, WAIT_MS, NULL), ZSPOOL_ENOT_FOUND);
    zspool_reader_destroy(&reader);
}

/* --- Administration ----------------------------------------------------------------------------- */

static void settings_and_names_that_the_broker_refuses(void **state)
{
    struct served *f = *state;
    const zspool_figure_t unknown = {.name = "no_such_setting", .value = 1};
    const zspool_figure_t retention = {.name = "retention_bytes", .value = 1000000};
    const zspool_figure_t negative = {.name = "lease_ms", .value = -1};
    zspool_topic_spec_t topic;
    zspool_group_spec_t group;
    zspool_seek_spec_t seek;
    zspool_seek_result_t *result;
    zspool_error_t err = {0};
    zspool_topic_spec_init(&topic, "t");
    topic.settings = &unknown;
    topic.setting_count = 1;
    assert_int_equal(zspool_topic_set(f->client, &topic, WAIT_MS, &err), ZSPOOL_EUNKNOWN_ARGUMENT);
    assert_non_null(strstr(err.message, "no_such_setting"));
    zspool_topic_spec_init(&topic, "nothing");
    topic.settings = &retention;
    topic.setting_count = 1;
    assert_int_equal(zspool_topic_set(f->client, &topic, WAIT_MS, NULL), ZSPOOL_ENOT_FOUND);
    zspool_topic_spec_init(&topic, "t");
    topic.partitions = 2;
    topic.settings = &retention;
    topic.setting_count = 1;
    assert_int_equal(zspool_topic_set(f->client, &topic, WAIT_MS, NULL), ZSPOOL_EBAD_VALUE);
    zspool_group_spec_init(&group, "nobody");
    assert_int_equal(zspool_group_set(f->client, &group, WAIT_MS, NULL), ZSPOOL_ENOT_FOUND);
    group.settings = &negative;
    group.setting_count = 1;
    const int code = zspool_group_create(f->client, &group, WAIT_MS, NULL);
    assert_true(code == ZSPOOL_EBAD_VALUE || code == ZSPOOL_EBAD_TYPE);
    assert_int_equal(zspool_group_delete(f->client, "nobody", true, WAIT_MS, NULL),
                     ZSPOOL_ENOT_FOUND);
    zspool_seek_spec_init(&seek, "nobody", "t");
    seek.to.kind = ZSPOOL_POSITION_EARLIEST;
    assert_int_equal(zspool_group_seek(f->client, &seek, WAIT_MS, &result, NULL),
                     ZSPOOL_ENOT_FOUND);
}

/* With long names 3,000 runs do not fit one request: several are sent, and each run is told of. */
static void many_runs_are_settled_in_several_requests(void **state)
{
    struct served *f = *state;
    static zspool_settle_run_t runs[RUNS];
    static char name[201];
    zspool_group_spec_t group;
    memset(name, 'n', 200);
    zspool_group_spec_init(&group, "g");
    assert_int_equal(zspool_group_create(f->client, &group, WAIT_MS, NULL), 0);
    for (int i = 0; i < RUNS; i++) {
        runs[i] = (zspool_settle_run_t){.topic = name,
                                        .first_offset = (uint64_t)i * 2, /* so that none join */
                                        .count = 1,
                                        .lease = 5,
                                        .outcome = ZSPOOL_ACK};
        zspool_settle_arg_init(&runs[i].arg);
    }
    assert_int_equal(zspool_settle_at(f->client, "g", runs, RUNS, WAIT_MS, NULL), 0);
    for (int i = 0; i < RUNS; i++) {
        assert_int_equal(runs[i].ret_settled, ZSPOOL_SETTLED_UNKNOWN);
    }
}

static void requests_that_are_too_large(void **state)
{
    struct served *f = *state;
    zspool_request_spec_t spec;
    zspool_reply_t *reply;
    const size_t len = 300000;
    char *args = calloc(1, len + 8);
    static const unsigned char head[] = {0x81, 0xa1, 'k', 0xc6, 0x00, 0x04, 0x93, 0xe0};
    memcpy(args, head, sizeof head); /* {"k": 300,000 bytes} */
    zspool_request_spec_init(&spec, "STATS");
    spec.args = (zspool_bytes_t){args, len + 8};
    assert_int_equal(zspool_request(f->client, &spec, WAIT_MS, &reply, NULL), ZSPOOL_ETOO_LARGE);
    free(args);
    const size_t body_len = (8u << 20) + 1;
    char *body = calloc(1, body_len);
    zspool_request_spec_init(&spec, "PUBLISH");
    spec.body = (zspool_bytes_t){body, body_len};
    assert_int_equal(zspool_request(f->client, &spec, WAIT_MS, &reply, NULL), ZSPOOL_ETOO_LARGE);
    free(body);
    assert_int_equal(zspool_ping(f->client, WAIT_MS, NULL, NULL), 0);
}

/* A broker that takes as few requests of a connection as it may: slow, and all goes on. */
static void two_requests_at_a_time(void **state)
{
    (void)state;
    struct served served;
    const zspool_message_t *message;
    assert_int_equal(setenv("ZSPOOL_LIMITS_REQUESTS", "2", 1), 0);
    served_start(&served);
    assert_int_equal(unsetenv("ZSPOOL_LIMITS_REQUESTS"), 0);
    served_publish(served.client, 10);
    zspool_consumer_t *consumer = served_consumer(served.client, "g");
    for (int i = 0; i < 10; i++) {
        assert_int_equal(zspool_next(consumer, &message, WAIT_MS, NULL), 0);
        assert_int_equal(zspool_settle(consumer, message, ZSPOOL_ACK, NULL, NULL), 0);
    }
    assert_int_equal(zspool_settle_flush(consumer, WAIT_MS, NULL), 0);
    zspool_consumer_destroy(&consumer);
    served_end(&served);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(untaken_reports_stop_the_producer_until_they_are_taken),
        TEST(an_old_ticket_is_known_to_be_kept_but_not_where),
        TEST(a_producer_knows_4096_topics),
        TEST(headers_that_cannot_be_sent),
        TEST(outcomes_for_a_group_that_was_deleted),
        TEST(a_new_group_without_topics_has_nothing_to_give),
        TEST(the_oldest_losses_are_forgotten),
        TEST(a_partition_that_is_not_there),
        TEST(settings_and_names_that_the_broker_refuses),
        TEST(many_runs_are_settled_in_several_requests),
        TEST(requests_that_are_too_large),
        cmocka_unit_test(two_requests_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
