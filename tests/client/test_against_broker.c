/* SPDX-License-Identifier: MPL-2.0
 *
 * The library against a real zspoold: readers, administration, and what a
 * producer and a consumer promise while the broker is killed and restarted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <signal.h>
#include <zspool.h>

#include "tests/support/served.h"

#define WAIT_MS 30000 /* for what takes milliseconds */

/* Messages "first" .. "last", each with its number as key. */
static void publish(struct served *self, const char *topic, int first, int last)
{
    zspool_producer_t *producer = zspool_producer_new(self->client, NULL, NULL);
    assert_non_null(producer);
    for (int i = first; i <= last; i++) {
        char text[16];
        const int len = snprintf(text, sizeof text, "%d", i);
        zspool_out_t out = zspool_out(topic, text, (size_t)len);
        out.key = zspool_text(text);
        assert_int_equal(zspool_send(producer, &out, NULL, NULL), 0);
    }
    assert_int_equal(zspool_flush(producer, WAIT_MS, NULL), 0);
    zspool_producer_destroy(&producer);
}

/* --- Readers ---------------------------------------------------------------------------- */

static zspool_reader_t *reader_of(struct served *self, const zspool_reader_options_t *options)
{
    zspool_reader_t *reader = zspool_reader_new(self->client, options, NULL);
    assert_non_null(reader);
    return reader;
}

/* Read to the end; returns how many, *ret_first the number of the first. */
static int read_all(struct served *self, const zspool_reader_options_t *options, int *ret_first)
{
    zspool_reader_t *reader = reader_of(self, options);
    const zspool_message_t *message;
    int64_t last_ms = 0;
    int count = 0;
    int rc;
    while ((rc = zspool_read(reader, &message, WAIT_MS, NULL)) == 0) {
        if (count == 0) {
            *ret_first = served_number(message);
        }
        assert_true(message->timestamp_ms >= last_ms);
        assert_int_equal(message->lease, 0);
        last_ms = message->timestamp_ms;
        count++;
    }
    assert_int_equal(rc, ZSPOOL_END);
    assert_int_equal(zspool_read(reader, &message, 0, NULL), ZSPOOL_END);
    zspool_reader_destroy(&reader);
    return count;
}

static void a_topic_is_replayed_whole_and_in_order_of_time(void **state)
{
    (void)state;
    struct served f;
    zspool_reader_options_t options;
    int first = 0;
    served_start(&f);
    served_topic(f.client, "t", 7);
    for (int i = 0; i < 20; i++) {
        publish(&f, "t", i * 100, i * 100 + 99);
    }
    zspool_reader_options_init(&options);
    options.topic = "t";
    assert_int_equal(read_all(&f, &options, &first), 2000);
    options.prefetch_bytes = 1;
    assert_int_equal(read_all(&f, &options, &first), 2000);
    served_end(&f);
}

static void positions_say_where_a_replay_begins_and_ends(void **state)
{
    (void)state;
    static const struct {
        zspool_position_t from, to;
        int count, first;
    } cases[] = {
        {{ZSPOOL_POSITION_EARLIEST, 0, NULL}, {ZSPOOL_POSITION_NONE, 0, NULL}, 100, 0},
        {{ZSPOOL_POSITION_OFFSET, 40, NULL}, {ZSPOOL_POSITION_NONE, 0, NULL}, 60, 40},
        {{ZSPOOL_POSITION_OFFSET, 40, NULL}, {ZSPOOL_POSITION_OFFSET, 50, NULL}, 10, 40},
        {{ZSPOOL_POSITION_LAST, 5, NULL}, {ZSPOOL_POSITION_NONE, 0, NULL}, 5, 95},
        {{ZSPOOL_POSITION_EARLIEST, 0, NULL}, {ZSPOOL_POSITION_LAST, 5, NULL}, 95, 0},
        {{ZSPOOL_POSITION_LATEST, 0, NULL}, {ZSPOOL_POSITION_NONE, 0, NULL}, 0, -1},
        {{ZSPOOL_POSITION_AGO, 3600000, NULL}, {ZSPOOL_POSITION_LATEST, 0, NULL}, 100, 0},
        {{ZSPOOL_POSITION_AGO, 3600000, NULL}, {ZSPOOL_POSITION_AGO, 3500000, NULL}, 0, -1},
        {{ZSPOOL_POSITION_TIME, 0, NULL}, {ZSPOOL_POSITION_NONE, 0, NULL}, 100, 0},
    };
    struct served f;
    served_start(&f);
    publish(&f, "t", 0, 99);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        zspool_reader_options_t options;
        int first = -1;
        zspool_reader_options_init(&options);
        options.topic = "t";
        options.partition = 0;
        options.from = cases[i].from;
        options.to = cases[i].to;
        assert_int_equal(read_all(&f, &options, &first), cases[i].count);
        assert_int_equal(first, cases[i].first);
    }
    served_end(&f);
}

