/* SPDX-License-Identifier: MPL-2.0
 *
 * The real file system: every call's success and its errors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/store/file/fs.h"
#include "tests/support/test_dir.h"

#define KERNEL_IOV_MAX 1024 /* buffers that Linux takes in one call */

struct fixture {
    struct test_dir dir;
    struct fs *fs;
    struct zsp_err err;
};

static int set_up(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof f);
    test_dir_init(&f.dir);
    f.fs = fs_posix_new(f.dir.path, &f.err);
    assert_non_null(f.fs);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    fs_posix_destroy(&f->fs);
    assert_null(f->fs);
    test_dir_fini(&f->dir);
    return 0;
}

static int open_file(struct fixture *f, const char *path, enum fs_open_mode mode)
{
    return f->fs->ops->open(f->fs->self, path, mode, &f->err);
}

static void close_file(struct fixture *f, int file)
{
    assert_int_equal(f->fs->ops->close(f->fs->self, file, &f->err), 0);
}

static int write_text(struct fixture *f, int file, const char *text, uint64_t pos)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
    size_t written = 0;
    const int rc = f->fs->ops->write(f->fs->self, file, &iov, 1, pos, &written, &f->err);
    assert_int_equal(written, rc == 0 ? strlen(text) : 0);
    return rc;
}

static void make_file(struct fixture *f, const char *path, const char *text)
{
    const int file = open_file(f, path, FS_CREATE);
    assert_true(file >= 0);
    assert_int_equal(write_text(f, file, text, 0), 0);
    close_file(f, file);
}

static void a_missing_data_directory_is_not_found(void **state)
{
    (void)state;
    struct zsp_err err = {0};
    assert_null(fs_posix_new("/nonexistent/zspool", &err));
    assert_int_equal(err.code, ZSP_ENOT_FOUND);
    assert_non_null(strstr(err.msg, "/nonexistent/zspool"));
}

static void create_refuses_a_path_that_exists(void **state)
{
    struct fixture *f = *state;
    make_file(f, "a", "x");
    assert_int_equal(open_file(f, "a", FS_CREATE), ZSP_EEXISTS);
    assert_int_equal(f->err.sys_errno, EEXIST);
}

static void open_of_a_missing_path_is_not_found(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(open_file(f, "missing", FS_READ), ZSP_ENOT_FOUND);
    assert_int_equal(open_file(f, "missing", FS_WRITE), ZSP_ENOT_FOUND);
    assert_int_equal(open_file(f, "missing/below", FS_CREATE), ZSP_ENOT_FOUND);
    assert_non_null(strstr(f->err.msg, "missing/below"));
}

static void what_was_written_is_read_back(void **state)
{
    struct fixture *f = *state;
    const int file = open_file(f, "a", FS_CREATE);
    char one[] = "one ";
    char two[] = "two";
    struct iovec iov[] = {{one, 4}, {two, 3}};
    size_t len = 0;
    assert_int_equal(f->fs->ops->write(f->fs->self, file, iov, 2, 10, &len, &f->err), 0);
    assert_int_equal(len, 7);
    char data[32];
    assert_int_equal(f->fs->ops->read(f->fs->self, file, data, 32, 10, &len, &f->err), 0);
    assert_int_equal(len, 7);
    assert_memory_equal(data, "one two", 7);
    uint64_t bytes = 0;
    assert_int_equal(f->fs->ops->size(f->fs->self, file, &bytes, &f->err), 0);
    assert_int_equal(bytes, 17);
    close_file(f, file);
}

static void a_read_past_the_end_gets_nothing(void **state)
{
    struct fixture *f = *state;
    const int file = open_file(f, "a", FS_CREATE);
    char data[4];
    size_t len = 9;
    assert_int_equal(f->fs->ops->read(f->fs->self, file, data, 4, 1000, &len, &f->err), 0);
    assert_int_equal(len, 0);
    close_file(f, file);
}

/* Goal: read_now either has the bytes or says so, on every file system. */
static void read_now_reads_or_asks_to_come_again(void **state)
{
    struct fixture *f = *state;
    const int file = open_file(f, "a", FS_CREATE);
    assert_int_equal(write_text(f, file, "fresh", 0), 0);
    char data[5];
    size_t len = 0;
    const int rc = f->fs->ops->read_now(f->fs->self, file, data, 5, 0, &len, &f->err);
    if (rc == 0) {
        assert_int_equal(len, 5);
        assert_memory_equal(data, "fresh", 5);
    } else {
        assert_int_equal(rc, ZSP_EAGAIN);
    }
    close_file(f, file);
}

/* Some kernels tell an end where there is none: read has to say so. */
static void read_now_is_not_believed_that_the_file_ends(void **state)
{
    struct fixture *f = *state;
    const int file = open_file(f, "a", FS_CREATE);
    assert_int_equal(write_text(f, file, "fresh", 0), 0);
    char data[5];
    size_t len = 0;
    assert_int_equal(f->fs->ops->read_now(f->fs->self, file, data, 5, 5, &len, &f->err),
                     ZSP_EAGAIN);
    close_file(f, file);
}

