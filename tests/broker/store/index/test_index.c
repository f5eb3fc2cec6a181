/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "broker/store/index/index.h"
#include "broker/store/segment/tail.h"

static const uint8_t uuid[STORE_UUID_BYTES] = {9};
static const struct batch_place place = {uuid, 7, 0, 3, 0, 0};
static const struct index_facts facts = {100, 400, 10 * INDEX_STEP, 1000};

static struct seg_index three_entries(void)
{
    struct seg_index index = {.complete = true};
    index_note(&index, &(struct index_entry){100, 0, 10});
    index_note(&index, &(struct index_entry){150, 4096, 15}); /* too near: not kept */
    index_note(&index, &(struct index_entry){200, INDEX_STEP, 20});
    index_note(&index, &(struct index_entry){300, 3 * INDEX_STEP, 30});
    return index;
}

static void an_offset_is_found_at_or_before_it(void **state)
{
    (void)state;
    struct seg_index index = three_entries();
    assert_int_equal(index.count, 3);
    assert_null(index_find_offset(&index, 99));
    assert_int_equal(index_find_offset(&index, 100)->pos, 0);
    assert_int_equal(index_find_offset(&index, 199)->pos, 0);
    assert_int_equal(index_find_offset(&index, 200)->pos, INDEX_STEP);
    assert_int_equal(index_find_offset(&index, 5000)->pos, 3 * INDEX_STEP);
    index_fini(&index);
}

static void a_time_is_found_where_all_before_is_older(void **state)
{
    (void)state;
    struct seg_index index = three_entries();
    assert_null(index_find_time(&index, 10));
    assert_int_equal(index_find_time(&index, 11)->offset, 100);
    assert_int_equal(index_find_time(&index, 20)->offset, 100);
    assert_int_equal(index_find_time(&index, 21)->offset, 200);
    assert_int_equal(index_find_time(&index, 999)->offset, 300);
    index_fini(&index);
}

static void an_index_file_comes_back_as_it_went(void **state)
{
    (void)state;
    struct seg_index index = three_entries();
    struct zsp_writer bytes = {0};
    index_encode(&bytes, &index, &facts, &place);
    struct seg_index back;
    assert_int_equal(index_decode(zsp_writer_slice(&bytes), &facts, &place, &back, NULL), 0);
    assert_true(back.complete);
    assert_int_equal(back.count, 3);
    assert_memory_equal(back.entries, index.entries, 3 * sizeof *index.entries);
    index_fini(&back);
    index_fini(&index);
    zsp_writer_fini(&bytes);
}

static void a_damaged_short_or_foreign_index_file_is_refused(void **state)
{
    (void)state;
    struct seg_index index = three_entries();
    struct zsp_writer bytes = {0};
    index_encode(&bytes, &index, &facts, &place);
    struct seg_index back;
    for (size_t bit = 0; bit < bytes.len * 8; bit++) {
        bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(index_decode(zsp_writer_slice(&bytes), &facts, &place, &back, NULL),
                         ZSP_ECORRUPT);
        bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t len = 0; len < bytes.len; len++) {
        assert_int_equal(
            index_decode((struct zsp_slice){bytes.data, len}, &facts, &place, &back, NULL),
            ZSP_ECORRUPT);
    }
    struct batch_place other = place;
    other.segment++;
    assert_int_equal(index_decode(zsp_writer_slice(&bytes), &facts, &other, &back, NULL),
                     ZSP_ECORRUPT);
    struct index_facts shorter = facts;
    shorter.bytes -= 8;
    assert_int_equal(index_decode(zsp_writer_slice(&bytes), &shorter, &place, &back, NULL),
                     ZSP_ECORRUPT);
    index_fini(&index);
    zsp_writer_fini(&bytes);
}

static void an_index_takes_the_entries_of_its_beginning(void **state)
{
    (void)state;
    struct seg_index older = three_entries();
    struct seg_index index = {0};
    index_note(&index, &(struct index_entry){390, 9 * INDEX_STEP, 40});
    assert_int_equal(index_prepend(&index, &older), 0);
    assert_true(index.complete);
    assert_int_equal(index.count, 4);
    assert_int_equal(index_find_offset(&index, 250)->offset, 200);
    assert_int_equal(older.count, 0);
    index_fini(&index);
}

/* --- The tail --------------------------------------------------------------------------------- */

static struct store_batch tail_batch(uint64_t first, uint32_t count, size_t bytes)
{
    struct zsp_buf *buf = zsp_buf_new(bytes);
    assert_non_null(buf);
    memset(zsp_buf_bytes(buf), 'x', bytes);
    return (struct store_batch){
        .frame = buf, .body = {buf->data, bytes}, .first_offset = first, .record_count = count};
}

static void add(struct tail *tail, struct tail_part *part, uint64_t first, uint32_t count,
                size_t bytes)
{
    struct store_batch batch = tail_batch(first, count, bytes);
    tail_add(tail, part, &batch);
    zsp_buf_put(&batch.frame);
}

static void the_tail_gives_what_it_has_from_the_batch_of_the_offset_on(void **state)
{
    (void)state;
    struct tail tail = {.bytes_max = 100000};
    struct tail_part part = {0};
    for (uint64_t i = 0; i < 40; i++) {
        add(&tail, &part, 10 + i * 3, 3, 100);
    }
    size_t index;
    assert_int_equal(tail_find(&part, &(struct store_range){9, 200}, 1000, &index), 0);
    assert_int_equal(tail_find(&part, &(struct store_range){14, 20}, 1000, &index), 3);
    assert_int_equal(tail_get(&part, index)->first_offset, 13);
    assert_int_equal(tail_find(&part, &(struct store_range){14, 200}, 250, &index), 2);
    assert_int_equal(tail_find(&part, &(struct store_range){14, 200}, 1, &index), 1);
    assert_int_equal(tail_find(&part, &(struct store_range){130, 200}, 1000, &index), 0);
    tail_fini(&tail);
}

static void the_oldest_of_any_partition_goes_first(void **state)
{
    (void)state;
    struct tail tail = {.bytes_max = 4000};
    struct tail_part a = {0};
    struct tail_part b = {0};
    add(&tail, &a, 0, 1, 1000);
    add(&tail, &b, 0, 1, 1000);
    add(&tail, &a, 1, 1, 1000);
    add(&tail, &b, 1, 1, 1000);
    assert_true(tail.bytes <= 4000);
    size_t index;
    assert_int_equal(tail_find(&a, &(struct store_range){0, 2}, 9000, &index), 0);
    assert_int_equal(tail_find(&a, &(struct store_range){1, 2}, 9000, &index), 1);
    tail_drop(&tail, &b);
    assert_int_equal(tail_find(&b, &(struct store_range){1, 2}, 9000, &index), 0);
    add(&tail, &a, 2, 1, 5000); /* larger than all room: the tail begins anew */
    assert_int_equal(a.count, 0);
    add(&tail, &a, 3, 1, 10);
    assert_int_equal(tail_find(&a, &(struct store_range){3, 4}, 9000, &index), 1);
    tail_fini(&tail);
    assert_int_equal(tail.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_offset_is_found_at_or_before_it),
        cmocka_unit_test(a_time_is_found_where_all_before_is_older),
        cmocka_unit_test(an_index_file_comes_back_as_it_went),
        cmocka_unit_test(a_damaged_short_or_foreign_index_file_is_refused),
        cmocka_unit_test(an_index_takes_the_entries_of_its_beginning),
        cmocka_unit_test(the_tail_gives_what_it_has_from_the_batch_of_the_offset_on),
        cmocka_unit_test(the_oldest_of_any_partition_goes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