static void a_following_reader_sees_what_comes_later(void **state)
{
    (void)state;
    struct served f;
    zspool_reader_options_t options;
    const zspool_message_t *message;
    served_start(&f);
    served_topic(f.client, "t", 3);
    zspool_reader_options_init(&options);
    options.topic = "t";
    options.follow = true;
    zspool_reader_t *reader = reader_of(&f, &options);
    assert_int_equal(zspool_read(reader, &message, 50, NULL), ZSPOOL_ETIMEOUT);
    publish(&f, "t", 1, 30);
    int sum = 0;
    for (int i = 0; i < 30; i++) {
        assert_int_equal(zspool_read(reader, &message, WAIT_MS, NULL), 0);
        sum += served_number(message);
    }
    assert_int_equal(sum, 465);
    zspool_reader_destroy(&reader);
    served_end(&f);
}

static void a_reader_tells_what_it_cannot_read(void **state)
{
    (void)state;
    struct served f;
    zspool_reader_options_t options;
    const zspool_message_t *message;
    zspool_error_t err = {0};
    served_start(&f);
    zspool_reader_options_init(&options);
    options.topic = "nothing";
    zspool_reader_t *reader = reader_of(&f, &options);
    assert_int_equal(zspool_read(reader, &message, WAIT_MS, &err), ZSPOOL_ENOT_FOUND);
    publish(&f, "nothing", 0, 9); /* and then there is something */
    assert_int_equal(zspool_read(reader, &message, WAIT_MS, NULL), 0);
    zspool_reader_destroy(&reader);
    options.from = (zspool_position_t){ZSPOOL_POSITION_OFFSET, 11, NULL};
    reader = reader_of(&f, &options);
    assert_int_equal(zspool_read(reader, &message, WAIT_MS, &err), ZSPOOL_EOUT_OF_RANGE);
    zspool_reader_destroy(&reader);
    options.partition = 5000;
    assert_null(zspool_reader_new(f.client, &options, &err));
    assert_int_equal(err.code, ZSPOOL_EINVAL);
    served_end(&f);
}

/* --- Messages ------------------------------------------------------------------------------ */

static void a_message_keeps_all_its_parts(void **state)
{
    (void)state;
    struct served f;
    const zspool_header_t headers[] = {
        {{"color", 5}, {"red", 3}, true},
        {{"raw", 3}, {"\0\xff", 2}, false},
    };
    zspool_header_t header;
    zspool_reader_options_t options;
    const zspool_message_t *message;
    served_start(&f);
    zspool_producer_t *producer = zspool_producer_new(f.client, NULL, NULL);
    zspool_out_t out = zspool_out("t", "", 0);
    out.key = (zspool_bytes_t){"", 0};
    out.type = zspool_text("greeting");
    out.id = zspool_text("id-1");
    out.headers = headers;
    out.header_count = 2;
    out.created_at_ms = 123456789;
    assert_int_equal(zspool_send(producer, &out, NULL, NULL), 0);
    assert_int_equal(zspool_flush(producer, WAIT_MS, NULL), 0);
    zspool_reader_options_init(&options);
    options.topic = "t";
    zspool_reader_t *reader = reader_of(&f, &options);
    assert_int_equal(zspool_read(reader, &message, WAIT_MS, NULL), 0);
    assert_int_equal(message->payload.len, 0);
    assert_non_null(message->key.data);
    assert_int_equal(message->key.len, 0);
    assert_memory_equal(message->type.data, "greeting", 8);
    assert_memory_equal(message->id.data, "id-1", 4);
    assert_int_equal(message->created_at_ms, 123456789);
    assert_int_equal(message->header_count, 2);
    assert_int_equal(zspool_message_header(message, 1, &header), 0);
    assert_memory_equal(header.value.data, "\0\xff", 2);
    assert_false(header.is_text);
    assert_int_equal(zspool_message_header(message, 2, &header), ZSPOOL_EINVAL);
    zspool_reader_destroy(&reader);
    zspool_producer_destroy(&producer);
    served_end(&f);
}

