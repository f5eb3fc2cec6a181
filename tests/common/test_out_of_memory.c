/* SPDX-License-Identifier: MPL-2.0
 *
 * What common does when the allocator says no. The linker sends this program's
 * allocations through the functions below (--wrap).
 */
#include "tests/common/testing.h"

#include "common/buf.h"
#include "common/err.h"
#include "common/table.h"
#include "common/wire.h"

/* NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the names are the
 * linker's */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static bool refuse; /* the allocator's answer from now on */

void *__wrap_malloc(size_t size)
{
    return refuse ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return refuse ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return refuse ? NULL : __real_realloc(memory, size);
}
/* NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming) */

static void a_writer_fails_and_keeps_what_it_has(void **state)
{
    (void)state;
    struct zsp_writer out = {0};
    zsp_write_bytes(&out, zsp_slice_str("abc"));
    refuse = true;
    for (int i = 0; i < 1000; i++) {
        zsp_write_u32(&out, 7);
    }
    refuse = false;
    assert_true(out.failed);
    assert_true(out.len <= out.capacity);
    assert_memory_equal(out.data, "abc", 3);
    zsp_writer_fini(&out);
}

static void buffers_are_not_made(void **state)
{
    (void)state;
    refuse = true;
    struct zsp_buf *made = zsp_buf_new(10);
    struct zsp_buf *copied = zsp_buf_copy(zsp_slice_str("abc"));
    refuse = false;
    assert_null(made);
    assert_null(copied);
}

static void a_table_refuses_and_stays_as_it_was(void **state)
{
    (void)state;
    static char keys[40][3];
    struct zsp_table table;
    zsp_table_init(&table, 1);
    int rc = 0;
    unsigned added = 0;
    for (unsigned i = 0; i < 40; i++) {
        keys[i][0] = (char)('a' + i / 10);
        keys[i][1] = (char)('0' + i % 10);
        refuse = i > 0;
        rc = zsp_table_add(&table, zsp_slice_str(keys[i]), keys[i]);
        refuse = false;
        if (rc != 0) {
            break;
        }
        added++;
    }
    assert_int_equal(rc, ZSP_ENOMEM);
    assert_int_equal(table.count, added);
    for (unsigned i = 0; i < added; i++) {
        assert_ptr_equal(zsp_table_find(&table, zsp_slice_str(keys[i])), keys[i]);
    }
    assert_int_equal(zsp_table_add(&table, zsp_slice_str(keys[added]), keys[added]), 0);
    zsp_table_fini(&table);
}

static void a_decoder_is_not_made(void **state)
{
    (void)state;
    refuse = true;
    struct wire_decoder *decoder = wire_decoder_new();
    refuse = false;
    assert_null(decoder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_writer_fails_and_keeps_what_it_has),
        cmocka_unit_test(buffers_are_not_made),
        cmocka_unit_test(a_table_refuses_and_stays_as_it_was),
        cmocka_unit_test(a_decoder_is_not_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