static void a_write_to_a_read_only_file_is_an_io_error(void **state)
{
    struct fixture *f = *state;
    make_file(f, "a", "x");
    const int file = open_file(f, "a", FS_READ);
    assert_int_equal(write_text(f, file, "y", 0), ZSP_EIO);
    assert_int_equal(f->err.sys_errno, EBADF);
    close_file(f, file);
}

static void positions_beyond_the_kernels_range_are_refused(void **state)
{
    struct fixture *f = *state;
    const int file = open_file(f, "a", FS_CREATE);
    assert_int_equal(write_text(f, file, "y", UINT64_MAX), ZSP_EIO);
    char data[1];
    size_t len = 0;
    assert_int_equal(f->fs->ops->read(f->fs->self, file, data, 1, UINT64_MAX, &len, &f->err),
                     ZSP_EIO);
    assert_int_equal(f->fs->ops->truncate(f->fs->self, file, UINT64_MAX, &f->err), ZSP_EIO);
    close_file(f, file);
}

/* Goal: more buffers than the kernel takes in one call are a short write. */
static void too_many_buffers_are_a_short_write(void **state)
{
    struct fixture *f = *state;
    const int file = open_file(f, "a", FS_CREATE);
    const int count = KERNEL_IOV_MAX + 5;
    struct iovec *iov = calloc((size_t)count, sizeof *iov);
    assert_non_null(iov);
    char byte = 'b';
    for (int i = 0; i < count; i++) {
        iov[i] = (struct iovec){.iov_base = &byte, .iov_len = 1};
    }
    size_t len = 0;
    assert_int_equal(f->fs->ops->write(f->fs->self, file, iov, count, 0, &len, &f->err), 0);
    assert_int_equal(len, KERNEL_IOV_MAX);
    free(iov);
    close_file(f, file);
}

/* Goal: a full disk has its own code. Method: /dev/full. */
static void a_full_disk_is_no_space(void **state)
{
    struct fixture *f = *state;
    struct fs *dev = fs_posix_new("/dev", NULL);
    assert_non_null(dev);
    const int file = dev->ops->open(dev->self, "full", FS_WRITE, &f->err);
    assert_true(file >= 0);
    struct iovec iov = {.iov_base = f->dir.path, .iov_len = 4};
    size_t len = 9;
    assert_int_equal(dev->ops->write(dev->self, file, &iov, 1, 0, &len, &f->err), ZSP_ENO_SPACE);
    assert_int_equal(len, 0);
    assert_int_equal(dev->ops->close(dev->self, file, &f->err), 0);
    fs_posix_destroy(&dev);
}

static void sync_works_on_a_file_and_tells_when_it_cannot(void **state)
{
    struct fixture *f = *state;
    const int file = open_file(f, "a", FS_CREATE);
    assert_int_equal(write_text(f, file, "y", 0), 0);
    assert_int_equal(f->fs->ops->sync(f->fs->self, file, &f->err), 0);
    close_file(f, file);
    assert_int_equal(f->fs->ops->sync(f->fs->self, file, &f->err), ZSP_EIO);
    assert_int_equal(f->err.sys_errno, EBADF);
    assert_int_equal(f->fs->ops->close(f->fs->self, file, &f->err), ZSP_EIO);
}

static void directories_are_made_synced_and_removed(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(f->fs->ops->mkdir(f->fs->self, "d", &f->err), 0);
    assert_int_equal(f->fs->ops->mkdir(f->fs->self, "d", &f->err), 0);
    assert_int_equal(f->fs->ops->sync_dir(f->fs->self, "d", &f->err), 0);
    assert_int_equal(f->fs->ops->sync_dir(f->fs->self, "", &f->err), 0);
    make_file(f, "d/a", "x");
    assert_int_equal(f->fs->ops->rmdir(f->fs->self, "d", &f->err), ZSP_EIO);
    assert_int_equal(f->fs->ops->unlink(f->fs->self, "d/a", &f->err), 0);
    assert_int_equal(f->fs->ops->rmdir(f->fs->self, "d", &f->err), 0);
    assert_int_equal(f->fs->ops->sync_dir(f->fs->self, "d", &f->err), ZSP_ENOT_FOUND);
}

static void mkdir_over_a_file_says_that_it_exists(void **state)
{
    struct fixture *f = *state;
    make_file(f, "a", "x");
    assert_int_equal(f->fs->ops->mkdir(f->fs->self, "a", &f->err), ZSP_EEXISTS);
}

static void truncate_grows_with_zeros_and_shrinks(void **state)
{
    struct fixture *f = *state;
    const int file = open_file(f, "a", FS_CREATE);
    assert_int_equal(write_text(f, file, "abc", 0), 0);
    assert_int_equal(f->fs->ops->truncate(f->fs->self, file, 1, &f->err), 0);
    assert_int_equal(f->fs->ops->truncate(f->fs->self, file, 3, &f->err), 0);
    char data[4];
    size_t len = 0;
    assert_int_equal(f->fs->ops->read(f->fs->self, file, data, 4, 0, &len, &f->err), 0);
    assert_int_equal(len, 3);
    assert_memory_equal(data, "a\0\0", 3);
    close_file(f, file);
}