static void nothing_is_lost_or_doubled_while_the_broker_is_killed(void **state)
{
    (void)state;
    struct served f;
    zspool_reader_options_t options;
    served_start(&f);
    zspool_producer_t *producer = zspool_producer_new(f.client, NULL, NULL);
    for (int i = 0; i < 6000; i++) {
        served_send_number(producer, i);
        if (i % 2000 == 1999) {
            broker_process_kill(&f.broker);
            broker_process_start(&f.broker, NULL);
        }
    }
    assert_int_equal(zspool_flush(producer, WAIT_MS, NULL), 0);
    zspool_producer_destroy(&producer);
    zspool_reader_options_init(&options);
    options.topic = "t";
    zspool_reader_t *reader = reader_of(&f, &options);
    for (int i = 0; i < 6000; i++) {
        const zspool_message_t *message;
        assert_int_equal(zspool_read(reader, &message, WAIT_MS, NULL), 0);
        assert_int_equal(served_number(message), i);
    }
    zspool_reader_destroy(&reader);
    served_end(&f);
}

static void acks_reach_a_broker_that_was_killed_meanwhile(void **state)
{
    (void)state;
    struct served f;
    zspool_group_info_t *info;
    served_start(&f);
    publish(&f, "t", 0, 99);
    zspool_consumer_t *consumer = served_consumer(f.client, "g");
    for (int i = 0; i < 100; i++) {
        const zspool_message_t *message;
        assert_int_equal(zspool_next(consumer, &message, WAIT_MS, NULL), 0);
        assert_int_equal(zspool_settle(consumer, message, ZSPOOL_ACK, NULL, NULL), 0);
        if (i == 50) {
            broker_process_kill(&f.broker);
            broker_process_start(&f.broker, NULL);
        }
    }
    assert_int_equal(zspool_settle_flush(consumer, WAIT_MS, NULL), 0);
    assert_int_equal(zspool_group_info(f.client, "g", WAIT_MS, &info, NULL), 0);
    assert_int_equal(info->parts[0].committed, 100);
    zspool_free(info);
    zspool_consumer_destroy(&consumer);
    served_end(&f);
}

static void a_released_message_comes_again_uncounted(void **state)
{
    (void)state;
    struct served f;
    const zspool_message_t *message;
    served_start(&f);
    publish(&f, "t", 7, 7);
    zspool_consumer_t *consumer = served_consumer(f.client, "g");
    assert_int_equal(zspool_next(consumer, &message, WAIT_MS, NULL), 0);
    assert_int_equal(zspool_settle(consumer, message, ZSPOOL_RELEASE, NULL, NULL), 0);
    assert_int_equal(zspool_next(consumer, &message, WAIT_MS, NULL), 0);
    assert_int_equal(message->deliveries, 2);
    assert_int_equal(message->failures, 0);
    assert_int_equal(zspool_settle(consumer, message, ZSPOOL_REJECT, NULL, NULL), 0);
    assert_int_equal(zspool_settle_flush(consumer, WAIT_MS, NULL), 0);
    zspool_consumer_destroy(&consumer);
    served_end(&f);
}

