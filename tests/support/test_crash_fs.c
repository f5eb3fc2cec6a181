/* SPDX-License-Identifier: MPL-2.0
 *
 * The crash file system: what it must keep, what it may lose, that it does
 * lose it for some seeds, and that a seed decides everything.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/crash_fs.h"
#include "tests/support/test_dir.h"

#define SEED_COUNT 200
#define SECTOR     512

struct fixture {
    struct fs *fs;
};

static int set_up(void **state)
{
    static struct fixture f;
    f.fs = crash_fs_new();
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    crash_fs_destroy(&((struct fixture *)*state)->fs);
    return 0;
}

static void reset(struct fixture *f)
{
    crash_fs_destroy(&f->fs);
    f->fs = crash_fs_new();
}

static int open_file(struct fixture *f, const char *path, enum fs_open_mode mode)
{
    return f->fs->ops->open(f->fs->self, path, mode, NULL);
}

static void write_bytes(struct fixture *f, int file, char byte, uint64_t pos, size_t len)
{
    char data[16 * SECTOR];
    assert_true(len <= sizeof data);
    memset(data, byte, len);
    const struct iovec iov = {.iov_base = data, .iov_len = len};
    size_t written = 0;
    assert_int_equal(f->fs->ops->write(f->fs->self, file, &iov, 1, pos, &written, NULL), 0);
    assert_int_equal(written, len);
}

static void sync_file(struct fixture *f, int file)
{
    assert_int_equal(f->fs->ops->sync(f->fs->self, file, NULL), 0);
}

static void sync_dir(struct fixture *f, const char *path)
{
    assert_int_equal(f->fs->ops->sync_dir(f->fs->self, path, NULL), 0);
}

static bool exists(struct fixture *f, const char *path)
{
    const int file = open_file(f, path, FS_READ);
    if (file >= 0) {
        assert_int_equal(f->fs->ops->close(f->fs->self, file, NULL), 0);
    }
    return file >= 0;
}

/* The byte at a position, -1 beyond the end, -2 without a file. */
static int byte_at(struct fixture *f, const char *path, uint64_t pos)
{
    const int file = open_file(f, path, FS_READ);
    if (file < 0) {
        return -2;
    }
    uint8_t byte = 0;
    size_t len = 0;
    assert_int_equal(f->fs->ops->read(f->fs->self, file, &byte, 1, pos, &len, NULL), 0);
    assert_int_equal(f->fs->ops->close(f->fs->self, file, NULL), 0);
    return len == 1 ? byte : -1;
}

static int make_durable_file(struct fixture *f, const char *path, char byte, size_t len)
{
    const int file = open_file(f, path, FS_CREATE);
    assert_true(file >= 0);
    write_bytes(f, file, byte, 0, len);
    sync_file(f, file);
    sync_dir(f, "");
    return file;
}

static void synced_data_under_a_synced_name_survives_every_crash(void **state)
{
    struct fixture *f = *state;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        reset(f);
        (void)make_durable_file(f, "a", 'x', 2000);
        crash_fs_power_loss(f->fs, seed);
        assert_int_equal(byte_at(f, "a", 0), 'x');
        assert_int_equal(byte_at(f, "a", 1999), 'x');
        assert_int_equal(byte_at(f, "a", 2000), -1);
    }
}

static void a_name_that_was_not_synced_may_vanish_or_stay(void **state)
{
    struct fixture *f = *state;
    int vanished = 0;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        reset(f);
        const int file = open_file(f, "a", FS_CREATE);
        write_bytes(f, file, 'x', 0, 10);
        sync_file(f, file);
        crash_fs_power_loss(f->fs, seed);
        vanished += !exists(f, "a");
        if (exists(f, "a")) {
            assert_int_equal(byte_at(f, "a", 9), 'x');
        }
    }
    assert_in_range(vanished, 20, SEED_COUNT - 20);
}

static void everything_below_a_lost_directory_is_lost(void **state)
{
    struct fixture *f = *state;
    int lost = 0;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        reset(f);
        assert_int_equal(f->fs->ops->mkdir(f->fs->self, "d", NULL), 0);
        const int file = open_file(f, "d/a", FS_CREATE);
        sync_file(f, file);
        sync_dir(f, "d");
        crash_fs_power_loss(f->fs, seed);
        lost += !exists(f, "d/a");
    }
    assert_in_range(lost, 20, SEED_COUNT - 20);
}

