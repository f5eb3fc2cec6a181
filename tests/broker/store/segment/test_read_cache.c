/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "broker/store/segment/read_cache.h"
#include "tests/broker/store/log_case.h"
#include "tests/support/fault_fs.h"

/* --- By itself -------------------------------------------------------------------------------- */

#define BATCHES 4u

/* Keep four batches of three records and 100 bytes each from `first` on, in a buffer of `bytes`. */
static void add(struct read_cache *cache, struct read_cache_part *part, uint64_t first,
                size_t bytes)
{
    struct zsp_buf *buf = zsp_buf_new(bytes);
    assert_non_null(buf);
    memset(zsp_buf_bytes(buf), 'x', bytes);
    struct store_batch batches[BATCHES];
    for (uint32_t i = 0; i < BATCHES; i++) {
        batches[i] = (struct store_batch){.frame = buf,
                                          .body = {buf->data + i * (size_t)100, 100},
                                          .first_offset = first + i * UINT64_C(3),
                                          .record_count = 3};
    }
    read_cache_add(cache, part, batches, BATCHES);
    zsp_buf_put(&buf);
}

static size_t find(struct read_cache *cache, const struct read_cache_part *part, uint64_t from,
                   uint64_t to, uint32_t max_bytes)
{
    const struct store_batch *batches = NULL;
    const struct store_range range = {from, to};
    const size_t count = read_cache_find(cache, part, &range, max_bytes, &batches);
    if (count > 0) {
        assert_true(batches[0].first_offset <= from && from - batches[0].first_offset < 3);
    }
    return count;
}

static void it_gives_what_it_has_from_the_batch_of_the_offset_on(void **state)
{
    (void)state;
    struct read_cache cache = {.bytes_max = 100000};
    struct read_cache_part part = {0};
    struct read_cache_part other = {0};
    for (uint64_t i = 11; i > 0; i--) { /* in no order that would help */
        add(&cache, &part, 10 + (i - 1) * 12, 400);
    }
    assert_int_equal(find(&cache, &part, 9, 200, 1000), 0);
    assert_int_equal(find(&cache, &part, 10, 200, 1000), 4); /* to the end of what was one read */
    assert_int_equal(find(&cache, &part, 14, 200, 1000), 3);
    assert_int_equal(find(&cache, &part, 14, 17, 1000), 2);
    assert_int_equal(find(&cache, &part, 14, 200, 250), 2);
    assert_int_equal(find(&cache, &part, 14, 200, 1), 1);
    assert_int_equal(find(&cache, &part, 141, 200, 1000), 1);
    assert_int_equal(find(&cache, &part, 142, 200, 1000), 0);
    assert_int_equal(find(&cache, &other, 10, 200, 1000), 0);
    read_cache_drop(&cache, &part);
    assert_int_equal(find(&cache, &part, 10, 200, 1000), 0);
    assert_int_equal(cache.bytes, 0);
    assert_null(cache.oldest);
}

static void what_nobody_asked_for_longest_goes_first(void **state)
{
    (void)state;
    struct read_cache cache = {.bytes_max = 12000};
    struct read_cache_part a = {0};
    struct read_cache_part b = {0};
    add(&cache, &a, 0, 3000);
    add(&cache, &b, 0, 3000);
    add(&cache, &a, 100, 3000);
    assert_int_equal(find(&cache, &a, 0, 200, 1000), 4);
    add(&cache, &b, 100, 3000);
    assert_true(cache.bytes <= 12000);
    assert_int_equal(find(&cache, &b, 0, 200, 1000), 0);
    assert_int_equal(find(&cache, &a, 0, 200, 1000), 4);
    assert_int_equal(find(&cache, &a, 100, 200, 1000), 4);
    assert_int_equal(find(&cache, &b, 100, 200, 1000), 4);
    add(&cache, &b, 200, 20000); /* larger than all room */
    assert_int_equal(find(&cache, &b, 200, 300, 1000), 0);
    assert_int_equal(find(&cache, &a, 0, 200, 1000), 4);
    read_cache_drop(&cache, &a);
    read_cache_drop(&cache, &b);
    assert_int_equal(cache.bytes, 0);
}

static void what_is_there_is_not_kept_twice(void **state)
{
    (void)state;
    struct read_cache cache = {.bytes_max = 12000};
    struct read_cache_part part = {0};
    add(&cache, &part, 0, 400);
    const uint64_t bytes = cache.bytes;
    add(&cache, &part, 0, 400);
    assert_int_equal(cache.bytes, bytes);
    assert_int_equal(part.count, 1);
    add(&cache, &part, 6, 400); /* half of it */
    assert_int_equal(part.count, 2);
    assert_int_equal(find(&cache, &part, 5, 100, 1000), 3);
    assert_int_equal(find(&cache, &part, 6, 100, 1000), 4);
    read_cache_drop(&cache, &part);
}

/* --- In a store ------------------------------------------------------------------------------- */

/* Batches on the disk, and none in memory. */
static void fill(struct log_case *c)
{
    log_case_fill(c, 0, "text ", 10);
    log_case_settle(c);
    log_case_reopen(c);
}

static struct store_stats stats_of(struct log_case *c)
{
    struct store_stats stats = {0};
    c->store->ops->stats(c->store, &stats);
    return stats;
}

