/* SPDX-License-Identifier: MPL-2.0
 *
 * Every state of the journal's files that docs/LOG_FORMAT.md names, one test
 * each, and the directory around them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/file/layout.h"
#include "broker/store/journal/journal_record.h"
#include "common/hash.h"
#include "tests/broker/store/log_case.h"
#include "tests/support/crash_fs.h"

#define NEXT_JOURNAL "journal/00000000000000000002.jnl"

/* Where the records of the first journal file end, and its n-th record from the end begins. */
static uint64_t journal_end(struct log_case *c, int back)
{
    static uint8_t bytes[65536];
    const size_t len = log_case_file_read(c, CASE_JOURNAL, bytes, sizeof bytes);
    uint64_t starts[512] = {0};
    int count = 0;
    uint64_t pos = 0;
    while (pos < len && bytes[pos] == 'Z') {
        starts[count++] = pos;
        const struct journal_header header = journal_read_header(bytes + pos);
        pos += journal_record_bytes(&header);
    }
    assert_in_range(back, 0, count);
    return back == 0 ? pos : starts[count - back];
}

static void assert_open_fails(struct log_case *c, int code, const char *word)
{
    assert_int_equal(log_case_open(c), code);
    if (!strstr(c->err.msg, word)) {
        fail_msg("no \"%s\" in: %s", word, c->err.msg);
    }
}

/* Small files, so that the journal is carried forward. */
static void many_small_files(struct log_case *c)
{
    c->options.journal_file_bytes = 2048;
    c->options.journal_bytes_min = 1u << 20; /* nothing is dropped yet */
    log_case_reopen(c);
    for (int i = 0; i < 60; i++) {
        char value[64];
        (void)snprintf(value, sizeof value, "%050d", i);
        log_case_put(c, "a", STORE_IMAGE, value);
    }
    log_case_settle(c);
}

/* --- The end ------------------------------------------------------------------------------- */

static void zeros_behind_the_last_record_are_its_plain_end(void **state)
{
    struct log_case *c = *state;
    log_case_put(c, "a", STORE_IMAGE, "1");
    log_case_put(c, "a", STORE_DELTA, "2");
    log_case_reopen(c);
    assert_true(log_case_file_size(c, CASE_JOURNAL) > journal_end(c, 0));
    assert_string_equal(c->entries, "a=1 a+2 ");
    assert_int_equal(c->warnings, 0);
}

static void a_torn_record_is_cut(void **state)
{
    struct log_case *c = *state;
    log_case_put(c, "a", STORE_IMAGE, "1");
    log_case_put(c, "b", STORE_IMAGE, "2");
    log_case_kill(c);
    const uint64_t pos = journal_end(c, 1);
    log_case_file_spoil(c, CASE_JOURNAL, pos + 70, pos + 71);
    log_case_reopen(c);
    assert_string_equal(c->entries, "a=1 ");
    assert_int_equal(log_case_dir_count(c, "cut"), 2);
    log_case_put(c, "c", STORE_IMAGE, "3");
    log_case_reopen(c);
    assert_string_equal(c->entries, "a=1 c=3 ");
    assert_int_equal(c->warnings, 0);
}

static void a_whole_record_behind_a_torn_one_goes_with_it(void **state)
{
    struct log_case *c = *state;
    log_case_put(c, "a", STORE_IMAGE, "1");
    /* Both in one write, so that the second does not prove the first. */
    const struct store_entry b = {zsp_slice_str("b"), STORE_IMAGE, zsp_slice_str("2")};
    const struct store_entry d = {zsp_slice_str("d"), STORE_IMAGE, zsp_slice_str("4")};
    assert_int_equal(c->store->ops->state_put(c->store, &b, 1, STORE_WRITTEN, 6, NULL), 0);
    assert_int_equal(c->store->ops->state_put(c->store, &d, 1, STORE_WRITTEN, 6, NULL), 0);
    log_case_run(c);
    log_case_kill(c);
    const uint64_t pos = journal_end(c, 2);
    log_case_file_spoil(c, CASE_JOURNAL, pos, pos + 4);
    log_case_reopen(c);
    assert_string_equal(c->entries, "a=1 ");
    log_case_reopen(c);
    assert_string_equal(c->entries, "a=1 ");
    assert_int_equal(c->warnings, 0);
}

