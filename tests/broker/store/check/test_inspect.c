/* SPDX-License-Identifier: MPL-2.0
 *
 * Looking at files as they are: everything that is good is shown wherever something is
 * bad, the parts of the file follow each other without a gap, and any byte may be anything.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "broker/store/check/inspect.h"
#include "broker/store/file/layout.h"
#include "tests/broker/store/log_case.h"
#include "tests/support/crash_fs.h"

/* What a walk showed. */
struct shown {
    size_t items, good, out_of_order, zeros, damages;
    uint64_t damage_pos; /* of the first */
};

static void note(struct shown *shown, int found, const struct inspect_item *item, uint64_t *pos)
{
    assert_int_equal(item->pos, *pos); /* nothing is left out */
    assert_true(item->end_pos > item->pos);
    *pos = item->end_pos;
    shown->items += found == INSPECT_ITEM ? 1u : 0u;
    shown->good += found == INSPECT_ITEM && item->body_good ? 1u : 0u;
    shown->out_of_order += found == INSPECT_ITEM && item->what.code != 0 ? 1u : 0u;
    shown->zeros += found == INSPECT_ZEROS ? 1u : 0u;
    if (found == INSPECT_DAMAGE) {
        assert_true(item->what.msg[0] != '\0');
        shown->damage_pos = shown->damages == 0 ? item->pos : shown->damage_pos;
        shown->damages++;
    }
}

static struct shown show_segment(struct log_case *c, bool bound)
{
    uint8_t uuid[STORE_UUID_BYTES];
    assert_int_equal(layout_read_format(c->fs, uuid, NULL), 0);
    const struct batch_place place = {bound ? uuid : NULL, CASE_TOPIC, 0, 0, 0, 0};
    struct inspect_segment segment;
    assert_int_equal(inspect_segment_open(&segment, c->fs, CASE_SEGMENT, &place, NULL), 0);
    struct shown shown = {0};
    struct inspect_item item;
    uint64_t pos = 0;
    int found;
    while ((found = inspect_segment_next(&segment, &item, NULL)) != INSPECT_END) {
        assert_true(found >= 0);
        note(&shown, found, &item, &pos);
    }
    assert_int_equal(pos, log_case_file_size(c, CASE_SEGMENT));
    inspect_segment_close(&segment);
    return shown;
}

static struct shown show_journal(struct log_case *c)
{
    uint8_t uuid[STORE_UUID_BYTES];
    assert_int_equal(layout_read_format(c->fs, uuid, NULL), 0);
    const struct journal_place place = {uuid, 1, 0};
    struct inspect_journal journal;
    assert_int_equal(inspect_journal_open(&journal, c->fs, CASE_JOURNAL, &place, NULL), 0);
    struct shown shown = {0};
    struct inspect_item item;
    uint64_t pos = 0;
    enum inspect_found found;
    while ((found = inspect_journal_next(&journal, &item)) != INSPECT_END) {
        note(&shown, (int)found, &item, &pos);
    }
    assert_int_equal(pos, log_case_file_size(c, CASE_JOURNAL));
    inspect_journal_close(&journal);
    return shown;
}

static void five_batches(struct log_case *c)
{
    log_case_fill(c, 0, "x", 5);
    log_case_close(c);
}

static void a_good_segment_is_shown_whole(void **state)
{
    struct log_case *c = *state;
    five_batches(c);
    const struct shown shown = show_segment(c, true);
    assert_int_equal(shown.items, 5);
    assert_int_equal(shown.good, 5);
    assert_int_equal(shown.damages + shown.out_of_order, 0);
    assert_true(shown.zeros <= 1);
}

static void a_damaged_header_hides_its_batch_alone(void **state)
{
    struct log_case *c = *state;
    five_batches(c);
    const uint64_t pos = log_case_batch_pos(c, CASE_SEGMENT, 2);
    log_case_file_spoil(c, CASE_SEGMENT, pos + 24, pos + 25);
    const struct shown shown = show_segment(c, true);
    assert_int_equal(shown.items, 4);
    assert_int_equal(shown.damages, 1);
    assert_int_equal(shown.damage_pos, pos);
    assert_int_equal(shown.out_of_order, 0); /* the gap explains the next offset */
}

static void a_damaged_body_is_told_of_its_batch(void **state)
{
    struct log_case *c = *state;
    five_batches(c);
    const uint64_t pos = log_case_batch_pos(c, CASE_SEGMENT, 2);
    log_case_file_spoil(c, CASE_SEGMENT, pos + 112, pos + 113);
    const struct shown shown = show_segment(c, true);
    assert_int_equal(shown.items, 5);
    assert_int_equal(shown.good, 4);
}

/* The middle batch is gone, byte for byte: zeros, then one that does not follow. */
static void a_batch_that_does_not_follow_is_told(void **state)
{
    struct log_case *c = *state;
    five_batches(c);
    log_case_file_zero(c, CASE_SEGMENT, log_case_batch_pos(c, CASE_SEGMENT, 2),
                       log_case_batch_pos(c, CASE_SEGMENT, 3));
    const struct shown shown = show_segment(c, true);
    assert_int_equal(shown.items, 4);
    assert_int_equal(shown.out_of_order, 1);
    assert_true(shown.zeros >= 1);
}

