/* SPDX-License-Identifier: MPL-2.0
 *
 * Segments of several partitions are written anew at once: in turns, by no more jobs than of one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/broker/store/rewrite/rewriting_world.h"

static struct rewriting_world world;
static void (*rewriting_fn)(struct job *job, struct fs *fs);

static int set_up(void **state)
{
    memset(&world, 0, sizeof world);
    rewriting_world_set_up(&world, 1);
    rewriting_fn = NULL;
    *state = world.store;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rewriting_world_tear_down(&world);
    return 0;
}

/* So many messages of few keys, one a batch. */
static void publish(uint32_t partition, int count)
{
    for (int i = 0; i < count; i++) {
        struct zsp_writer raw = {0};
        char id[32];
        (void)snprintf(id, sizeof id, "%" PRIu64, world.serial++);
        const struct zsp_record record = {.payload = zsp_slice_str("some words to fill a segment"),
                                          .key = zsp_slice_str(i % 2 == 0 ? "even" : "odd"),
                                          .id = zsp_slice_str(id)};
        zsp_record_write(&raw, &record);
        rewriting_world_append(&world, partition, zsp_writer_slice(&raw), 1, UINT64_MAX);
        zsp_writer_fini(&raw);
    }
}

static void keep_islands(struct log_case *c, uint32_t partition)
{
    const struct store_range kept[] = {{3, 4}, {30, 31}};
    struct store_retain what = {.max_bytes = 4000,
                                .keeps = true,
                                .kept = kept,
                                .kept_count = 2,
                                .imaged_before = UINT64_MAX};
    what.keep_to = c->store->ops->retain_reach(c->store, c->parts[partition], &what);
    assert_int_equal(c->store->ops->retain(c->store, c->parts[partition], &what, NULL), 0);
}

static void compact(struct log_case *c, uint32_t partition)
{
    const struct store_compact what = {.before_offset = UINT64_MAX, .now_ms = 1};
    assert_int_equal(c->store->ops->compact(c->store, c->parts[partition], &what, NULL), 0);
}

#define TASKS_MAX 64

/* Run all that is wanted now, tasks last: of those that do the same as the first one, which is about
 * rewriting, one is out at a time. */
static void run_in_turns(struct log_case *c)
{
    struct job *tasks[TASKS_MAX];
    size_t count = 0;
    unsigned alike = 0;
    struct job *job;
    c->store->ops->flush(c->store, c->now);
    while ((job = log_store_next_job(c->log))) {
        if (job->kind != JOB_TASK) {
            job_run(job, c->options.fs);
            log_store_job_done(c->log, job);
            continue;
        }
        assert_true(count < TASKS_MAX);
        tasks[count++] = job;
        rewriting_fn = rewriting_fn ? rewriting_fn : job->task_fn;
        alike += job->task_fn == rewriting_fn ? 1 : 0;
    }
    for (size_t i = 0; i < count; i++) {
        job_run(tasks[i], c->options.fs);
        log_store_job_done(c->log, tasks[i]);
    }
    assert_in_range(alike, 0, 1);
    log_case_hear(c);
}

static bool is_busy(struct log_case *c, uint32_t partition)
{
    const struct store_part_info info = log_case_info(c, partition);
    return info.is_compacting || info.is_island_busy;
}

/* Partition 0 has much to be done, and began first. */
static void assert_the_small_one_is_over_first(struct log_case *c)
{
    unsigned turns = 0;
    assert_true(is_busy(c, 0) && is_busy(c, 1));
    while (is_busy(c, 1)) {
        run_in_turns(c);
        c->now.mono_ms += 50;
        turns++;
    }
    assert_true(is_busy(c, 0));
    assert_in_range(turns, 4, 40);
    rewriting_world_wait(&world, 0);
    log_case_settle(c);
    assert_int_equal(c->failed, false);
}

static void islands_of_a_small_partition_do_not_wait_for_those_of_a_large_one(void **state)
{
    struct log_case *c = *state;
    publish(0, 2500);
    publish(1, 60);
    log_case_settle(c);
    keep_islands(c, 0);
    keep_islands(c, 1);
    assert_the_small_one_is_over_first(c);
    assert_int_equal(log_case_info(c, 0).island_offset, 3);
    assert_int_equal(log_case_info(c, 1).island_offset, 3);
    log_case_reopen(c);
    assert_int_equal(log_case_read(c, 0, 30), 0);
    assert_int_equal(log_case_read(c, 1, 30), 0);
}

static void a_small_compaction_does_not_wait_for_a_large_one(void **state)
{
    struct log_case *c = *state;
    publish(0, 2500);
    publish(1, 60);
    log_case_settle(c);
    compact(c, 0);
    compact(c, 1);
    assert_the_small_one_is_over_first(c);
    assert_int_equal(log_case_info(c, 0).compacted.runs, 1);
    assert_int_equal(log_case_info(c, 1).compacted.runs, 1);
}

/* Goal: a topic that goes while others take turns takes its own along. */
static void a_dropped_topic_leaves_the_turns(void **state)
{
    struct log_case *c = *state;
    publish(0, 300);
    publish(1, 300);
    log_case_settle(c);
    keep_islands(c, 0);
    keep_islands(c, 1);
    c->now.mono_ms += 50;
    run_in_turns(c);
    const struct store_topic topic = {CASE_TOPIC, zsp_slice_str("orders"), CASE_PARTS};
    assert_int_equal(c->store->ops->topic_drop(c->store, &topic, c->parts, 9, NULL), 0);
    log_case_settle(c);
    assert_true(c->dropped);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(islands_of_a_small_partition_do_not_wait_for_those_of_a_large_one),
        TEST(a_small_compaction_does_not_wait_for_a_large_one),
        TEST(a_dropped_topic_leaves_the_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