static void a_message_is_settled_by_address_from_elsewhere(void **state)
{
    (void)state;
    struct served f;
    const zspool_message_t *message;
    served_start(&f);
    publish(&f, "t", 0, 1);
    zspool_consumer_t *consumer = served_consumer(f.client, "g");
    assert_int_equal(zspool_next(consumer, &message, WAIT_MS, NULL), 0);
    zspool_settle_run_t runs[2];
    memset(runs, 0, sizeof runs);
    for (int i = 0; i < 2; i++) {
        runs[i].topic = "t";
        runs[i].count = 1;
        runs[i].outcome = ZSPOOL_ACK;
        zspool_settle_arg_init(&runs[i].arg);
    }
    runs[0].lease = message->lease;
    runs[1].lease = message->lease;
    runs[1].first_offset = 99;
    assert_int_equal(zspool_settle_at(f.client, "g", runs, 2, WAIT_MS, NULL), 0);
    assert_int_equal(runs[0].ret_settled, ZSPOOL_SETTLED);
    assert_int_equal(runs[1].ret_settled, ZSPOOL_SETTLED_UNKNOWN);
    assert_int_equal(zspool_settle_at(f.client, "g", runs, 1, WAIT_MS, NULL), 0);
    assert_int_equal(runs[0].ret_settled, ZSPOOL_SETTLED_DONE);
    assert_int_equal(zspool_settle_at(f.client, "no", runs, 1, WAIT_MS, NULL), ZSPOOL_ENOT_FOUND);
    runs[0].lease = 0;
    assert_int_equal(zspool_settle_at(f.client, "g", runs, 1, WAIT_MS, NULL), ZSPOOL_EINVAL);
    zspool_consumer_destroy(&consumer);
    served_end(&f);
}

static void runs_that_adjoin_are_each_told_what_became_of_them(void **state)
{
    (void)state;
    struct served f;
    const zspool_message_t *message;
    served_start(&f);
    publish(&f, "t", 0, 3);
    zspool_consumer_t *consumer = served_consumer(f.client, "g");
    assert_int_equal(zspool_next(consumer, &message, WAIT_MS, NULL), 0);
    zspool_settle_run_t runs[3];
    memset(runs, 0, sizeof runs);
    for (int i = 0; i < 3; i++) {
        runs[i].topic = "t";
        runs[i].first_offset = (uint64_t)i;
        runs[i].count = 1;
        runs[i].lease = message->lease + 1; /* never given */
        zspool_settle_arg_init(&runs[i].arg);
    }
    assert_int_equal(zspool_settle_at(f.client, "g", runs, 3, WAIT_MS, NULL), 0);
    for (int i = 0; i < 3; i++) {
        assert_in_range(runs[i].ret_settled, ZSPOOL_SETTLED_LOST, ZSPOOL_SETTLED_UNKNOWN);
    }
    zspool_consumer_destroy(&consumer);
    served_end(&f);
}

/* Goal: runs at the same offset under other leases have answers of their own, in either order. */
static void runs_of_one_message_are_told_apart_by_their_leases(void **state)
{
    (void)state;
    struct served f;
    const zspool_message_t *message;
    served_start(&f);
    publish(&f, "t", 0, 2);
    zspool_consumer_t *consumer = served_consumer(f.client, "g");
    zspool_settle_run_t runs[4];
    memset(runs, 0, sizeof runs);
    for (int i = 0; i < 4; i++) {
        runs[i].topic = "t";
        runs[i].first_offset = (uint64_t)(i / 2);
        runs[i].count = 1;
        zspool_settle_arg_init(&runs[i].arg);
    }
    assert_int_equal(zspool_next(consumer, &message, WAIT_MS, NULL), 0);
    for (int i = 0; i < 4; i++) {
        runs[i].lease = i == 1 || i == 2 ? message->lease : message->lease + 1; /* never given */
    }
    assert_int_equal(zspool_settle_at(f.client, "g", runs, 4, WAIT_MS, NULL), 0);
    assert_int_equal(runs[0].ret_settled, ZSPOOL_SETTLED_LOST);
    assert_int_equal(runs[1].ret_settled, ZSPOOL_SETTLED);
    assert_int_equal(runs[2].ret_settled, ZSPOOL_SETTLED);
    assert_int_equal(runs[3].ret_settled, ZSPOOL_SETTLED_DONE);
    zspool_consumer_destroy(&consumer);
    served_end(&f);
}