static void a_record_of_another_place_is_not_valid(void **state)
{
    struct log_case *c = *state;
    log_case_put(c, "a", STORE_IMAGE, "1");
    log_case_close(c);
    static uint8_t bytes[65536];
    (void)log_case_file_read(c, CASE_JOURNAL, bytes, sizeof bytes);
    const uint64_t last = journal_end(c, 1);
    const uint64_t end = journal_end(c, 0);
    log_case_file_write(c, CASE_JOURNAL, end, bytes + last, (size_t)(end - last));
    log_case_reopen(c);
    assert_string_equal(c->entries, "a=1 ");
    assert_int_equal(log_case_dir_count(c, "cut"), 2);
}

/* --- Damage --------------------------------------------------------------------------------- */

static void damage_before_a_record_that_proves_it_synced_ends_the_start(void **state)
{
    struct log_case *c = *state;
    log_case_put(c, "a", STORE_IMAGE, "1");
    log_case_put(c, "b", STORE_IMAGE, "2");
    log_case_put(c, "c", STORE_IMAGE, "3");
    log_case_close(c);
    const uint64_t pos = journal_end(c, 3);
    log_case_file_spoil(c, CASE_JOURNAL, pos + 20, pos + 24);
    char place[64];
    (void)snprintf(place, sizeof place, "00000000000000000001.jnl at pos %u", (unsigned)pos);
    assert_open_fails(c, ZSP_ECORRUPT, place);
    assert_int_equal(log_case_dir_count(c, "cut"), 0);
    assert_open_fails(c, ZSP_ECORRUPT, place); /* nothing was changed */
}

static void damage_before_a_later_file_ends_the_start(void **state)
{
    struct log_case *c = *state;
    many_small_files(c);
    log_case_close(c);
    const uint64_t pos = journal_end(c, 1);
    log_case_file_spoil(c, CASE_JOURNAL, pos, pos + 8);
    assert_open_fails(c, ZSP_ECORRUPT, "journal/00000000000000000001.jnl at pos");
}

static void an_empty_first_file_ends_the_start(void **state)
{
    struct log_case *c = *state;
    many_small_files(c);
    log_case_close(c);
    log_case_file_zero(c, CASE_JOURNAL, 0, log_case_file_size(c, CASE_JOURNAL));
    for (int i = 0; i < 2; i++) {
        assert_open_fails(c, ZSP_ECORRUPT, "journal/00000000000000000001.jnl at pos 0");
    }
}

static void a_missing_file_ends_the_start(void **state)
{
    struct log_case *c = *state;
    many_small_files(c);
    log_case_close(c);
    log_case_file_remove(c, NEXT_JOURNAL);
    assert_open_fails(c, ZSP_ECORRUPT, "journal file 2 is missing");
}

static void a_missing_oldest_file_ends_the_start(void **state)
{
    struct log_case *c = *state;
    many_small_files(c);
    log_case_close(c);
    log_case_file_remove(c, CASE_JOURNAL);
    assert_open_fails(c, ZSP_ECORRUPT, "journal file 1, the oldest, is missing");
}

static void a_journal_that_lost_all_its_files_ends_the_start(void **state)
{
    struct log_case *c = *state;
    log_case_close(c);
    log_case_file_remove(c, CASE_JOURNAL);
    assert_open_fails(c, ZSP_ECORRUPT, "the journal is empty");
}

/* An old copy of the journal under newer messages, of partition 1 alone. Closed afterwards. */
static void put_back_an_old_journal(struct log_case *c)
{
    log_case_close(c);
    static uint8_t old[65536];
    const size_t len = log_case_file_read(c, CASE_JOURNAL, old, sizeof old);
    for (int i = 0; i < 3; i++) {
        log_case_reopen(c);
        log_case_fill(c, 1, "x", 1);
        log_case_close(c);
    }
    log_case_file_zero(c, CASE_JOURNAL, 0, log_case_file_size(c, CASE_JOURNAL));
    log_case_file_write(c, CASE_JOURNAL, 0, old, len);
}

