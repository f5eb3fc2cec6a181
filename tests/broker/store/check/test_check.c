/* SPDX-License-Identifier: MPL-2.0
 *
 * The check of a data directory: a store that was closed, or that crashed, is clean, and
 * each kind of damage is told with file, pos and what it costs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/store/check/check.h"
#include "broker/store/check/repair.h"
#include "common/codec.h"
#include "common/record.h"
#include "tests/broker/store/log_case.h"
#include "tests/support/crash_fs.h"
#include "tests/support/fault_fs.h"
#include "tests/support/plain_body.h"

#define INDEX        "topics/7-orders/0/00000000000000000000.idx"
#define IDS          "topics/7-orders/0/00000000000000000000.ids"
#define PRI          "topics/7-orders/0/00000000000000000000.pri"
#define NEXT_SEGMENT "topics/7-orders/0/00000000000000000001.log"

/* What a check told: the findings as lines, damage and notes apart. */
struct told {
    struct check_summary summary;
    struct check_finding damage; /* the first */
    char path[256];              /* of it */
    char text[512];
    char notes[4096];
};

static void keep(void *arg, const struct check_finding *finding)
{
    struct told *told = arg;
    if (finding->severity == CHECK_NOTE) {
        const size_t len = strlen(told->notes);
        (void)snprintf(told->notes + len, sizeof told->notes - len, "%s: %s\n", finding->path,
                       finding->text);
    } else if (told->path[0] == '\0') {
        told->damage = *finding;
        (void)snprintf(told->path, sizeof told->path, "%s", finding->path);
        (void)snprintf(told->text, sizeof told->text, "%s", finding->text);
    }
}

static struct told check(struct log_case *c)
{
    struct told told = {0};
    const struct check_options options = {
        .fs = c->fs, .sequences = true, .finding_fn = keep, .arg = &told};
    struct zsp_err err = {0};
    if (check_store(&options, &told.summary, &err) != 0) {
        fail_msg("check: %s", err.msg);
    }
    return told;
}

/* One damage: here, with these words, and these offsets lost. */
static void assert_damage(struct log_case *c, const char *path, uint64_t pos, const char *text,
                          struct store_range lost)
{
    const struct told told = check(c);
    assert_int_equal(told.summary.damages, 1);
    assert_string_equal(told.path, path);
    assert_int_equal(told.damage.pos, pos);
    if (!strstr(told.text, text)) {
        fail_msg("\"%s\" is not in \"%s\"", text, told.text);
    }
    assert_int_equal(told.damage.offsets.first_offset, lost.first_offset);
    assert_int_equal(told.damage.offsets.end_offset, lost.end_offset);
    assert_int_equal(told.summary.lost_messages, lost.end_offset - lost.first_offset);
}

static const struct store_range nothing = {0, 0};

/* Two segments in partition 0, the first one sealed; closed. */
static void two_segments(struct log_case *c)
{
    log_case_fill(c, 0, "some weight in this body of a batch, so that it takes few of them ", 40);
    log_case_settle(c);
    assert_true(log_case_info(c, 0).segment_count >= 2);
    log_case_close(c);
}

/* --- Clean ------------------------------------------------------------------------------- */

static void a_closed_store_is_clean_and_counted(void **state)
{
    struct log_case *c = *state;
    two_segments(c);
    const struct told told = check(c);
    assert_int_equal(told.summary.damages, 0);
    assert_string_equal(told.notes, "");
    assert_int_equal(told.summary.messages, 40);
    assert_int_equal(told.summary.batches, 40);
    assert_int_equal(told.summary.topics, 1);
    assert_int_equal(told.summary.partitions, 2);
    assert_true(told.summary.segments >= 3);
    assert_int_equal(told.summary.indexes + 2, told.summary.segments);
    assert_int_equal(told.summary.start_count, 1);
    assert_true(told.summary.journal_records > 2);
}

/* Goal: a crash between .idx and the fact of a seal leaves an index that is of less than the
 * segment is in the end; it goes when the next seal cannot write its own. */
