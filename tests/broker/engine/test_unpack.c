/* SPDX-License-Identifier: MPL-2.0
 *
 * Compressed batches, unpacked: what is kept, and what a stored frame may not be.
 */
#include <stdlib.h>

#include "broker/engine/topic/topic.h"
#include "broker/engine/unpack.h"
#include "tests/common/testing.h"
#include "tests/support/plain_body.h"

static struct topic *topic;
static struct partition partition;

static int set_up(void **state)
{
    (void)state;
    topic = calloc(1, sizeof *topic);
    assert_non_null(topic);
    topic->id = 5;
    topic->object = "topic t";
    partition = (struct partition){.topic = topic, .index = 3};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(topic);
    return 0;
}

/* A compressed batch of `bytes` times the letter; lives until batch_free(). */
static struct store_batch batch_of(uint64_t first_offset, size_t bytes, int letter)
{
    struct zsp_buf *raw = zsp_buf_new(bytes);
    assert_non_null(raw);
    memset(zsp_buf_bytes(raw), letter, bytes);
    struct store_batch batch = {
        .frame = plain_pack((struct zsp_slice){raw->data, bytes}),
        .first_offset = first_offset,
        .record_count = 1,
        .raw_bytes = (uint32_t)bytes,
        .codec = ZSP_CODEC_ZSTD,
    };
    batch.body = (struct zsp_slice){batch.frame->data, batch.frame->len};
    zsp_buf_put(&raw);
    return batch;
}

static void wants(struct unpack *unpack, uint64_t first_offset, size_t bytes, uint64_t cost)
{
    struct store_batch batch = batch_of(first_offset, bytes, 'a' + (int)first_offset % 26);
    const uint64_t before = unpack->done_bytes;
    struct zsp_buf *raw = NULL;
    assert_int_equal(unpack_stored(unpack, &partition, &batch, &raw, NULL), 0);
    assert_int_equal(raw->len, bytes);
    assert_int_equal(raw->data[bytes - 1], 'a' + (int)first_offset % 26);
    assert_int_equal(unpack->done_bytes - before, cost);
    zsp_buf_put(&raw);
    zsp_buf_put(&batch.frame);
}

static void the_last_few_are_kept(void **state)
{
    (void)state;
    struct unpack unpack = {0};
    for (uint64_t i = 0; i < UNPACK_KEPT; i++) {
        wants(&unpack, i, 100, 100);
    }
    for (uint64_t i = 0; i < UNPACK_KEPT; i++) {
        wants(&unpack, i, 100, 0);
    }
    wants(&unpack, 99, 100, 100); /* the place of 0 */
    wants(&unpack, 1, 100, 0);
    wants(&unpack, 0, 100, 100);
    unpack_fini(&unpack);
}

static void what_is_kept_is_bounded_in_bytes(void **state)
{
    (void)state;
    struct unpack unpack = {0};
    for (uint64_t i = 0; i < 5; i++) {
        wants(&unpack, i, ZSP_FRAME_MAX, ZSP_FRAME_MAX);
        size_t kept = 0;
        for (size_t k = 0; k < UNPACK_KEPT; k++) {
            kept += unpack.kept[k].raw ? unpack.kept[k].raw->len : 0;
        }
        assert_true(kept <= UNPACK_KEPT_BYTES);
    }
    wants(&unpack, 3, ZSP_FRAME_MAX, 0);
    wants(&unpack, 0, ZSP_FRAME_MAX, ZSP_FRAME_MAX);
    unpack_fini(&unpack);
}

static void the_same_offset_elsewhere_is_another_batch(void **state)
{
    (void)state;
    struct unpack unpack = {0};
    wants(&unpack, 7, 100, 100);
    partition.index = 4;
    wants(&unpack, 7, 200, 200);
    topic->id = 6;
    wants(&unpack, 7, 300, 300);
    topic->id = 5;
    wants(&unpack, 7, 200, 0);
    partition.index = 3;
    unpack_fini(&unpack);
}

static void a_stored_frame_that_does_not_unpack_is_corrupt(void **state)
{
    (void)state;
    struct unpack unpack = {0};
    struct zsp_buf *raw = NULL;
    const struct store_batch good = batch_of(42, 1000, 'x');
    struct store_batch cases[] = {good, good, good, good, good};
    cases[0].codec = 9;
    cases[1].raw_bytes = 0;
    cases[2].raw_bytes = ZSP_FRAME_MAX + 1;
    cases[3].raw_bytes = 999;
    cases[4].body.len--;
    for (size_t i = 0; i < 5; i++) {
        struct zsp_err err = {0};
        assert_int_equal(unpack_stored(&unpack, &partition, &cases[i], &raw, &err), ZSP_ECORRUPT);
        assert_non_null(strstr(err.msg, "topic t: partition 3: the batch at offset 42: "));
    }
    struct zsp_buf *frame = good.frame;
    zsp_buf_put(&frame);
    unpack_fini(&unpack);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_few_are_kept),
        cmocka_unit_test(what_is_kept_is_bounded_in_bytes),
        cmocka_unit_test(the_same_offset_elsewhere_is_another_batch),
        cmocka_unit_test(a_stored_frame_that_does_not_unpack_is_corrupt),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