static void a_journal_older_than_the_messages_ends_the_start(void **state)
{
    struct log_case *c = *state;
    put_back_an_old_journal(c);
    for (int i = 0; i < 5; i++) { /* however often it is tried: a refused start does not count */
        assert_open_fails(c, ZSP_ECORRUPT, "older than they are");
    }
}

/* What it does not know may be what a compaction made of segments that are gone. */
static void a_refused_start_removes_nothing(void **state)
{
    struct log_case *c = *state;
    static const char made[] = "topics/7-orders/0/00000000000000000000-1.log";
    log_case_fill(c, 0, "x", 60);
    assert_true(log_case_info(c, 0).segment_count > 1);
    put_back_an_old_journal(c);
    log_case_file_make(c, made);
    assert_open_fails(c, ZSP_ECORRUPT, "older than they are");
    assert_int_equal(log_case_file_size(c, made), 0);
}

/* False: the start was refused before that call. */
static bool cut_the_power_of_refused_starts(uint64_t call)
{
    void *state = NULL;
    assert_int_equal(log_case_set_up(&state), 0);
    struct log_case *c = state;
    put_back_an_old_journal(c);
    bool cut = false;
    for (uint64_t i = 0; i < 5; i++) {
        crash_fs_freeze_at(c->fs, call);
        assert_int_not_equal(log_case_open(c), 0);
        cut = crash_fs_frozen(c->fs);
        crash_fs_power_loss(c->fs, call * 5 + i);
    }
    assert_open_fails(c, ZSP_ECORRUPT, "older than they are");
    assert_int_equal(log_case_tear_down(&state), 0);
    return cut;
}

/* Whatever a start has made durable until the power goes, the next one finds what it would have found. */
static void power_cuts_of_refused_starts_make_no_journal_younger(void **state)
{
    (void)state;
    uint64_t calls = 0;
    while (cut_the_power_of_refused_starts(calls)) {
        calls++;
    }
    assert_true(calls > 20);
}

/* --- Files ------------------------------------------------------------------------------------- */

static void a_next_file_made_ahead_is_taken_over(void **state)
{
    struct log_case *c = *state;
    log_case_put(c, "a", STORE_IMAGE, "1");
    log_case_close(c);
    log_case_file_make(c, NEXT_JOURNAL);
    log_case_file_zero(c, NEXT_JOURNAL, 0, 1024);
    log_case_reopen(c);
    assert_string_equal(c->entries, "a=1 ");
    assert_int_equal(c->warnings, 0);
    many_small_files(c);
    log_case_reopen(c);
    assert_int_equal(c->warnings, 0);
}

static void a_file_that_the_journal_says_is_gone_is_removed(void **state)
{
    struct log_case *c = *state;
    log_case_put(c, "z", STORE_IMAGE, "kept");
    log_case_close(c);
    static uint8_t old[65536];
    many_small_files(c);
    const size_t len = log_case_file_read(c, CASE_JOURNAL, old, sizeof old);
    c->options.journal_bytes_min = 4096;
    log_case_reopen(c);
    for (int i = 0; i < 200 && log_case_file_size(c, CASE_JOURNAL) != UINT64_MAX; i++) {
        log_case_put(c, "z", STORE_IMAGE, "kept");
        log_case_put(c, "a", STORE_IMAGE, "last");
    }
    assert_int_equal(log_case_file_size(c, CASE_JOURNAL), UINT64_MAX);
    const bool second = log_case_file_size(c, NEXT_JOURNAL) != UINT64_MAX;
    log_case_kill(c);
    if (second) { /* as if the unlink had not become durable */
        log_case_file_make(c, CASE_JOURNAL);
        log_case_file_write(c, CASE_JOURNAL, 0, old, len);
    }
    log_case_reopen(c);
    assert_int_equal(log_case_file_size(c, CASE_JOURNAL), UINT64_MAX);
    assert_int_equal(c->warnings, 0);
    assert_non_null(strstr(c->entries, "z=kept "));
}