static void an_index_that_an_earlier_seal_left_does_not_stay(void **state)
{
    struct log_case *c = *state;
    log_case_fill(c, 0, "opens the segment ", 1);
    log_case_file_make(c, INDEX);
    log_case_file_write(c, INDEX, 0, "of an earlier seal", 18);
    log_case_close(c);
    struct fs *faulty = fault_fs_new(c->fs);
    c->options.fs = faulty;
    log_case_reopen(c);
    const struct fault fault = {
        .call = FS_CALL_RENAME, .repeat = UINT64_MAX, .code = ZSP_ENO_SPACE, .sys_errno = ENOSPC};
    fault_fs_set(faulty, &fault);
    two_segments(c);
    assert_true(fault_fs_hits(faulty) > 0);
    c->options.fs = c->fs;
    fault_fs_destroy(&faulty);
    const struct told told = check(c);
    assert_string_equal(told.text, "");
    assert_non_null(strstr(told.notes, INDEX ": missing; it is rebuilt"));
}

/* A check changes no byte: a second one, and a start, find the same. */
static void a_killed_store_is_clean(void **state)
{
    struct log_case *c = *state;
    log_case_fill(c, 0, "x", 5);
    assert_int_equal(log_case_append(c, 0, "written, not synced"), 0);
    log_case_kill(c);
    assert_int_equal(check(c).summary.damages, 0);
    assert_int_equal(check(c).summary.damages, 0);
    log_case_reopen(c);
    assert_int_equal(c->warnings, 0);
}

/* Cut off in the middle of the last batch, which nothing proves. */
static void a_torn_tail_is_a_note(void **state)
{
    struct log_case *c = *state;
    static uint8_t journal[65536];
    log_case_fill(c, 0, "x", 2);
    log_case_settle(c);
    const size_t len = log_case_file_read(c, CASE_JOURNAL, journal, sizeof journal);
    assert_int_equal(log_case_append(c, 0, "third"), 0);
    log_case_run(c);
    log_case_kill(c);
    log_case_file_write(c, CASE_JOURNAL, 0, journal, len);
    log_case_file_zero(c, CASE_JOURNAL, len, log_case_file_size(c, CASE_JOURNAL));
    const uint64_t pos = log_case_batch_pos(c, CASE_SEGMENT, 2);
    log_case_file_spoil(c, CASE_SEGMENT, pos + 112, pos + 114);
    const struct told told = check(c);
    assert_int_equal(told.summary.damages, 0);
    assert_non_null(strstr(told.notes, "torn tail"));
    assert_true(told.summary.torn_bytes > 112);
}

static void files_without_format_are_damage(void **state)
{
    struct log_case *c = *state;
    log_case_close(c);
    log_case_file_remove(c, "FORMAT");
    assert_damage(c, "FORMAT", CHECK_NO_POS, "missing, but there are files", nothing);
}

static void an_empty_directory_is_no_store(void **state)
{
    (void)state;
    struct fs *fs = crash_fs_new();
    struct told told = {0};
    const struct check_options options = {.fs = fs, .finding_fn = keep, .arg = &told};
    assert_int_equal(check_store(&options, &told.summary, NULL), ZSP_ENOT_FOUND);
    crash_fs_destroy(&fs);
}

/* --- Batches ------------------------------------------------------------------------------- */

static void a_flipped_header_is_told_with_what_it_costs(void **state)
{
    struct log_case *c = *state;
    log_case_fill(c, 0, "x", 5);
    log_case_close(c);
    const uint64_t pos = log_case_batch_pos(c, CASE_SEGMENT, 1);
    log_case_file_spoil(c, CASE_SEGMENT, pos + 33, pos + 34);
    assert_damage(c, CASE_SEGMENT, pos, "header sum", (struct store_range){1, 2});
}

static void a_flipped_body_is_told_with_what_it_costs(void **state)
{
    struct log_case *c = *state;
    log_case_fill(c, 0, "x", 5);
    log_case_close(c);
    const uint64_t pos = log_case_batch_pos(c, CASE_SEGMENT, 3);
    log_case_file_spoil(c, CASE_SEGMENT, pos + 112, pos + 113);
    assert_damage(c, CASE_SEGMENT, pos, "body sum", (struct store_range){3, 4});
}

static void a_batch_copied_to_another_place_is_damage(void **state)
{
    struct log_case *c = *state;
    static uint8_t bytes[4096];
    log_case_fill(c, 0, "x", 5);
    log_case_close(c);
    const uint64_t from = log_case_batch_pos(c, CASE_SEGMENT, 1);
    const uint64_t to = log_case_batch_pos(c, CASE_SEGMENT, 3);
    assert_true(log_case_file_read(c, CASE_SEGMENT, bytes, sizeof bytes) > to);
    log_case_file_write(c, CASE_SEGMENT, to, bytes + from, (size_t)(to - from) / 2);
    assert_damage(c, CASE_SEGMENT, to, "header sum", (struct store_range){3, 4});
}