/* Goal: unsynced writes are lost, kept and torn, sector by sector, and nothing
 * but old and new bytes is ever there. */
static void unsynced_writes_are_lost_kept_and_torn(void **state)
{
    struct fixture *f = *state;
    int lost = 0;
    int kept = 0;
    int torn = 0;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        reset(f);
        const int file = make_durable_file(f, "a", 'o', 8 * SECTOR);
        write_bytes(f, file, 'n', 0, 8 * SECTOR);
        crash_fs_power_loss(f->fs, seed);
        int fresh = 0;
        for (uint64_t i = 0; i < 8; i++) {
            const int first = byte_at(f, "a", i * SECTOR);
            assert_true(first == 'o' || first == 'n');
            assert_int_equal(byte_at(f, "a", i * SECTOR + SECTOR - 1), first);
            fresh += first == 'n';
        }
        lost += fresh == 0;
        kept += fresh == 8;
        torn += fresh > 0 && fresh < 8;
    }
    assert_true(lost > 10);
    assert_true(kept > 10);
    assert_true(torn > 10);
}

/* Goal: two writes to two places may survive the one without the other, either way. */
static void unsynced_writes_are_reordered(void **state)
{
    struct fixture *f = *state;
    int only_first = 0;
    int only_second = 0;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        reset(f);
        const int file = make_durable_file(f, "a", 'o', 8192);
        write_bytes(f, file, '1', 0, SECTOR);
        write_bytes(f, file, '2', 4096, SECTOR);
        crash_fs_power_loss(f->fs, seed);
        const bool first = byte_at(f, "a", 0) == '1';
        const bool second = byte_at(f, "a", 4096) == '2';
        only_first += first && !second;
        only_second += second && !first;
    }
    assert_true(only_first > 5);
    assert_true(only_second > 5);
}

/* Goal: inside a sector the order of the writes holds. */
static void a_sector_never_has_a_later_write_without_an_earlier_one(void **state)
{
    struct fixture *f = *state;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        reset(f);
        const int file = make_durable_file(f, "a", 'o', SECTOR);
        write_bytes(f, file, '1', 0, 100);
        write_bytes(f, file, '2', 200, 100);
        crash_fs_power_loss(f->fs, seed);
        if (byte_at(f, "a", 200) == '2') {
            assert_int_equal(byte_at(f, "a", 0), '1');
        }
    }
}

/* Goal: an append may leave zeros: the size came, the data did not. */
static void an_unsynced_append_may_leave_zeros_or_nothing(void **state)
{
    struct fixture *f = *state;
    int zeros = 0;
    int shorter = 0;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        reset(f);
        const int file = make_durable_file(f, "a", 'o', SECTOR);
        write_bytes(f, file, 'n', SECTOR, SECTOR);
        crash_fs_power_loss(f->fs, seed);
        zeros += byte_at(f, "a", SECTOR) == 0;
        shorter += byte_at(f, "a", SECTOR) == -1;
        assert_int_equal(byte_at(f, "a", 0), 'o');
    }
    assert_true(zeros > 5);
    assert_true(shorter > 5);
}

static void a_rename_is_done_or_not_done(void **state)
{
    struct fixture *f = *state;
    int done = 0;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        reset(f);
        (void)make_durable_file(f, "a", 'n', 10);
        (void)make_durable_file(f, "b", 'o', 10);
        assert_int_equal(f->fs->ops->rename(f->fs->self, "a", "b", NULL), 0);
        crash_fs_power_loss(f->fs, seed);
        const bool renamed = !exists(f, "a");
        assert_int_equal(byte_at(f, "b", 0), renamed ? 'n' : 'o');
        done += renamed;
    }
    assert_in_range(done, 20, SEED_COUNT - 20);
}

static void a_rename_is_durable_after_the_sync_of_its_directory(void **state)
{
    struct fixture *f = *state;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        reset(f);
        assert_int_equal(f->fs->ops->mkdir(f->fs->self, "d", NULL), 0);
        (void)make_durable_file(f, "a", 'n', 10);
        assert_int_equal(f->fs->ops->rename(f->fs->self, "a", "d/b", NULL), 0);
        sync_dir(f, "d");
        crash_fs_power_loss(f->fs, seed);
        assert_int_equal(byte_at(f, "d/b", 0), 'n');
        assert_false(exists(f, "a"));
    }
}