/* --- Administration --------------------------------------------------------------------------- */

static void topics_are_made_shown_changed_and_removed(void **state)
{
    (void)state;
    struct served f;
    const zspool_figure_t setting = {.name = "retention_bytes", .value = 1000000};
    zspool_topic_spec_t spec;
    zspool_topic_info_t *info;
    zspool_names_t *names;
    served_start(&f);
    served_topic(f.client, "b", 2);
    served_topic(f.client, "a", 1);
    zspool_topic_spec_init(&spec, "b");
    assert_int_equal(zspool_topic_create(f.client, &spec, WAIT_MS, NULL), ZSPOOL_EEXISTS);
    spec.settings = &setting;
    spec.setting_count = 1;
    assert_int_equal(zspool_topic_set(f.client, &spec, WAIT_MS, NULL), 0);
    assert_int_equal(zspool_topic_info(f.client, "b", WAIT_MS, &info, NULL), 0);
    assert_string_equal(info->topic, "b");
    assert_int_equal(info->partition_count, 2);
    assert_string_equal(info->settings[0].name, "retention_bytes");
    assert_int_equal(info->settings[0].value, 1000000);
    zspool_free(info);
    assert_int_equal(zspool_topic_list(f.client, NULL, WAIT_MS, &names, NULL), 0);
    assert_int_equal(names->count, 2);
    assert_string_equal(names->items[0], "a");
    zspool_free(names);
    assert_int_equal(zspool_topic_delete(f.client, "b", true, WAIT_MS, NULL), 0);
    assert_int_equal(zspool_topic_delete(f.client, "b", false, WAIT_MS, NULL), 0);
    assert_int_equal(zspool_topic_info(f.client, "b", WAIT_MS, &info, NULL), ZSPOOL_ENOT_FOUND);
    assert_int_equal(zspool_topic_delete(f.client, "b", false, WAIT_MS, NULL), ZSPOOL_ENOT_FOUND);
    spec.topic = "no/name";
    assert_int_equal(zspool_topic_create(f.client, &spec, WAIT_MS, NULL), ZSPOOL_EBAD_NAME);
    served_end(&f);
}

static void a_long_list_comes_in_pages_but_whole(void **state)
{
    (void)state;
    struct served f;
    zspool_names_t *names;
    zspool_group_spec_t spec;
    char name[32];
    served_start(&f);
    for (int i = 0; i < 1010; i++) {
        (void)snprintf(name, sizeof name, "group-%04d", i);
        zspool_group_spec_init(&spec, name);
        assert_int_equal(zspool_group_create(f.client, &spec, WAIT_MS, NULL), 0);
    }
    assert_int_equal(zspool_group_list(f.client, "group-*", WAIT_MS, &names, NULL), 0);
    assert_int_equal(names->count, 1010);
    assert_string_equal(names->items[1009], "group-1009");
    zspool_free(names);
    served_end(&f);
}