static void zeros_below_the_mark_are_damage(void **state)
{
    struct log_case *c = *state;
    log_case_fill(c, 0, "x", 4);
    log_case_close(c);
    const uint64_t pos = log_case_batch_pos(c, CASE_SEGMENT, 2);
    log_case_file_zero(c, CASE_SEGMENT, pos, log_case_batch_pos(c, CASE_SEGMENT, 4));
    assert_damage(c, CASE_SEGMENT, pos, "zeros where a batch was", (struct store_range){2, 4});
}

static void a_truncated_active_segment_is_damage(void **state)
{
    struct log_case *c = *state;
    log_case_fill(c, 0, "x", 4);
    log_case_close(c);
    const uint64_t pos = log_case_batch_pos(c, CASE_SEGMENT, 3);
    log_case_file_truncate(c, CASE_SEGMENT, pos + 20);
    assert_damage(c, CASE_SEGMENT, pos, "the file ends inside a header",
                  (struct store_range){3, 4});
}

static void append_sequence(struct log_case *c, uint64_t producer, uint64_t sequence)
{
    struct zsp_buf *buf = zsp_buf_copy(zsp_slice_str("body"));
    const struct store_batch batch = {.frame = buf,
                                      .body = {buf->data, buf->len},
                                      .record_count = 2,
                                      .producer_id = producer,
                                      .producer_epoch = 1,
                                      .sequence = sequence};
    assert_int_equal(c->store->ops->append(c->store, c->parts[0], &batch, 1, NULL), 0);
    zsp_buf_put(&buf);
    log_case_run(c);
}

/* The store takes what the engine gives it; the check knows the engine's rule. */
static void a_sequence_that_does_not_follow_is_damage(void **state)
{
    struct log_case *c = *state;
    append_sequence(c, 5, 7);
    append_sequence(c, 6, 1);
    append_sequence(c, 5, 9);
    append_sequence(c, 5, 9);
    append_sequence(c, 5, 11);
    log_case_close(c);
    assert_damage(c, CASE_SEGMENT, log_case_batch_pos(c, CASE_SEGMENT, 3),
                  "producer 5 epoch 1: sequence 9 where 11 was due", nothing);
}

static int not_for_the_third(void *arg, const struct store_batch *batch, struct zsp_err *why)
{
    (void)arg;
    return batch->first_offset == 2 ? zsp_err_set(why, ZSP_EBAD_RECORD, "no record") : 0;
}

static void a_body_that_is_no_records_is_damage(void **state)
{
    struct log_case *c = *state;
    log_case_fill(c, 0, "x", 4);
    log_case_close(c);
    struct told told = {0};
    const struct check_options options = {
        .fs = c->fs, .finding_fn = keep, .body_fn = not_for_the_third, .arg = &told};
    assert_int_equal(check_store(&options, &told.summary, NULL), 0);
    assert_int_equal(told.summary.damages, 1);
    assert_string_equal(told.text, "no record");
    assert_int_equal(told.damage.pos, log_case_batch_pos(c, CASE_SEGMENT, 2));
}

static void check_body_counts_the_records(void **state)
{
    (void)state;
    struct zsp_writer body = {0};
    const struct zsp_record record = {.payload = zsp_slice_str("hello")};
    zsp_record_write(&body, &record);
    zsp_record_write(&body, &record);
    struct store_batch batch = {.body = zsp_writer_slice(&body), .record_count = 2};
    struct zsp_err why = {0};
    assert_int_equal(check_body(NULL, &batch, &why), 0);
    batch.record_count = 3;
    assert_int_equal(check_body(NULL, &batch, &why), ZSP_ECOUNT_MISMATCH);
    batch.body.len--;
    assert_int_equal(check_body(NULL, &batch, &why), ZSP_EBAD_RECORD);
    batch.codec = 99;
    assert_int_equal(check_body(NULL, &batch, &why), 1);
    struct zsp_buf *packed = plain_pack(zsp_writer_slice(&body));
    batch = (struct store_batch){.body = {packed->data, packed->len},
                                 .record_count = 2,
                                 .raw_bytes = (uint32_t)body.len,
                                 .codec = ZSP_CODEC_ZSTD};
    assert_int_equal(check_body(NULL, &batch, &why), 0);
    batch.record_count = 3;
    assert_int_equal(check_body(NULL, &batch, &why), ZSP_ECOUNT_MISMATCH);
    batch.raw_bytes--;
    assert_int_equal(check_body(NULL, &batch, &why), ZSP_EBAD_RECORD);
    batch.raw_bytes = 0;
    assert_int_equal(check_body(NULL, &batch, &why), ZSP_EBAD_RECORD);
    zsp_buf_put(&packed);
    zsp_writer_fini(&body);
}

