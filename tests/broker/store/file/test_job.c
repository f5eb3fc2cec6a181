/* SPDX-License-Identifier: MPL-2.0
 *
 * Jobs over a file system that reads and writes less than asked, or fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "broker/store/file/job.h"
#include "tests/support/fault_fs.h"
#include "tests/support/test_dir.h"

struct fixture {
    struct test_dir dir;
    struct fs *posix;
    struct fs *fs;
    int file;
    char hello[6];
    char world[5];
    struct iovec iov[2];
    struct job write;
    uint8_t data[32];
    struct job read;
};

static int set_up(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof f);
    test_dir_init(&f.dir);
    f.posix = fs_posix_new(f.dir.path, NULL);
    assert_non_null(f.posix);
    f.fs = fault_fs_new(f.posix);
    f.file = f.fs->ops->open(f.fs->self, "a", FS_CREATE, NULL);
    assert_true(f.file >= 0);
    memcpy(f.hello, "hello ", 6);
    memcpy(f.world, "world", 5);
    f.iov[0] = (struct iovec){f.hello, 6};
    f.iov[1] = (struct iovec){f.world, 5};
    f.write = (struct job){
        .kind = JOB_WRITE, .file = f.file, .pos = 3, .len = 11, .iov = f.iov, .iov_count = 2};
    f.read = (struct job){.kind = JOB_READ, .file = f.file, .pos = 3, .len = 11, .data = f.data};
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    fault_fs_clear(f->fs);
    assert_int_equal(f->fs->ops->close(f->fs->self, f->file, NULL), 0);
    fault_fs_destroy(&f->fs);
    fs_posix_destroy(&f->posix);
    test_dir_fini(&f->dir);
    return 0;
}

static void short_writes_and_reads_are_continued(void **state)
{
    struct fixture *f = *state;
    const struct fault two = {
        .kind = FAULT_SHORT, .call = FS_CALL_ANY, .repeat = UINT64_MAX, .bytes = 2};
    fault_fs_set(f->fs, &two);
    job_run(&f->write, f->fs);
    assert_int_equal(f->write.error.code, 0);
    assert_int_equal(f->write.done, 11);
    assert_int_equal(fault_fs_hits(f->fs), 6);
    job_run(&f->read, f->fs);
    assert_int_equal(f->read.error.code, 0);
    assert_int_equal(f->read.done, 11);
    assert_memory_equal(f->data, "hello world", 11);
}

static void a_write_that_makes_no_progress_fails(void **state)
{
    struct fixture *f = *state;
    const struct fault none = {
        .kind = FAULT_SHORT, .call = FS_CALL_WRITE, .repeat = UINT64_MAX, .bytes = 0};
    fault_fs_set(f->fs, &none);
    job_run(&f->write, f->fs);
    assert_int_equal(f->write.error.code, ZSP_EIO);
    assert_int_equal(f->write.done, 0);
}

static void a_failed_write_tells_how_far_it_came(void **state)
{
    struct fixture *f = *state;
    const struct fault full = {.kind = FAULT_PART,
                               .call = FS_CALL_WRITE,
                               .repeat = 1,
                               .code = ZSP_ENO_SPACE,
                               .sys_errno = ENOSPC,
                               .bytes = 7};
    fault_fs_set(f->fs, &full);
    job_run(&f->write, f->fs);
    assert_int_equal(f->write.error.code, ZSP_ENO_SPACE);
    assert_int_equal(f->write.error.sys_errno, ENOSPC);
    assert_int_equal(f->write.done, 7);
}

static void a_read_that_meets_the_end_is_no_error(void **state)
{
    struct fixture *f = *state;
    job_run(&f->write, f->fs);
    f->read.pos = 9;
    job_run(&f->read, f->fs);
    assert_int_equal(f->read.error.code, 0);
    assert_int_equal(f->read.done, 5);
}

static void a_failed_read_is_told(void **state)
{
    struct fixture *f = *state;
    const struct fault broken = {
        .kind = FAULT_ERROR, .call = FS_CALL_READ, .repeat = 1, .code = ZSP_EIO, .sys_errno = EIO};
    fault_fs_set(f->fs, &broken);
    job_run(&f->read, f->fs);
    assert_int_equal(f->read.error.code, ZSP_EIO);
}

/* Goal: nothing behind the first failed sync is synced. */
static void sync_ends_at_the_first_failure(void **state)
{
    struct fixture *f = *state;
    const int files[] = {f->file, f->file, f->file};
    struct job sync = {.kind = JOB_SYNC, .files = files, .file_count = 3};
    job_run(&sync, f->fs);
    assert_int_equal(sync.error.code, 0);
    assert_int_equal(fault_fs_calls(f->fs, FS_CALL_SYNC), 3);
    const struct fault second = {.kind = FAULT_ERROR,
                                 .call = FS_CALL_SYNC,
                                 .countdown = 1,
                                 .repeat = 1,
                                 .code = ZSP_EIO,
                                 .sys_errno = EIO};
    fault_fs_set(f->fs, &second);
    job_run(&sync, f->fs);
    assert_int_equal(sync.error.code, ZSP_EIO);
    assert_int_equal(fault_fs_calls(f->fs, FS_CALL_SYNC), 5);
}

static void fail_task(struct job *self, struct fs *fs)
{
    (void)fs;
    (void)zsp_err_set(&self->error, ZSP_ECORRUPT, "owner %d", *(int *)self->owner);
}

static void a_task_reports_through_its_job(void **state)
{
    struct fixture *f = *state;
    int owner = 5;
    struct job task = {.kind = JOB_TASK, .task_fn = fail_task, .owner = &owner};
    job_run(&task, f->fs);
    assert_int_equal(task.error.code, ZSP_ECORRUPT);
    assert_string_equal(task.error.msg, "owner 5");
}

/* Goal: bytes of which a part is not in memory count as not read at all. */
static void try_leaves_a_read_that_would_block_undone(void **state)
{
    struct fixture *f = *state;
    job_run(&f->write, f->fs);
    const struct fault cold = {.kind = FAULT_ERROR,
                               .call = FS_CALL_READ_NOW,
                               .repeat = 1,
                               .code = ZSP_EAGAIN,
                               .sys_errno = EAGAIN};
    fault_fs_set(f->fs, &cold);
    assert_false(job_try(&f->read, f->fs));
    assert_int_equal(f->read.done, 0);
    assert_int_equal(f->read.error.code, 0);
    assert_false(job_try(&f->write, f->fs));
}

static void try_tells_errors_of_a_read(void **state)
{
    struct fixture *f = *state;
    const struct fault broken = {.kind = FAULT_ERROR,
                                 .call = FS_CALL_READ_NOW,
                                 .repeat = 1,
                                 .code = ZSP_EIO,
                                 .sys_errno = EIO};
    fault_fs_set(f->fs, &broken);
    assert_true(job_try(&f->read, f->fs));
    assert_int_equal(f->read.error.code, ZSP_EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(short_writes_and_reads_are_continued, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_write_that_makes_no_progress_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_write_tells_how_far_it_came, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_read_that_meets_the_end_is_no_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_read_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sync_ends_at_the_first_failure, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_task_reports_through_its_job, set_up, tear_down),
        cmocka_unit_test_setup_teardown(try_leaves_a_read_that_would_block_undone, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(try_tells_errors_of_a_read, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