static void two_reads_one_after_the_other_read_the_file_once(void **state)
{
    struct log_case *c = *state;
    fill(c);
    assert_int_equal(log_case_read(c, 0, 0), 0);
    assert_int_equal(c->read.batch_count, 10);
    assert_int_equal(stats_of(c).cold_reads, 1);
    assert_true(stats_of(c).read_cache_bytes > 0);
    assert_int_equal(log_case_read(c, 0, 3), 0);
    assert_int_equal(c->read.batch_count, 7);
    assert_int_equal(c->read.covered.first_offset, 3);
    assert_int_equal(c->read.covered.end_offset, 10);
    log_case_assert_body(c, 0, "text 3");
    assert_int_equal(stats_of(c).cold_reads, 1);
    assert_int_equal(stats_of(c).shared_reads, 1);
    assert_int_equal(log_case_read(c, 1, 0), 0); /* another partition: nothing there */
    assert_int_equal(c->read.batch_count, 0);
}

static void read_at_once(struct log_case *c, uint64_t from, uint64_t tag)
{
    const struct store_read read = {.part = c->parts[0],
                                    .from_offset = from,
                                    .to_offset = UINT64_MAX,
                                    .max_bytes = 100000,
                                    .tag = tag};
    assert_int_equal(c->store->ops->read(c->store, &read, NULL), 0);
}

static void reads_at_the_same_time_wait_for_one_job(void **state)
{
    struct log_case *c = *state;
    fill(c);
    store_completion_release(&c->read);
    for (uint64_t tag = 1; tag <= 20; tag++) {
        read_at_once(c, (tag - 1) % 10, tag);
    }
    log_case_settle(c);
    assert_int_equal(c->read.tag, 20);
    assert_int_equal(c->read.error.code, 0);
    log_case_assert_body(c, 0, "text 9");
    assert_int_equal(stats_of(c).cold_reads, 1);
    assert_int_equal(stats_of(c).shared_reads, 19);
}

/* The job for which another read waits fails: that one reads by itself. */
static void who_waited_for_a_job_that_failed_reads_by_itself(void **state)
{
    struct log_case *c = *state;
    fill(c);
    log_case_close(c);
    struct fs *faulty = fault_fs_new(c->fs);
    c->options.fs = faulty;
    assert_int_equal(log_case_open(c), 0);
    assert_int_equal(log_case_read(c, 0, 9), 0); /* its index is ready from here on */
    fault_fs_set(
        faulty,
        &(struct fault){.kind = FAULT_ERROR, .call = FS_CALL_READ, .repeat = 1, .code = ZSP_EIO});
    store_completion_release(&c->read);
    read_at_once(c, 0, 1);
    read_at_once(c, 0, 2);
    log_case_settle(c);
    assert_int_equal(fault_fs_hits(faulty), 1);
    assert_int_equal(c->read.tag, 2);
    assert_int_equal(c->read.error.code, 0);
    assert_int_equal(c->read.batch_count, 10);
    assert_int_equal(stats_of(c).cold_reads, 1 + 2);
    assert_int_equal(stats_of(c).shared_reads, 0);
    log_case_close(c);
    c->options.fs = c->fs;
    fault_fs_destroy(&faulty);
}

/* What retention has taken is gone, whatever is in memory. */
static void what_lies_before_the_start_is_not_read_from_memory(void **state)
{
    struct log_case *c = *state;
    c->options.segment_bytes = 4096;
    log_case_reopen(c);
    log_case_fill(c, 0, "a text that takes some room ", 200);
    log_case_settle(c);
    log_case_reopen(c);
    assert_int_equal(log_case_read(c, 0, 0), 0);
    assert_int_equal(log_case_read(c, 0, 0), 0);
    assert_int_equal(stats_of(c).shared_reads, 1);
    const struct store_retain retain = {.max_bytes = 1, .imaged_before = UINT64_MAX};
    assert_int_equal(c->store->ops->retain(c->store, c->parts[0], &retain, NULL), 0);
    log_case_settle(c);
    assert_true(c->trimmed > 0);
    assert_int_equal(log_case_read(c, 0, 0), ZSP_EOUT_OF_RANGE);
    assert_int_equal(stats_of(c).shared_reads, 1);
}

static void without_room_every_read_is_from_the_file(void **state)
{
    struct log_case *c = *state;
    c->options.tail_bytes = 1;
    fill(c);
    assert_int_equal(log_case_read(c, 0, 0), 0);
    assert_int_equal(log_case_read(c, 0, 0), 0);
    assert_int_equal(stats_of(c).cold_reads, 2);
    assert_int_equal(stats_of(c).read_cache_bytes, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, log_case_set_up, log_case_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_gives_what_it_has_from_the_batch_of_the_offset_on),
        cmocka_unit_test(what_nobody_asked_for_longest_goes_first),
        cmocka_unit_test(what_is_there_is_not_kept_twice),
        CASE(two_reads_one_after_the_other_read_the_file_once),
        CASE(reads_at_the_same_time_wait_for_one_job),
        CASE(who_waited_for_a_job_that_failed_reads_by_itself),
        CASE(what_lies_before_the_start_is_not_read_from_memory),
        CASE(without_room_every_read_is_from_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