/* --- Objects --------------------------------------------------------------------------------------- */

static void a_delta_of_nothing_is_refused(void **state)
{
    struct log_case *c = *state;
    const struct store_entry entry = {zsp_slice_str("n"), STORE_DELTA, zsp_slice_str("1")};
    assert_int_equal(c->store->ops->state_put(c->store, &entry, 1, STORE_SYNCED_LEVEL, 1, NULL),
                     ZSP_EINVAL);
    const struct store_entry own = {{(const uint8_t *)"\0x", 2}, STORE_IMAGE, zsp_slice_str("1")};
    assert_int_equal(c->store->ops->state_put(c->store, &own, 1, STORE_SYNCED_LEVEL, 1, NULL),
                     ZSP_EINVAL);
}

/* Write a record with one entry behind the last one, as only a bug could. */
static void forge_record(struct log_case *c, uint64_t number, const struct store_entry *entry)
{
    uint8_t format[256];
    (void)log_case_file_read(c, "FORMAT", format, sizeof format);
    const char *hex = strstr((const char *)format, "uuid ") + 5;
    uint8_t uuid[STORE_UUID_BYTES];
    for (size_t i = 0; i < sizeof uuid; i++) {
        const char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        uuid[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    uint8_t record[256] = {0};
    struct zsp_writer body = {0};
    journal_write_entries(&body, entry, 1);
    memcpy(record + JOURNAL_HEADER_BYTES, body.data, body.len);
    const struct journal_header header = {.body_bytes = (uint32_t)body.len,
                                          .entry_count = 1,
                                          .number = number,
                                          .epoch = (uint64_t)1 << 32};
    const struct journal_place place = {uuid, 1, journal_end(c, 0)};
    journal_seal(record, &header, &place);
    log_case_file_write(c, CASE_JOURNAL, place.pos, record, (size_t)journal_record_bytes(&header));
    zsp_writer_fini(&body);
}

/* Fill the rest of the file with headers that pretend to be records of version 1 with large bodies
 * that overlap, whose sums would prove anything. */
static void forge_old_headers(struct log_case *c, uint64_t from)
{
    enum { BYTES = 8 << 20 };
    uint8_t *bytes = calloc(1, BYTES);
    assert_non_null(bytes);
    const struct journal_header header = {.body_bytes = 4u << 20,
                                          .entry_count = 1,
                                          .number = 1000,
                                          .epoch = (uint64_t)9 << 32,
                                          .synced_to = 1u << 30};
    uint8_t record[JOURNAL_HEADER_BYTES];
    journal_put_header(record, &header);
    record[4] = 1;
    record[8] = 64;
    memset(record + 56, 0x77, 8);
    for (size_t pos = 0; pos < BYTES; pos += 64) {
        memcpy(bytes + pos, record, 64);
    }
    log_case_file_write(c, CASE_JOURNAL, from, bytes, BYTES);
    free(bytes);
}

static void forged_headers_behind_the_end_are_passed_quickly(void **state)
{
    struct log_case *c = *state;
    log_case_put(c, "a", STORE_IMAGE, "1");
    log_case_kill(c);
    forge_old_headers(c, journal_end(c, 0) + 8);
    log_case_reopen(c);
    assert_string_equal(c->entries, "a=1 ");
    assert_int_equal(log_case_dir_count(c, "cut"), 2);
}

/* Where nothing newer was ever written, that takes too long: nothing is cut on a guess. */
static void what_cannot_be_told_from_old_records_is_not_cut(void **state)
{
    struct log_case *c = *state;
    log_case_kill(c);
    static const uint8_t body[] = {0, 1, 0, 1, 0, 0, 0, 'a', '1'};
    uint8_t uuid[STORE_UUID_BYTES];
    assert_int_equal(layout_read_format(c->fs, uuid, NULL), 0);
    const struct journal_header header = {.body_bytes = sizeof body, .entry_count = 1};
    uint8_t record[80] = {0};
    journal_put_header(record, &header);
    record[4] = 1;
    record[8] = 64;
    memset(record + 64, 0, sizeof record - 64);
    memcpy(record + 64, body, sizeof body);
    uint8_t place[STORE_UUID_BYTES + 16] = {0}; /* pos 0 of file 1 */
    memcpy(place, uuid, sizeof uuid);
    place[STORE_UUID_BYTES] = 1;
    const uint64_t bound = zsp_hash((struct zsp_slice){place, sizeof place});
    const uint64_t seed = zsp_hash_seeded((struct zsp_slice){record, 56}, bound);
    zsp_put_u64(record + 56, zsp_hash_seeded((struct zsp_slice){body, sizeof body}, seed));
    log_case_file_truncate(c, CASE_JOURNAL, 0);
    log_case_file_write(c, CASE_JOURNAL, 0, record, sizeof record);
    c->topic_known = false;
    assert_int_equal(log_case_open(c), 0); /* the record is good */
    assert_string_equal(c->entries, "a=1 ");
    log_case_kill(c);
    log_case_file_truncate(c, CASE_JOURNAL, sizeof record);
    forge_old_headers(c, sizeof record + 8);
    assert_open_fails(c, ZSP_ECORRUPT, "at pos 80");
    assert_int_equal(log_case_dir_count(c, "cut"), 0);
}

static void a_delta_of_an_object_that_is_nowhere_ends_the_start(void **state)
{
    struct log_case *c = *state;
    log_case_put(c, "a", STORE_IMAGE, "1");
    log_case_close(c);
    static uint8_t bytes[65536];
    (void)log_case_file_read(c, CASE_JOURNAL, bytes, sizeof bytes);
    const uint64_t number = zsp_get_u64(bytes + journal_end(c, 1) + 24) + 1;
    const struct store_entry delta = {zsp_slice_str("lost"), STORE_DELTA, zsp_slice_str("1")};
    forge_record(c, number, &delta);
    assert_open_fails(c, ZSP_ECORRUPT, "changes an object that is nowhere");
    /* But it is skipped when an image follows. */
    const struct store_entry image = {zsp_slice_str("lost"), STORE_IMAGE, zsp_slice_str("2")};
    forge_record(c, number + 1, &image);
    log_case_reopen(c);
    assert_string_equal(c->entries, "a=1 lost=2 ");
}

static void a_gone_object_is_not_told_any_more(void **state)
{
    struct log_case *c = *state;
    log_case_put(c, "a", STORE_IMAGE, "1");
    log_case_put(c, "a", STORE_GONE, "");
    log_case_put(c, "a", STORE_IMAGE, "2");
    log_case_put(c, "b", STORE_IMAGE, "3");
    log_case_put(c, "b", STORE_GONE, "");
    log_case_reopen(c);
    assert_string_equal(c->entries, "a=1 a- a=2 b=3 b- ");
}

static void broker_time_is_the_highest_of_any_record(void **state)
{
    struct log_case *c = *state;
    c->store->ops->set_broker_time(c->store, 123456);
    log_case_put(c, "a", STORE_IMAGE, "1");
    log_case_reopen(c);
    assert_int_equal(c->store->ops->broker_time(c->store), 123456);
}

/* --- The directory --------------------------------------------------------------------------------- */

static void a_store_in_use_is_locked(void **state)
{
    struct log_case *c = *state;
    struct zsp_err err = {0};
    assert_null(log_store_open(&c->options, &err));
    assert_int_equal(err.code, ZSP_ELOCKED);
}

static void a_missing_store_is_not_made_without_being_asked(void **state)
{
    struct log_case *c = *state;
    log_case_close(c);
    log_case_file_remove(c, "LOCK");
    c->options.create = false;
    assert_open_fails(c, ZSP_ENOT_FOUND, "LOCK");
}

static void files_without_format_are_not_taken_for_a_new_store(void **state)
{
    struct log_case *c = *state;
    log_case_close(c);
    log_case_file_remove(c, "FORMAT");
    assert_open_fails(c, ZSP_ECORRUPT, "FORMAT is missing");
}

static void a_damaged_format_is_refused(void **state)
{
    struct log_case *c = *state;
    log_case_close(c);
    log_case_file_write(c, "FORMAT", 34, "0", 1);
    log_case_file_write(c, "FORMAT", 35, "1", 1);
    assert_open_fails(c, ZSP_ECORRUPT, "FORMAT");
}

static void a_newer_format_is_refused_and_left_alone(void **state)
{
    struct log_case *c = *state;
    log_case_close(c);
    log_case_file_write(c, "FORMAT", 21, "9", 1);
    assert_open_fails(c, ZSP_EFORMAT, "version 9");
}

/* The crash came after the directories, before FORMAT. */
static void a_creation_without_format_begins_again(void **state)
{
    struct log_case *c = *state;
    log_case_close(c);
    log_case_file_remove(c, "FORMAT");
    log_case_file_remove(c, CASE_JOURNAL);
    for (int i = 0; i < 2; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "topics/7-orders/%d/00000000000000000000.log", i);
        log_case_file_remove(c, path);
        (void)snprintf(path, sizeof path, "topics/7-orders/%d", i);
        assert_true(c->fs->ops->rmdir(c->fs->self, path, NULL) >= 0);
    }
    assert_true(c->fs->ops->rmdir(c->fs->self, "topics/7-orders", NULL) >= 0);
    c->topic_known = false;
    log_case_reopen(c);
    assert_int_equal(c->warnings, 0);
    /* And once more, after FORMAT but before the journal. */
    log_case_close(c);
    log_case_file_remove(c, CASE_JOURNAL);
    log_case_reopen(c);
}

/* Nothing says that there were no messages: somebody took the directory away. */
static void a_missing_directory_is_damage(void **state)
{
    struct log_case *c = *state;
    log_case_close(c);
    assert_int_equal(c->fs->ops->rename(c->fs->self, "topics", "elsewhere", NULL), 0);
    assert_open_fails(c, ZSP_ECORRUPT, "the directory topics is missing");
    assert_int_equal(c->fs->ops->rename(c->fs->self, "elsewhere", "topics", NULL), 0);
    assert_int_equal(log_case_open(c), 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, log_case_set_up, log_case_tear_down)
    const struct CMUnitTest tests[] = {
        CASE(zeros_behind_the_last_record_are_its_plain_end),
        CASE(a_torn_record_is_cut),
        CASE(a_whole_record_behind_a_torn_one_goes_with_it),
        CASE(a_record_of_another_place_is_not_valid),
        CASE(damage_before_a_record_that_proves_it_synced_ends_the_start),
        CASE(damage_before_a_later_file_ends_the_start),
        CASE(a_missing_file_ends_the_start),
        CASE(a_missing_oldest_file_ends_the_start),
        CASE(a_journal_that_lost_all_its_files_ends_the_start),
        CASE(a_journal_older_than_the_messages_ends_the_start),
        CASE(a_refused_start_removes_nothing),
        cmocka_unit_test(power_cuts_of_refused_starts_make_no_journal_younger),
        CASE(an_empty_first_file_ends_the_start),
        CASE(a_next_file_made_ahead_is_taken_over),
        CASE(a_file_that_the_journal_says_is_gone_is_removed),
        CASE(a_delta_of_nothing_is_refused),
        CASE(forged_headers_behind_the_end_are_passed_quickly),
        CASE(what_cannot_be_told_from_old_records_is_not_cut),
        CASE(a_delta_of_an_object_that_is_nowhere_ends_the_start),
        CASE(a_gone_object_is_not_told_any_more),
        CASE(broker_time_is_the_highest_of_any_record),
        CASE(a_store_in_use_is_locked),
        CASE(a_missing_store_is_not_made_without_being_asked),
        CASE(files_without_format_are_not_taken_for_a_new_store),
        CASE(a_damaged_format_is_refused),
        CASE(a_newer_format_is_refused_and_left_alone),
        CASE(a_creation_without_format_begins_again),
        CASE(a_missing_directory_is_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