/* --- Segments ------------------------------------------------------------------------------ */

static void a_missing_segment_is_damage(void **state)
{
    struct log_case *c = *state;
    two_segments(c);
    log_case_file_remove(c, CASE_SEGMENT);
    const struct told told = check(c);
    assert_int_equal(told.summary.damages, 1);
    assert_string_equal(told.path, CASE_SEGMENT);
    assert_int_equal(told.damage.offsets.first_offset, 0);
    assert_true(told.summary.lost_messages > 10);
}

static void a_truncated_sealed_segment_is_damage(void **state)
{
    struct log_case *c = *state;
    two_segments(c);
    const uint64_t pos = log_case_batch_pos(c, CASE_SEGMENT, 5);
    log_case_file_truncate(c, CASE_SEGMENT, pos + 30);
    const struct told told = check(c);
    assert_int_equal(told.summary.damages, 1);
    assert_int_equal(told.damage.pos, pos);
    assert_int_equal(told.damage.offsets.first_offset, 5);
    assert_true(told.damage.offsets.end_offset > 10);
}

/* Zeros were written ahead; other bytes are ignored by all readers, and told. */
static void bytes_behind_a_sealed_segment_are_a_note(void **state)
{
    struct log_case *c = *state;
    two_segments(c);
    const uint64_t end = log_case_file_size(c, CASE_SEGMENT);
    log_case_file_zero(c, CASE_SEGMENT, end, end + 600000);
    assert_string_equal(check(c).notes, "");
    log_case_file_write(c, CASE_SEGMENT, end + 300000, "garbage", 7);
    const struct told told = check(c);
    assert_int_equal(told.summary.damages, 0);
    assert_int_equal(told.summary.notes, 1);
    assert_non_null(strstr(told.notes, CASE_SEGMENT ": 300007 bytes behind the end"));
    log_case_reopen(c);
    assert_int_equal(c->warnings, 0);
}

static void bytes_behind_the_active_segment_are_damage(void **state)
{
    struct log_case *c = *state;
    log_case_fill(c, 0, "x", 2);
    log_case_close(c);
    log_case_file_make(c, NEXT_SEGMENT);
    assert_int_equal(check(c).summary.damages, 0); /* made ahead */
    log_case_file_write(c, NEXT_SEGMENT, 0, "foreign", 7);
    assert_damage(c, NEXT_SEGMENT, CHECK_NO_POS, "where there should be nothing", nothing);
}

static void a_flipped_index_is_damage_that_can_be_rebuilt(void **state)
{
    struct log_case *c = *state;
    two_segments(c);
    log_case_file_spoil(c, INDEX, 80, 81);
    assert_damage(c, INDEX, CHECK_NO_POS, "the index is damaged", nothing);
    assert_int_equal(check(c).damage.remedy.kind, CHECK_REBUILD_INDEX);
}

static void a_missing_index_is_a_note(void **state)
{
    struct log_case *c = *state;
    two_segments(c);
    log_case_file_remove(c, INDEX);
    const struct told told = check(c);
    assert_int_equal(told.summary.damages, 0);
    assert_non_null(strstr(told.notes, "it is rebuilt when it is needed"));
}

/* Two sealed segments at least, and their files of ids. */
static void segments_with_ids(struct log_case *c)
{
    c->store->ops->index_ids(c->store, c->parts[0], true);
    two_segments(c);
}

static void a_flipped_file_of_ids_is_damage_that_can_be_removed(void **state)
{
    struct log_case *c = *state;
    segments_with_ids(c);
    assert_int_equal(check(c).summary.damages, 0);
    log_case_file_spoil(c, IDS, 20, 21);
    assert_damage(c, IDS, CHECK_NO_POS, "the header of the ids is damaged", nothing);
    assert_int_equal(check(c).damage.remedy.kind, CHECK_REMOVE_IDS);
    assert_int_equal(repair_ids(c->fs, IDS, NULL), 0);
    const struct told told = check(c);
    assert_string_equal(told.text, "");
    assert_string_equal(told.notes, "");
}

