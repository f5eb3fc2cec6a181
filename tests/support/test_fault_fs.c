/* SPDX-License-Identifier: MPL-2.0
 *
 * The failing file system: the right call fails, as often as asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "tests/support/crash_fs.h"
#include "tests/support/fault_fs.h"

struct fixture {
    struct fs *below;
    struct fs *fs;
    int file;
};

static int set_up(void **state)
{
    static struct fixture f;
    f.below = crash_fs_new();
    f.fs = fault_fs_new(f.below);
    f.file = f.fs->ops->open(f.fs->self, "a", FS_CREATE, NULL);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    fault_fs_destroy(&f->fs);
    crash_fs_destroy(&f->below);
    return 0;
}

static int sync_file(struct fixture *f, struct zsp_err *err)
{
    return f->fs->ops->sync(f->fs->self, f->file, err);
}

static int write_ten(struct fixture *f, size_t *ret_len)
{
    char data[10] = "0123456789";
    const struct iovec iov[2] = {{data, 4}, {data + 4, 6}};
    return f->fs->ops->write(f->fs->self, f->file, iov, 2, 0, ret_len, NULL);
}

static uint64_t file_size(struct fixture *f)
{
    uint64_t bytes = 0;
    assert_int_equal(f->fs->ops->size(f->fs->self, f->file, &bytes, NULL), 0);
    return bytes;
}

static void the_nth_call_of_a_kind_fails_as_often_as_asked(void **state)
{
    struct fixture *f = *state;
    const struct fault fault = {.kind = FAULT_ERROR,
                                .call = FS_CALL_SYNC,
                                .countdown = 1,
                                .repeat = 2,
                                .code = ZSP_EIO,
                                .sys_errno = EIO};
    fault_fs_set(f->fs, &fault);
    struct zsp_err err = {0};
    assert_int_equal(sync_file(f, &err), 0);
    assert_int_equal(file_size(f), 0);
    assert_int_equal(sync_file(f, &err), ZSP_EIO);
    assert_int_equal(err.sys_errno, EIO);
    assert_int_equal(sync_file(f, &err), ZSP_EIO);
    assert_int_equal(sync_file(f, &err), 0);
    assert_int_equal(fault_fs_hits(f->fs), 2);
    assert_int_equal(fault_fs_calls(f->fs, FS_CALL_SYNC), 4);
}

static void any_call_fails_until_it_is_cleared(void **state)
{
    struct fixture *f = *state;
    const struct fault fault = {.kind = FAULT_ERROR,
                                .call = FS_CALL_ANY,
                                .repeat = UINT64_MAX,
                                .code = ZSP_ENO_SPACE,
                                .sys_errno = ENOSPC};
    fault_fs_set(f->fs, &fault);
    size_t len = 0;
    assert_int_equal(sync_file(f, NULL), ZSP_ENO_SPACE);
    assert_int_equal(write_ten(f, &len), ZSP_ENO_SPACE);
    assert_int_equal(f->fs->ops->mkdir(f->fs->self, "d", NULL), ZSP_ENO_SPACE);
    fault_fs_clear(f->fs);
    assert_int_equal(file_size(f), 0);
    assert_int_equal(f->fs->ops->mkdir(f->fs->self, "d", NULL), 0);
}

static void a_short_write_writes_the_first_bytes(void **state)
{
    struct fixture *f = *state;
    const struct fault fault = {.kind = FAULT_SHORT, .call = FS_CALL_ANY, .repeat = 1, .bytes = 5};
    fault_fs_set(f->fs, &fault);
    size_t len = 0;
    assert_int_equal(write_ten(f, &len), 0);
    assert_int_equal(len, 5);
    assert_int_equal(file_size(f), 5);
}

static void a_partial_write_writes_and_fails(void **state)
{
    struct fixture *f = *state;
    const struct fault fault = {.kind = FAULT_PART,
                                .call = FS_CALL_WRITE,
                                .repeat = 1,
                                .code = ZSP_EIO,
                                .sys_errno = EIO,
                                .bytes = 5};
    fault_fs_set(f->fs, &fault);
    size_t len = 0;
    assert_int_equal(write_ten(f, &len), ZSP_EIO);
    assert_int_equal(len, 5);
    assert_int_equal(file_size(f), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_nth_call_of_a_kind_fails_as_often_as_asked, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(any_call_fails_until_it_is_cleared, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_short_write_writes_the_first_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_partial_write_writes_and_fails, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
