/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>

#include "client/src/base/completion.h"

static int readable(int fd)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    return poll(&item, 1, 0);
}

static void the_descriptor_says_whether_anything_is_ready(void **state)
{
    (void)state;
    struct zsp_completion completion;
    zsp_completion_init(&completion);
    struct zsp_ready a = {0};
    struct zsp_ready b = {0};
    assert_true(zsp_completion_set(&completion, &a, true));
    const int fd = zsp_completion_fd(&completion); /* made late: it knows all the same */
    assert_int_equal(readable(fd), 1);
    assert_false(zsp_completion_set(&completion, &a, true));
    assert_true(zsp_completion_set(&completion, &b, true));
    assert_false(zsp_completion_set(&completion, &a, false));
    assert_int_equal(readable(fd), 1);
    assert_false(zsp_completion_set(&completion, &b, false));
    assert_int_equal(readable(fd), 0);
    assert_true(zsp_completion_set(&completion, &b, true));
    assert_int_equal(readable(fd), 1);
    zsp_completion_fini(&completion);
}

static void each_ready_object_is_visited_once(void **state)
{
    (void)state;
    struct zsp_completion completion;
    zsp_completion_init(&completion);
    struct zsp_ready objects[5] = {{0}};
    for (int i = 0; i < 5; i++) {
        (void)zsp_completion_set(&completion, &objects[i], true);
    }
    for (int round = 0; round < 3; round++) {
        int visited = 0;
        zsp_completion_begin(&completion);
        while (zsp_completion_next(&completion)) {
            visited++;
        }
        assert_int_equal(visited, 5);
    }
}

/* One that is taken away during the visit is not visited; one that comes is. */
static void objects_may_come_and_go_during_a_visit(void **state)
{
    (void)state;
    struct zsp_completion completion;
    zsp_completion_init(&completion);
    struct zsp_ready a = {0};
    struct zsp_ready b = {0};
    struct zsp_ready c = {0};
    (void)zsp_completion_set(&completion, &a, true);
    (void)zsp_completion_set(&completion, &b, true);
    zsp_completion_begin(&completion);
    assert_ptr_equal(zsp_completion_next(&completion), &a);
    (void)zsp_completion_set(&completion, &b, false);
    (void)zsp_completion_set(&completion, &a, false);
    (void)zsp_completion_set(&completion, &c, true);
    assert_ptr_equal(zsp_completion_next(&completion), &c);
    assert_null(zsp_completion_next(&completion));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_descriptor_says_whether_anything_is_ready),
        cmocka_unit_test(each_ready_object_is_visited_once),
        cmocka_unit_test(objects_may_come_and_go_during_a_visit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