static void a_flipped_file_of_priorities_is_damage_that_can_be_removed(void **state)
{
    struct log_case *c = *state;
    c->priority = 9;
    two_segments(c);
    assert_int_equal(check(c).summary.damages, 0);
    log_case_file_spoil(c, PRI, 75, 76);
    assert_damage(c, PRI, CHECK_NO_POS, "page 0 of the priorities is damaged", nothing);
    assert_int_equal(check(c).damage.remedy.kind, CHECK_REMOVE_IDS);
    assert_int_equal(repair_ids(c->fs, PRI, NULL), 0);
    const struct told told = check(c);
    assert_string_equal(told.text, "");
    assert_string_equal(told.notes, "");
}

/* --- The journal ----------------------------------------------------------------------------- */

static void a_flipped_journal_record_is_damage(void **state)
{
    struct log_case *c = *state;
    log_case_put(c, "A", STORE_IMAGE, "1");
    log_case_put(c, "A", STORE_IMAGE, "2");
    log_case_close(c);
    log_case_file_spoil(c, CASE_JOURNAL, 70, 71);
    const struct told told = check(c);
    assert_string_equal(told.path, CASE_JOURNAL);
    assert_int_equal(told.damage.pos, 0);
    assert_true(told.summary.journal_damaged);
    assert_int_equal(told.summary.journal_damage_file, 1);
    assert_int_equal(told.summary.journal_damage_pos, 0);
    assert_non_null(strstr(told.text, "zspoold does not start"));
}

static void a_journal_older_than_the_messages_is_damage(void **state)
{
    struct log_case *c = *state;
    static uint8_t journal[65536];
    log_case_settle(c);
    log_case_close(c);
    const size_t len = log_case_file_read(c, CASE_JOURNAL, journal, sizeof journal);
    log_case_reopen(c);
    log_case_fill(c, 0, "x", 1);
    log_case_close(c);
    log_case_file_write(c, CASE_JOURNAL, 0, journal, len);
    log_case_file_zero(c, CASE_JOURNAL, len, log_case_file_size(c, CASE_JOURNAL));
    assert_damage(c, CASE_SEGMENT, 0, "the journal's end was lost", nothing);
    assert_true(check(c).summary.journal_damaged);
}

static void a_missing_partition_is_damage(void **state)
{
    struct log_case *c = *state;
    log_case_fill(c, 1, "x", 3);
    log_case_close(c);
    log_case_file_remove(c, "topics/7-orders/1/00000000000000000000.log");
    assert_damage(c, "topics/7-orders/1/00000000000000000000.log", CHECK_NO_POS, "is missing",
                  (struct store_range){0, 3});
}

/* Killed between the end of a topic and its removal, with messages in it, one of them damaged. */
static void a_topic_that_has_ended_is_a_note(void **state)
{
    struct log_case *c = *state;
    const struct store_entry gone = {zsp_slice_str("T"), STORE_GONE, {NULL, 0}};
    log_case_fill(c, 0, "x", 3);
    log_case_settle(c);
    assert_int_equal(c->store->ops->topic_end(c->store, CASE_TOPIC, &gone, 6, NULL), 0);
    log_case_settle(c);
    log_case_kill(c);
    log_case_file_spoil(c, CASE_SEGMENT, 120, 121);
    const struct told told = check(c);
    assert_int_equal(told.summary.damages, 0);
    assert_int_equal(told.summary.partitions, 0);
    assert_non_null(strstr(told.notes, "topics/7-orders: the topic is being removed"));
}

static void what_belongs_to_nobody_is_noted(void **state)
{
    struct log_case *c = *state;
    log_case_close(c);
    struct zsp_err err = {0};
    assert_int_equal(c->fs->ops->mkdir(c->fs->self, "topics/99-gone", &err), 0);
    assert_int_equal(c->fs->ops->mkdir(c->fs->self, "topics/7-orders/5", &err), 0);
    log_case_file_make(c, "topics/7-orders/0/notes");
    log_case_file_make(c, "cut/tail");
    log_case_file_make(c, "cut/tail.txt");
    log_case_file_write(c, "cut/tail.txt", 0, "the reason\n", 11);
    const struct told told = check(c);
    assert_int_equal(told.summary.damages, 0);
    assert_int_equal(told.summary.set_aside, 1);
    assert_non_null(strstr(told.notes, "topics/99-gone: the journal knows no partition of it"));
    assert_non_null(strstr(told.notes, "topics/7-orders: 5: the journal knows no such partition"));
    assert_non_null(strstr(told.notes, "topics/7-orders/0: notes: unknown file"));
    assert_non_null(strstr(told.notes, "cut/tail: 0 bytes set aside: the reason"));
}