static void groups_are_made_shown_changed_moved_and_removed(void **state)
{
    (void)state;
    struct served f;
    static const char *const topics[] = {"t"};
    const zspool_figure_t setting = {.name = "lease_ms", .value = 5000};
    zspool_group_spec_t spec;
    zspool_group_info_t *info;
    zspool_seek_spec_t seek;
    zspool_seek_result_t *result;
    served_start(&f);
    publish(&f, "t", 0, 9);
    zspool_group_spec_init(&spec, "g");
    spec.topics = topics;
    spec.topic_count = 1;
    spec.start.kind = ZSPOOL_POSITION_LATEST;
    assert_int_equal(zspool_group_create(f.client, &spec, WAIT_MS, NULL), 0);
    spec.settings = &setting;
    spec.setting_count = 1;
    assert_int_equal(zspool_group_set(f.client, &spec, WAIT_MS, NULL), 0);
    assert_int_equal(zspool_group_info(f.client, "g", WAIT_MS, &info, NULL), 0);
    assert_string_equal(info->mode, "shared");
    assert_int_equal(info->start.kind, ZSPOOL_POSITION_LATEST);
    assert_int_equal(info->parts[0].committed, 10);
    zspool_free(info);
    zspool_seek_spec_init(&seek, "g", "t");
    seek.to = (zspool_position_t){ZSPOOL_POSITION_OFFSET, 4, NULL};
    seek.dry_run = true;
    assert_int_equal(zspool_group_seek(f.client, &seek, WAIT_MS, &result, NULL), 0);
    assert_int_equal(result->parts[0].redelivered, 6);
    zspool_free(result);
    seek.dry_run = false;
    assert_int_equal(zspool_group_seek(f.client, &seek, WAIT_MS, &result, NULL), 0);
    assert_int_equal(result->parts[0].to, 4);
    zspool_free(result);
    seek.to.value = 11;
    assert_int_equal(zspool_group_seek(f.client, &seek, WAIT_MS, &result, NULL),
                     ZSPOOL_EOUT_OF_RANGE);
    seek.to.kind = ZSPOOL_POSITION_NONE;
    assert_int_equal(zspool_group_seek(f.client, &seek, WAIT_MS, &result, NULL), ZSPOOL_EINVAL);
    assert_int_equal(zspool_group_delete(f.client, "g", false, WAIT_MS, NULL), 0);
    assert_int_equal(zspool_group_info(f.client, "g", WAIT_MS, &info, NULL), ZSPOOL_ENOT_FOUND);
    served_end(&f);
}

static void a_group_is_paused_and_resumed(void **state)
{
    (void)state;
    struct served f;
    static const char *const topics[] = {"t"};
    zspool_group_spec_t spec;
    zspool_group_info_t *info;
    served_start(&f);
    publish(&f, "t", 0, 3);
    zspool_group_spec_init(&spec, "g");
    spec.topics = topics;
    spec.topic_count = 1;
    assert_int_equal(zspool_group_create(f.client, &spec, WAIT_MS, NULL), 0);
    assert_int_equal(zspool_group_pause(f.client, "g", WAIT_MS, NULL), 0);
    assert_int_equal(zspool_group_info(f.client, "g", WAIT_MS, &info, NULL), 0);
    assert_true(info->paused);
    zspool_free(info);
    assert_int_equal(zspool_group_resume(f.client, "g", WAIT_MS, NULL), 0);
    assert_int_equal(zspool_group_info(f.client, "g", WAIT_MS, &info, NULL), 0);
    assert_false(info->paused);
    zspool_free(info);
    assert_int_equal(zspool_group_pause(f.client, "nobody", WAIT_MS, NULL), ZSPOOL_ENOT_FOUND);
    served_end(&f);
}

static void a_topic_is_purged(void **state)
{
    (void)state;
    struct served f;
    static const char *const topics[] = {"t"};
    zspool_group_spec_t group;
    zspool_purge_spec_t spec;
    zspool_purge_result_t *result;
    zspool_group_info_t *info;
    served_start(&f);
    publish(&f, "t", 0, 9);
    zspool_group_spec_init(&group, "g");
    group.topics = topics;
    group.topic_count = 1;
    assert_int_equal(zspool_group_create(f.client, &group, WAIT_MS, NULL), 0);
    zspool_purge_spec_init(&spec, "t");
    assert_int_equal(zspool_topic_purge(f.client, &spec, WAIT_MS, &result, NULL), ZSPOOL_EINVAL);
    spec.before = (zspool_position_t){ZSPOOL_POSITION_OFFSET, 4, NULL};
    for (int i = 0; i < 2; i++) {
        spec.dry_run = i == 0;
        assert_int_equal(zspool_topic_purge(f.client, &spec, WAIT_MS, &result, NULL), 0);
        assert_int_equal(result->messages, 4);
        assert_int_equal(result->group_count, 1);
        assert_string_equal(result->groups[0].group, "g");
        assert_int_equal(result->groups[0].lost, 4);
        zspool_free(result);
    }
    assert_int_equal(zspool_group_info(f.client, "g", WAIT_MS, &info, NULL), 0);
    assert_int_equal(info->parts[0].committed, 4);
    assert_int_equal(info->parts[0].lost, 4);
    zspool_free(info);
    served_end(&f);
}

