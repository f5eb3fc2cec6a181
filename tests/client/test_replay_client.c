/* SPDX-License-Identifier: MPL-2.0
 *
 * Side replays as a program sees them: it makes one, works it off, and is told the end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <zspool.h>

#include "tests/support/served.h"

#define WAIT_MS 30000 /* for what takes milliseconds */

struct fixture {
    struct served served;
    zspool_client_t *client;
};

/* Ten messages in topic t, all done by group g. */
static int set_up(void **state)
{
    struct fixture *const f = calloc(1, sizeof *f);
    assert_non_null(f);
    served_start(&f->served);
    f->client = f->served.client;
    served_topic(f->client, "t", 1);
    zspool_producer_t *producer = zspool_producer_new(f->client, NULL, NULL);
    for (int i = 0; i < 10; i++) {
        const zspool_out_t out = zspool_out("t", "m", 1);
        assert_int_equal(zspool_send(producer, &out, NULL, NULL), 0);
    }
    assert_int_equal(zspool_flush(producer, WAIT_MS, NULL), 0);
    zspool_producer_destroy(&producer);
    zspool_group_spec_t spec;
    const char *const topics[] = {"t"};
    zspool_group_spec_init(&spec, "g");
    spec.topics = topics;
    spec.topic_count = 1;
    assert_int_equal(zspool_group_create(f->client, &spec, WAIT_MS, NULL), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *const f = *state;
    served_end(&f->served);
    free(f);
    return 0;
}

static zspool_replay_spec_t range(uint64_t from, uint64_t to)
{
    zspool_replay_spec_t spec;
    zspool_replay_spec_init(&spec, "g");
    spec.from = (zspool_position_t){.kind = ZSPOOL_POSITION_OFFSET, .value = from};
    spec.to = (zspool_position_t){.kind = ZSPOOL_POSITION_OFFSET, .value = to};
    return spec;
}

static zspool_consumer_t *consumer_of(struct fixture *f, const char *group)
{
    const char *const topics[] = {"t"};
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.group = group;
    options.topics = topics;
    options.topic_count = 1;
    return zspool_consumer_new(f->client, &options, NULL);
}

/* Goal: who works a replay off is told its end, and who comes later; neither asked to end when
 * nothing is ready. */
static void members_are_told_the_end(void **state)
{
    struct fixture *f = *state;
    const zspool_replay_spec_t spec = range(2, 7);
    zspool_replay_result_t *made;
    assert_int_equal(zspool_group_replay(f->client, &spec, WAIT_MS, &made, NULL), 0);
    assert_int_equal(made->message_count, 5);
    assert_int_equal(made->count, 1);
    assert_int_equal(made->parts[0].to, 7);
    zspool_consumer_t *one = consumer_of(f, made->group);
    const zspool_message_t *message;
    uint64_t sum = 0;
    int rc;
    while ((rc = zspool_next(one, &message, WAIT_MS, NULL)) == 0) {
        sum += message->offset;
        assert_int_equal(zspool_settle(one, message, ZSPOOL_ACK, NULL, NULL), 0);
        if (sum == 2 + 3 + 4 + 5 + 6) {
            assert_int_equal(zspool_settle_flush(one, WAIT_MS, NULL), 0);
        } else {
            assert_false(zspool_consumer_finished(one));
        }
    }
    assert_int_equal(rc, ZSPOOL_END);
    assert_int_equal(sum, 2 + 3 + 4 + 5 + 6);
    assert_true(zspool_consumer_finished(one));
    zspool_consumer_t *other = consumer_of(f, made->group);
    assert_int_equal(zspool_next(other, &message, WAIT_MS, NULL), ZSPOOL_END);
    assert_true(zspool_consumer_finished(other));
    zspool_consumer_destroy(&one);
    zspool_consumer_destroy(&other);
    zspool_group_info_t *info;
    assert_int_equal(zspool_group_info(f->client, made->group, WAIT_MS, &info, NULL), 0);
    assert_string_equal(info->replay_of, "g");
    assert_true(info->replay_finished);
    assert_in_range(info->replay_expires_in_ms, 1, 86400000);
    zspool_free(info);
    zspool_free(made);
}

static void a_dry_run_tells_the_range(void **state)
{
    struct fixture *f = *state;
    zspool_replay_spec_t spec = range(2, 7);
    zspool_replay_result_t *made;
    spec.dry_run = true;
    spec.partition = 0;
    spec.topic = "t";
    assert_int_equal(zspool_group_replay(f->client, &spec, WAIT_MS, &made, NULL), 0);
    assert_null(made->group);
    assert_int_equal(made->message_count, 5);
    zspool_free(made);
}

static void settings_savepoints_and_a_name_are_told(void **state)
{
    struct fixture *f = *state;
    const zspool_figure_t settings[] = {{.name = "lease_ms", .value = 7000}};
    zspool_replay_spec_t spec;
    zspool_replay_result_t *made;
    zspool_group_info_t *info;
    assert_int_equal(zspool_savepoint_save(f->client, "g", "s", false, WAIT_MS, NULL), 0);
    zspool_replay_spec_init(&spec, "g");
    spec.from_savepoint = "s";
    spec.name = "again";
    spec.settings = settings;
    spec.setting_count = 1;
    spec.expires_ms = 3600000;
    assert_int_equal(zspool_group_replay(f->client, &spec, WAIT_MS, &made, NULL), 0);
    assert_string_equal(made->group, "again");
    assert_int_equal(made->message_count, 10);
    zspool_free(made);
    assert_int_equal(zspool_group_replay(f->client, &spec, WAIT_MS, &made, NULL), ZSPOOL_EEXISTS);
    assert_int_equal(zspool_group_info(f->client, "again", WAIT_MS, &info, NULL), 0);
    assert_in_range(info->replay_expires_in_ms, 1, 3600000);
    zspool_free(info);
}

static void wrong_uses_are_told(void **state)
{
    struct fixture *f = *state;
    zspool_replay_result_t *made;
    zspool_replay_spec_t wrong[6];
    for (size_t i = 0; i < 6; i++) {
        wrong[i] = range(2, 7);
    }
    wrong[0].group = "no/name";
    wrong[1].from.kind = ZSPOOL_POSITION_NONE;
    wrong[2].from_savepoint = "s";
    wrong[3].to_savepoint = "s";
    wrong[4].partition = -2;
    wrong[5].expires_ms = -1;
    for (size_t i = 0; i < 6; i++) {
        assert_true(zspool_group_replay(f->client, &wrong[i], WAIT_MS, &made, NULL) < 0);
    }
    assert_int_equal(zspool_group_replay(f->client, NULL, WAIT_MS, &made, NULL), ZSPOOL_EINVAL);
    assert_int_equal(zspool_group_replay(f->client, &wrong[0], WAIT_MS, NULL, NULL), ZSPOOL_EINVAL);
    assert_false(zspool_consumer_finished(NULL));
    zspool_replay_spec_t back = range(7, 2);
    assert_int_equal(zspool_group_replay(f->client, &back, WAIT_MS, &made, NULL),
                     ZSPOOL_EBAD_VALUE);
    back = range(3, 11);
    assert_int_equal(zspool_group_replay(f->client, &back, WAIT_MS, &made, NULL),
                     ZSPOOL_EOUT_OF_RANGE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(members_are_told_the_end),
        TEST(a_dry_run_tells_the_range),
        TEST(settings_savepoints_and_a_name_are_told),
        TEST(wrong_uses_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
