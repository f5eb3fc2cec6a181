/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/batch/batch_slice.h"

#include "common/wire.h"
#include "tests/common/testing.h"

/* Four records of 4, 5, 6 and 7 bytes at offsets 10..13, behind two foreign bytes. */
#define FIRST 10u
#define FRONT 2u

struct fixture {
    struct zsp_buf *frame;
    struct store_batch batch;
};

static int set_up(void **state)
{
    static struct fixture f;
    struct zsp_writer out = {0};
    zsp_write_u16(&out, 0xffff);
    for (size_t i = 0; i < 4; i++) {
        wire_write_array(&out, 1);
        wire_write_bin(&out, (struct zsp_slice){(const uint8_t *)"abcd", i + 1});
    }
    f.frame = zsp_buf_copy(zsp_writer_slice(&out));
    zsp_writer_fini(&out);
    f.batch = (struct store_batch){
        .frame = f.frame,
        .body = {f.frame->data + FRONT, f.frame->len - FRONT},
        .first_offset = FIRST,
        .record_count = 4,
    };
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *const f = *state;
    zsp_buf_put(&f->frame);
    return 0;
}

struct expected {
    uint64_t first, end;      /* range */
    uint64_t messages, bytes; /* limits */
    bool first_fits;          /* */
    uint64_t offset, count;   /* what comes out */
    size_t pos, len;          /* in the body */
    bool is_cut;
};

static void a_slice_follows_range_and_limits(void **state)
{
    struct fixture *const f = *state;
    static const struct expected cases[] = {
        {0, 100, 100, 100, true, 10, 4, 0, 22, false},
        {11, 13, 100, 100, true, 11, 2, 4, 11, false},
        {13, 14, 100, 100, true, 13, 1, 15, 7, false},
        {0, 10, 100, 100, true, 10, 0, 0, 0, false},
        {14, 100, 100, 100, true, 14, 0, 0, 0, false},
        {0, 100, 3, 100, true, 10, 3, 0, 15, true},
        {0, 100, 4, 22, true, 10, 4, 0, 22, false},
        {0, 100, 4, 21, true, 10, 3, 0, 15, true},
        {0, 100, 4, 15, true, 10, 3, 0, 15, true},
        {0, 100, 4, 3, true, 10, 1, 0, 4, true},
        {0, 100, 4, 3, false, 10, 0, 0, 0, true},
        {12, 100, 1, 1, true, 12, 1, 9, 6, true},
        {13, 100, 1, 1, true, 13, 1, 15, 7, false},
        {0, 100, 0, 100, true, 10, 0, 0, 0, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct expected *const e = &cases[i];
        const struct batch_limits limits = {
            .max_messages = e->messages, .max_bytes = e->bytes, .first_fits = e->first_fits};
        struct batch_slice slice = {0};
        assert_int_equal(
            batch_slice(&f->batch, (struct store_range){e->first, e->end}, &limits, &slice, NULL),
            0);
        assert_int_equal(slice.count, e->count);
        assert_int_equal(slice.is_cut, e->is_cut);
        assert_int_equal(slice.len, e->len);
        if (e->count > 0) {
            assert_int_equal(slice.first_offset, e->offset);
            assert_int_equal(slice.pos, FRONT + e->pos);
        }
    }
}

/* A header that promises more records than there are is told, not followed. */
static void a_batch_that_holds_fewer_records_is_corrupt(void **state)
{
    struct fixture *const f = *state;
    f->batch.record_count = 6;
    const struct batch_limits limits = {.max_messages = 5, .max_bytes = 100, .first_fits = true};
    struct batch_slice slice = {0};
    const struct store_range all = {0, 100};
    const struct store_range last = {15, 16};
    assert_int_equal(batch_slice(&f->batch, all, &limits, &slice, NULL), ZSP_ECORRUPT);
    assert_int_equal(batch_slice(&f->batch, last, &limits, &slice, NULL), ZSP_ECORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_slice_follows_range_and_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_batch_that_holds_fewer_records_is_corrupt, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