static void a_group_is_saved_moved_and_restored(void **state)
{
    (void)state;
    struct served f;
    static const char *const topics[] = {"t"};
    zspool_group_spec_t spec;
    zspool_seek_spec_t seek;
    zspool_seek_result_t *moved;
    zspool_savepoint_list_t *list;
    zspool_restore_result_t *result;
    served_start(&f);
    publish(&f, "t", 0, 9);
    zspool_group_spec_init(&spec, "g");
    spec.topics = topics;
    spec.topic_count = 1;
    assert_int_equal(zspool_group_create(f.client, &spec, WAIT_MS, NULL), 0);
    assert_int_equal(zspool_savepoint_save(f.client, "g", "s", false, WAIT_MS, NULL), 0);
    assert_int_equal(zspool_savepoint_save(f.client, "g", "s", false, WAIT_MS, NULL),
                     ZSPOOL_EEXISTS);
    assert_int_equal(zspool_savepoint_save(f.client, "g", "s", true, WAIT_MS, NULL), 0);
    zspool_seek_spec_init(&seek, "g", "t");
    seek.to.kind = ZSPOOL_POSITION_LATEST;
    assert_int_equal(zspool_group_seek(f.client, &seek, WAIT_MS, &moved, NULL), 0);
    assert_true(moved->undo);
    zspool_free(moved);
    assert_int_equal(zspool_savepoint_list(f.client, "g", WAIT_MS, &list, NULL), 0);
    assert_int_equal(list->count, 1);
    assert_string_equal(list->items[0].name, "s");
    assert_true(list->undo_ms > 0);
    zspool_free(list);
    assert_int_equal(zspool_savepoint_undo(f.client, "g", true, WAIT_MS, &result, NULL), 0);
    assert_int_equal(result->redelivered, 10);
    zspool_free(result);
    assert_int_equal(zspool_savepoint_restore(f.client, "g", "s", false, WAIT_MS, &result, NULL),
                     0);
    assert_string_equal(result->parts[0].topic, "t");
    assert_int_equal(result->parts[0].to, 0);
    assert_int_equal(result->gone + result->missing_count, 0);
    zspool_free(result);
    assert_int_equal(zspool_savepoint_drop(f.client, "g", "s", false, WAIT_MS, NULL), 0);
    assert_int_equal(zspool_savepoint_drop(f.client, "g", "s", false, WAIT_MS, NULL),
                     ZSPOOL_ENOT_FOUND);
    served_end(&f);
}

static void what_is_not_there_is_refused(void **state)
{
    (void)state;
    struct served f;
    zspool_request_spec_t request;
    zspool_reply_t *reply;
    served_start(&f);
    zspool_request_spec_init(&request, "DEAD.WAKE");
    assert_int_equal(zspool_request(f.client, &request, WAIT_MS, &reply, NULL),
                     ZSPOOL_EUNKNOWN_VERB);
    served_end(&f);
}

static void producers_and_figures_can_be_looked_at(void **state)
{
    (void)state;
    struct served f;
    zspool_producer_options_t options;
    zspool_producer_info_t *info;
    served_start(&f);
    zspool_producer_options_init(&options);
    options.name = "importer";
    zspool_producer_t *producer = zspool_producer_new(f.client, &options, NULL);
    for (int i = 0; i < 3; i++) {
        const zspool_out_t out = zspool_out("t", "x", 1);
        assert_int_equal(zspool_send(producer, &out, NULL, NULL), 0);
    }
    assert_int_equal(zspool_flush(producer, WAIT_MS, NULL), 0);
    assert_int_equal(zspool_producer_info(f.client, "importer", WAIT_MS, &info, NULL), 0);
    assert_string_equal(info->producer, "importer");
    assert_int_equal(info->epoch, 1);
    assert_int_equal(info->last[0].sequence, 3);
    zspool_free(info);
    assert_int_equal(zspool_producer_info(f.client, "other", WAIT_MS, &info, NULL),
                     ZSPOOL_ENOT_FOUND);
    assert_int_equal(served_figure(f.client, "published_messages"), 3);
    zspool_producer_destroy(&producer);
    served_end(&f);
}