static void an_unlinked_name_may_come_back_with_its_synced_bytes(void **state)
{
    struct fixture *f = *state;
    int back = 0;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        reset(f);
        (void)make_durable_file(f, "a", 'x', 10);
        assert_int_equal(f->fs->ops->unlink(f->fs->self, "a", NULL), 0);
        assert_false(exists(f, "a"));
        crash_fs_power_loss(f->fs, seed);
        const int byte = byte_at(f, "a", 0);
        assert_true(byte == 'x' || byte == -2);
        back += byte == 'x';
    }
    assert_in_range(back, 20, SEED_COUNT - 20);
}

static void a_crash_of_the_process_loses_nothing_yet(void **state)
{
    struct fixture *f = *state;
    int lost_later = 0;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        reset(f);
        const int file = open_file(f, "a", FS_CREATE);
        write_bytes(f, file, 'x', 0, 10);
        assert_int_equal(f->fs->ops->lock(f->fs->self, file, NULL), 0);
        crash_fs_process_crash(f->fs);
        assert_int_equal(byte_at(f, "a", 9), 'x');
        crash_fs_power_loss(f->fs, seed);
        lost_later += byte_at(f, "a", 9) != 'x';
    }
    assert_true(lost_later > 20);
}

/* Goal: equal seeds, equal images; different seeds differ at least once. */
static void the_same_seed_leaves_the_same_image(void **state)
{
    struct fixture *f = *state;
    uint64_t hashes[2][8];
    for (int round = 0; round < 2; round++) {
        for (uint64_t seed = 0; seed < 8; seed++) {
            reset(f);
            const int file = make_durable_file(f, "a", 'o', 8 * SECTOR);
            write_bytes(f, file, 'n', 100, 6 * SECTOR);
            (void)open_file(f, "b", FS_CREATE);
            crash_fs_power_loss(f->fs, seed);
            hashes[round][seed] = crash_fs_hash(f->fs);
        }
    }
    assert_memory_equal(hashes[0], hashes[1], sizeof hashes[0]);
    bool differ = false;
    for (int i = 1; i < 8; i++) {
        differ = differ || hashes[0][i] != hashes[0][0];
    }
    assert_true(differ);
}

static void a_frozen_file_system_refuses_until_the_crash(void **state)
{
    struct fixture *f = *state;
    const int file = make_durable_file(f, "a", 'x', 10);
    crash_fs_freeze_at(f->fs, 1);
    sync_file(f, file);
    assert_true(crash_fs_frozen(f->fs));
    assert_int_equal(f->fs->ops->sync(f->fs->self, file, NULL), ZSP_EIO);
    assert_int_equal(open_file(f, "b", FS_CREATE), ZSP_EIO);
    crash_fs_power_loss(f->fs, 1);
    assert_false(crash_fs_frozen(f->fs));
    assert_int_equal(byte_at(f, "a", 0), 'x');
    assert_false(exists(f, "b"));
}

static void a_full_disk_takes_what_fits_and_then_refuses(void **state)
{
    struct fixture *f = *state;
    crash_fs_set_limit(f->fs, 4096);
    const int file = open_file(f, "a", FS_CREATE);
    write_bytes(f, file, 'x', 0, 4000);
    char data[200] = {0};
    const struct iovec iov = {.iov_base = data, .iov_len = sizeof data};
    size_t len = 0;
    assert_int_equal(f->fs->ops->write(f->fs->self, file, &iov, 1, 4000, &len, NULL), 0);
    assert_int_equal(len, 96);
    assert_int_equal(f->fs->ops->write(f->fs->self, file, &iov, 1, 4096, &len, NULL),
                     ZSP_ENO_SPACE);
    assert_int_equal(len, 0);
    uint64_t room = 9;
    assert_int_equal(f->fs->ops->free_bytes(f->fs->self, &room, NULL), 0);
    assert_int_equal(room, 0);
    assert_int_equal(f->fs->ops->unlink(f->fs->self, "a", NULL), 0);
    assert_int_equal(f->fs->ops->free_bytes(f->fs->self, &room, NULL), 0);
    assert_int_equal(room, 4096);
}

static void a_lock_is_held_by_one_file_until_it_is_closed(void **state)
{
    struct fixture *f = *state;
    const int first = open_file(f, "LOCK", FS_CREATE);
    const int second = open_file(f, "LOCK", FS_WRITE);
    assert_int_equal(f->fs->ops->lock(f->fs->self, first, NULL), 0);
    assert_int_equal(f->fs->ops->lock(f->fs->self, second, NULL), ZSP_ELOCKED);
    assert_int_equal(f->fs->ops->close(f->fs->self, first, NULL), 0);
    assert_int_equal(f->fs->ops->lock(f->fs->self, second, NULL), 0);
}