/* Without its place, a batch whose header was changed is believed if the rest holds together. */
static void a_lone_segment_is_shown_by_its_body_sums(void **state)
{
    struct log_case *c = *state;
    five_batches(c);
    assert_int_equal(show_segment(c, false).good, 5);
    const uint64_t pos = log_case_batch_pos(c, CASE_SEGMENT, 2);
    log_case_file_spoil(c, CASE_SEGMENT, pos + 112, pos + 113);
    const struct shown shown = show_segment(c, false);
    assert_int_equal(shown.good, 4);
    assert_int_equal(shown.damages, 1);
}

static void every_flip_in_a_segment_is_met_and_passed(void **state)
{
    struct log_case *c = *state;
    five_batches(c);
    const uint64_t end = log_case_batch_pos(c, CASE_SEGMENT, 5);
    for (uint64_t pos = 0; pos < end; pos++) {
        assert_true(crash_fs_flip(c->fs, CASE_SEGMENT, pos, pos % 8));
        const struct shown shown = show_segment(c, true);
        assert_true(shown.items >= 4);
        (void)show_segment(c, false);
        assert_true(crash_fs_flip(c->fs, CASE_SEGMENT, pos, pos % 8));
    }
    assert_int_equal(show_segment(c, true).good, 5);
}

static void a_segment_cut_anywhere_is_shown_up_to_there(void **state)
{
    struct log_case *c = *state;
    five_batches(c);
    for (uint64_t bytes = log_case_batch_pos(c, CASE_SEGMENT, 5); bytes > 0; bytes -= 7) {
        log_case_file_truncate(c, CASE_SEGMENT, bytes);
        (void)show_segment(c, true);
        (void)show_segment(c, false);
        bytes = bytes > 7 ? bytes : 7;
    }
}

static void a_journal_is_shown_behind_its_damage(void **state)
{
    struct log_case *c = *state;
    log_case_put(c, "A", STORE_IMAGE, "1");
    log_case_put(c, "B", STORE_IMAGE, "2");
    log_case_close(c);
    const size_t all = show_journal(c).items;
    assert_true(all >= 3);
    log_case_file_spoil(c, CASE_JOURNAL, 70, 71);
    const struct shown shown = show_journal(c);
    assert_int_equal(shown.items, all - 1);
    assert_int_equal(shown.damages, 1);
    assert_int_equal(shown.damage_pos, 0);
    assert_int_equal(shown.out_of_order, 0);
}

static void every_flip_in_a_journal_is_met_and_passed(void **state)
{
    struct log_case *c = *state;
    log_case_put(c, "A", STORE_IMAGE, "1");
    log_case_close(c);
    const size_t all = show_journal(c).items;
    for (uint64_t pos = 0; pos < 400; pos++) {
        assert_true(crash_fs_flip(c->fs, CASE_JOURNAL, pos, pos % 8));
        assert_true(show_journal(c).items >= all - 1);
        assert_true(crash_fs_flip(c->fs, CASE_JOURNAL, pos, pos % 8));
    }
}

/* Goal: bytes that pretend to be headers of the old version, whose bodies would all be summed, do not
 * make the walk quadratic: 4 MiB of them would take a minute. */
static void forged_headers_of_the_old_version_are_passed_quickly(void **state)
{
    struct log_case *c = *state;
    static uint8_t forged[4u << 20];
    log_case_put(c, "A", STORE_IMAGE, "1");
    log_case_close(c);
    const uint64_t begin = log_case_file_size(c, CASE_JOURNAL);
    for (size_t pos = 0; pos + 64 <= sizeof forged; pos += 64) {
        /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): bytes, not a text */
        memcpy(forged + pos, "ZSPJ\x01", 5);
        zsp_put_u32(forged + pos + 8, 64);
        zsp_put_u32(forged + pos + 12, (uint32_t)(sizeof forged - pos - 64));
        zsp_put_u32(forged + pos + 16, 1);
    }
    log_case_file_write(c, CASE_JOURNAL, begin, forged, sizeof forged);
    const struct shown shown = show_journal(c);
    assert_true(shown.items >= 1);
    assert_int_equal(shown.damages, 1);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, log_case_set_up, log_case_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_good_segment_is_shown_whole),
        CASE(a_damaged_header_hides_its_batch_alone),
        CASE(a_damaged_body_is_told_of_its_batch),
        CASE(a_batch_that_does_not_follow_is_told),
        CASE(a_lone_segment_is_shown_by_its_body_sums),
        CASE(every_flip_in_a_segment_is_met_and_passed),
        CASE(a_segment_cut_anywhere_is_shown_up_to_there),
        CASE(a_journal_is_shown_behind_its_damage),
        CASE(every_flip_in_a_journal_is_met_and_passed),
        CASE(forged_headers_of_the_old_version_are_passed_quickly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
