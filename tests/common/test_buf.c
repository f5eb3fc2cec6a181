/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/common/testing.h"

#include <pthread.h>

#include "common/buf.h"

struct counted {
    struct zsp_buf buf;
    int frees;
};

static void count_free(struct zsp_buf *self)
{
    ((struct counted *)self)->frees++;
}

static void the_last_put_frees_once(void **state)
{
    (void)state;
    struct counted counted = {.frees = 0};
    zsp_buf_init(&counted.buf, "abc", 3, count_free);
    struct zsp_buf *a = &counted.buf;
    struct zsp_buf *b = zsp_buf_get(a);
    zsp_buf_put(&a);
    assert_null(a);
    assert_int_equal(counted.frees, 0);
    zsp_buf_put(&b);
    assert_int_equal(counted.frees, 1);
    zsp_buf_put(&b);
    assert_int_equal(counted.frees, 1);
}

static void a_copy_has_its_own_bytes(void **state)
{
    (void)state;
    uint8_t bytes[] = "hello";
    struct zsp_buf *buf = zsp_buf_copy((struct zsp_slice){bytes, 5});
    bytes[0] = 'j';
    assert_int_equal(buf->len, 5);
    assert_memory_equal(buf->data, "hello", 5);
    zsp_buf_put(&buf);
}

static void a_new_buffer_is_filled_through_its_bytes(void **state)
{
    (void)state;
    struct zsp_buf *buf = zsp_buf_new(3);
    memcpy(zsp_buf_bytes(buf), "xyz", 3);
    assert_memory_equal(buf->data, "xyz", 3);
    zsp_buf_put(&buf);
    buf = zsp_buf_copy((struct zsp_slice){NULL, 0});
    assert_int_equal(buf->len, 0);
    zsp_buf_put(&buf);
    assert_null(zsp_buf_new(SIZE_MAX));
}

static void *get_and_put_often(void *arg)
{
    for (int i = 0; i < 20000; i++) {
        struct zsp_buf *mine = zsp_buf_get(arg);
        zsp_buf_put(&mine);
    }
    struct zsp_buf *last = arg;
    zsp_buf_put(&last);
    return NULL;
}

/* Two threads share a buffer; whoever drops the last reference frees it. The
 * sanitizers see a double free, a leak or a race. */
static void references_may_be_dropped_on_any_thread(void **state)
{
    (void)state;
    struct counted counted = {.frees = 0};
    zsp_buf_init(&counted.buf, "abc", 3, count_free);
    (void)zsp_buf_get(&counted.buf);
    pthread_t other;
    assert_int_equal(pthread_create(&other, NULL, get_and_put_often, &counted.buf), 0);
    (void)get_and_put_often(&counted.buf);
    assert_int_equal(pthread_join(other, NULL), 0);
    assert_int_equal(counted.frees, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_put_frees_once),
        cmocka_unit_test(a_copy_has_its_own_bytes),
        cmocka_unit_test(a_new_buffer_is_filled_through_its_bytes),
        cmocka_unit_test(references_may_be_dropped_on_any_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