static void a_flipped_bit_is_read_back(void **state)
{
    struct fixture *f = *state;
    (void)make_durable_file(f, "a", 'x', 10);
    assert_true(crash_fs_flip(f->fs, "a", 3, 0));
    assert_int_equal(byte_at(f, "a", 3), 'x' ^ 1);
    assert_false(crash_fs_flip(f->fs, "a", 10, 0));
    assert_false(crash_fs_flip(f->fs, "b", 0, 0));
    crash_fs_power_loss(f->fs, 3);
    assert_int_equal(byte_at(f, "a", 3), 'x' ^ 1);
}

static void a_truncated_file_stays_so_once_it_is_synced(void **state)
{
    struct fixture *f = *state;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        reset(f);
        const int file = make_durable_file(f, "a", 'x', 1000);
        assert_int_equal(f->fs->ops->truncate(f->fs->self, file, 10, NULL), 0);
        assert_int_equal(f->fs->ops->truncate(f->fs->self, file, 20, NULL), 0);
        sync_file(f, file);
        crash_fs_power_loss(f->fs, seed);
        assert_int_equal(byte_at(f, "a", 9), 'x');
        assert_int_equal(byte_at(f, "a", 19), 0);
        assert_int_equal(byte_at(f, "a", 20), -1);
    }
}

/* Goal: after a failed sync the bytes are seen, but no later sync brings them to disk. */
static void a_failed_sync_makes_dirty_pages_clean(void **state)
{
    struct fixture *f = *state;
    int lost = 0;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        reset(f);
        const int file = make_durable_file(f, "a", 'o', 4096);
        write_bytes(f, file, 'n', 0, 512);
        crash_fs_fail_sync(f->fs, 0, seed);
        assert_int_equal(f->fs->ops->sync(f->fs->self, file, NULL), ZSP_EIO);
        sync_file(f, file);
        assert_int_equal(byte_at(f, "a", 0), 'n');
        crash_fs_power_loss(f->fs, seed);
        lost += byte_at(f, "a", 0) == 'o';
    }
    assert_in_range(lost, 20, SEED_COUNT - 20);
}

static void a_tree_can_be_copied_out(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(f->fs->ops->mkdir(f->fs->self, "d", NULL), 0);
    const int file = open_file(f, "d/a", FS_CREATE);
    write_bytes(f, file, 'x', 0, 10);
    struct test_dir dir;
    test_dir_init(&dir);
    assert_int_equal(crash_fs_export(f->fs, dir.path, NULL), 0);
    struct fs *copy = fs_posix_new(dir.path, NULL);
    const int copied = copy->ops->open(copy->self, "d/a", FS_READ, NULL);
    assert_true(copied >= 0);
    uint64_t bytes = 0;
    assert_int_equal(copy->ops->size(copy->self, copied, &bytes, NULL), 0);
    assert_int_equal(bytes, 10);
    assert_int_equal(copy->ops->close(copy->self, copied, NULL), 0);
    fs_posix_destroy(&copy);
    test_dir_fini(&dir);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(synced_data_under_a_synced_name_survives_every_crash),
        TEST(a_name_that_was_not_synced_may_vanish_or_stay),
        TEST(everything_below_a_lost_directory_is_lost),
        TEST(unsynced_writes_are_lost_kept_and_torn),
        TEST(unsynced_writes_are_reordered),
        TEST(a_sector_never_has_a_later_write_without_an_earlier_one),
        TEST(an_unsynced_append_may_leave_zeros_or_nothing),
        TEST(a_rename_is_done_or_not_done),
        TEST(a_rename_is_durable_after_the_sync_of_its_directory),
        TEST(an_unlinked_name_may_come_back_with_its_synced_bytes),
        TEST(a_crash_of_the_process_loses_nothing_yet),
        TEST(the_same_seed_leaves_the_same_image),
        TEST(a_frozen_file_system_refuses_until_the_crash),
        TEST(a_full_disk_takes_what_fits_and_then_refuses),
        TEST(a_lock_is_held_by_one_file_until_it_is_closed),
        TEST(a_flipped_bit_is_read_back),
        TEST(a_truncated_file_stays_so_once_it_is_synced),
        TEST(a_failed_sync_makes_dirty_pages_clean),
        TEST(a_tree_can_be_copied_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