static void rename_and_unlink_move_and_remove_names(void **state)
{
    struct fixture *f = *state;
    make_file(f, "a", "x");
    assert_int_equal(f->fs->ops->rename(f->fs->self, "a", "b", &f->err), 0);
    assert_int_equal(open_file(f, "a", FS_READ), ZSP_ENOT_FOUND);
    assert_int_equal(f->fs->ops->unlink(f->fs->self, "b", &f->err), 0);
    assert_int_equal(f->fs->ops->unlink(f->fs->self, "b", &f->err), ZSP_ENOT_FOUND);
    assert_int_equal(f->fs->ops->rename(f->fs->self, "b", "c", &f->err), ZSP_ENOT_FOUND);
}

struct listing {
    char text[256];
    int stop_after;
};

static int note_entry(void *arg, const struct fs_entry *entry)
{
    struct listing *listing = arg;
    const size_t used = strlen(listing->text);
    (void)snprintf(listing->text + used, sizeof listing->text - used, "%s%s:%d ", entry->name,
                   entry->is_directory ? "/" : "", (int)entry->bytes);
    return --listing->stop_after == 0 ? 42 : 0;
}

static void list_tells_names_in_byte_order(void **state)
{
    struct fixture *f = *state;
    make_file(f, "b", "xx");
    make_file(f, "B", "xxx");
    assert_int_equal(f->fs->ops->mkdir(f->fs->self, "a", &f->err), 0);
    struct listing listing = {.stop_after = -1};
    assert_int_equal(f->fs->ops->list(f->fs->self, "", note_entry, &listing, &f->err), 0);
    assert_string_equal(listing.text, "B:3 a/:0 b:2 ");
}

static void list_ends_with_what_the_callback_returns(void **state)
{
    struct fixture *f = *state;
    make_file(f, "a", "x");
    make_file(f, "b", "x");
    struct listing listing = {.stop_after = 1};
    assert_int_equal(f->fs->ops->list(f->fs->self, "", note_entry, &listing, &f->err), 42);
    assert_string_equal(listing.text, "a:1 ");
    assert_int_equal(f->fs->ops->list(f->fs->self, "no", note_entry, &listing, &f->err),
                     ZSP_ENOT_FOUND);
}

/* Goal: a second holder is refused and told who holds it. */
static void a_second_lock_names_the_holders_pid(void **state)
{
    struct fixture *f = *state;
    const int first = open_file(f, "LOCK", FS_CREATE);
    const int second = open_file(f, "LOCK", FS_WRITE);
    assert_int_equal(f->fs->ops->lock(f->fs->self, first, &f->err), 0);
    assert_int_equal(f->fs->ops->lock(f->fs->self, second, &f->err), ZSP_ELOCKED);
    char wanted[64];
    (void)snprintf(wanted, sizeof wanted, "process %ld", (long)getpid());
    assert_non_null(strstr(f->err.msg, wanted));
    close_file(f, first);
    assert_int_equal(f->fs->ops->lock(f->fs->self, second, &f->err), 0);
    close_file(f, second);
}

static void free_bytes_and_forget_answer(void **state)
{
    struct fixture *f = *state;
    uint64_t bytes = 0;
    assert_int_equal(f->fs->ops->free_bytes(f->fs->self, &bytes, &f->err), 0);
    assert_true(bytes > 0);
    const int file = open_file(f, "a", FS_CREATE);
    assert_int_equal(f->fs->ops->forget(f->fs->self, file, &f->err), 0);
    close_file(f, file);
    assert_int_equal(f->fs->ops->forget(f->fs->self, file, &f->err), ZSP_EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_data_directory_is_not_found),
        cmocka_unit_test_setup_teardown(create_refuses_a_path_that_exists, set_up, tear_down),
        cmocka_unit_test_setup_teardown(open_of_a_missing_path_is_not_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_written_is_read_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_read_past_the_end_gets_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(read_now_reads_or_asks_to_come_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(read_now_is_not_believed_that_the_file_ends, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_write_to_a_read_only_file_is_an_io_error, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(positions_beyond_the_kernels_range_are_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(too_many_buffers_are_a_short_write, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_is_no_space, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sync_works_on_a_file_and_tells_when_it_cannot, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(directories_are_made_synced_and_removed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(mkdir_over_a_file_says_that_it_exists, set_up, tear_down),
        cmocka_unit_test_setup_teardown(truncate_grows_with_zeros_and_shrinks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rename_and_unlink_move_and_remove_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(list_tells_names_in_byte_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(list_ends_with_what_the_callback_returns, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_second_lock_names_the_holders_pid, set_up, tear_down),
        cmocka_unit_test_setup_teardown(free_bytes_and_forget_answer, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