/* The same name opened again goes on behind its last sequence, and fences the first. */
static void a_named_producer_goes_on_and_fences_the_older(void **state)
{
    (void)state;
    struct served f;
    zspool_producer_options_t options;
    uint64_t ticket;
    served_start(&f);
    zspool_producer_options_init(&options);
    options.name = "importer";
    const zspool_out_t out = zspool_out("t", "x", 1);
    zspool_producer_t *first = zspool_producer_new(f.client, &options, NULL);
    zspool_producer_t *second = zspool_producer_new(f.client, &options, NULL);
    zspool_report_t report;
    assert_int_equal(zspool_send(first, &out, &ticket, NULL), 0);
    assert_int_equal(zspool_wait(first, ticket, WAIT_MS, NULL, NULL), 0);
    assert_int_equal(zspool_send(second, &out, &ticket, NULL), 0);
    assert_int_equal(zspool_wait(second, ticket, WAIT_MS, &report, NULL), 0);
    assert_int_equal(report.first_offset, 1);
    assert_false(report.duplicate);
    assert_int_equal(zspool_send(first, &out, &ticket, NULL), 0);
    assert_int_equal(zspool_wait(first, ticket, WAIT_MS, NULL, NULL), ZSPOOL_EFENCED_PRODUCER);
    zspool_producer_destroy(&first);
    zspool_producer_destroy(&second);
    served_end(&f);
}

/* A stopped broker answers nothing; the client does not hang when it goes. */
static void a_stopped_broker_does_not_hold_a_client(void **state)
{
    (void)state;
    struct served f;
    served_start(&f);
    publish(&f, "t", 0, 9);
    zspool_consumer_t *consumer = served_consumer(f.client, "g");
    assert_int_equal(zspool_ping(f.client, WAIT_MS, NULL, NULL), 0);
    broker_process_signal(&f.broker, SIGSTOP);
    assert_int_equal(zspool_ping(f.client, 50, NULL, NULL), ZSPOOL_ETIMEOUT);
    zspool_consumer_destroy(&consumer);
    zspool_destroy(&f.client);
    broker_process_signal(&f.broker, SIGCONT);
    served_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_is_replayed_whole_and_in_order_of_time),
        cmocka_unit_test(positions_say_where_a_replay_begins_and_ends),
        cmocka_unit_test(a_following_reader_sees_what_comes_later),
        cmocka_unit_test(a_reader_tells_what_it_cannot_read),
        cmocka_unit_test(a_message_keeps_all_its_parts),
        cmocka_unit_test(nothing_is_lost_or_doubled_while_the_broker_is_killed),
        cmocka_unit_test(acks_reach_a_broker_that_was_killed_meanwhile),
        cmocka_unit_test(a_released_message_comes_again_uncounted),
        cmocka_unit_test(a_message_is_settled_by_address_from_elsewhere),
        cmocka_unit_test(runs_that_adjoin_are_each_told_what_became_of_them),
        cmocka_unit_test(runs_of_one_message_are_told_apart_by_their_leases),
        cmocka_unit_test(topics_are_made_shown_changed_and_removed),
        cmocka_unit_test(a_long_list_comes_in_pages_but_whole),
        cmocka_unit_test(groups_are_made_shown_changed_moved_and_removed),
        cmocka_unit_test(a_group_is_paused_and_resumed),
        cmocka_unit_test(a_topic_is_purged),
        cmocka_unit_test(a_group_is_saved_moved_and_restored),
        cmocka_unit_test(what_is_not_there_is_refused),
        cmocka_unit_test(producers_and_figures_can_be_looked_at),
        cmocka_unit_test(a_named_producer_goes_on_and_fences_the_older),
        cmocka_unit_test(a_stopped_broker_does_not_hold_a_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