/* --- A disk that fails ------------------------------------------------------------------------- */

/* The n-th call of a kind fails: what cannot be read is told, and never taken for good. False:
 * the check came through without it. */
static bool fail_at(struct log_case *c, enum fs_call call, uint64_t n)
{
    struct fs *fs = fault_fs_new(c->fs);
    const struct fault fault = {
        .call = call, .countdown = n, .repeat = 1, .code = ZSP_EIO, .sys_errno = EIO};
    fault_fs_set(fs, &fault);
    struct told told = {0};
    const struct check_options options = {.fs = fs, .finding_fn = keep, .arg = &told};
    struct zsp_err err = {0};
    const int rc = check_store(&options, &told.summary, &err);
    const bool hit = fault_fs_hits(fs) > 0;
    fault_fs_destroy(&fs);
    if (hit && rc == 0 && told.summary.damages == 0) {
        fail_msg("the failed %s %u is not told", fs_call_name(call), (unsigned)n);
    }
    assert_true(rc == 0 || (rc == ZSP_EIO && err.msg[0] != '\0'));
    return hit;
}

static void what_cannot_be_read_is_told(void **state)
{
    struct log_case *c = *state;
    two_segments(c);
    static const enum fs_call calls[] = {FS_CALL_OPEN, FS_CALL_READ, FS_CALL_SIZE};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        uint64_t n = 0;
        while (fail_at(c, calls[i], n)) {
            n++;
        }
        assert_true(n >= 5);
    }
}

/* --- Progress -------------------------------------------------------------------------------- */

static bool stop(void *arg, uint64_t done, uint64_t total)
{
    (void)arg;
    assert_true(done <= total);
    return false;
}

static void a_check_can_be_stopped(void **state)
{
    struct log_case *c = *state;
    log_case_close(c);
    log_case_fill_large(c, 3);
    struct told told = {0};
    const struct check_options options = {
        .fs = c->fs, .finding_fn = keep, .progress_fn = stop, .arg = &told};
    assert_int_equal(check_store(&options, &told.summary, NULL), ZSP_EINTERRUPTED);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, log_case_set_up, log_case_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_closed_store_is_clean_and_counted),
        CASE(an_index_that_an_earlier_seal_left_does_not_stay),
        CASE(a_killed_store_is_clean),
        CASE(a_torn_tail_is_a_note),
        CASE(files_without_format_are_damage),
        CASE(an_empty_directory_is_no_store),
        CASE(a_flipped_header_is_told_with_what_it_costs),
        CASE(a_flipped_body_is_told_with_what_it_costs),
        CASE(a_batch_copied_to_another_place_is_damage),
        CASE(zeros_below_the_mark_are_damage),
        CASE(a_truncated_active_segment_is_damage),
        CASE(a_sequence_that_does_not_follow_is_damage),
        CASE(a_body_that_is_no_records_is_damage),
        CASE(check_body_counts_the_records),
        CASE(a_missing_segment_is_damage),
        CASE(a_truncated_sealed_segment_is_damage),
        CASE(bytes_behind_a_sealed_segment_are_a_note),
        CASE(bytes_behind_the_active_segment_are_damage),
        CASE(a_flipped_index_is_damage_that_can_be_rebuilt),
        CASE(a_missing_index_is_a_note),
        CASE(a_flipped_file_of_ids_is_damage_that_can_be_removed),
        CASE(a_flipped_file_of_priorities_is_damage_that_can_be_removed),
        CASE(a_flipped_journal_record_is_damage),
        CASE(a_journal_older_than_the_messages_is_damage),
        CASE(a_missing_partition_is_damage),
        CASE(a_topic_that_has_ended_is_a_note),
        CASE(what_belongs_to_nobody_is_noted),
        CASE(what_cannot_be_read_is_told),
        CASE(a_check_can_be_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
