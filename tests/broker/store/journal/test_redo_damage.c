/* SPDX-License-Identifier: MPL-2.0
 *
 * A bit flips in a journal that holds batches: every byte of a small one in turn, with the segments
 * as they were, without what they owed, and without their files. A start either serves all that was
 * confirmed, or is refused with the place; a check of the files says the same before; and nothing
 * is served that was not put in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/check/check.h"
#include "broker/store/check/inspect.h"
#include "broker/store/file/layout.h"
#include "broker/store/journal/journal_record.h"
#include "broker/store/journal/redo.h"
#include "tests/broker/store/log_case.h"
#include "tests/support/crash_fs.h"
#include "tests/support/stride.h"

#define CASE_SEGMENT_1 "topics/7-orders/1/00000000000000000000.log"
#define FILE_MAX       16384u
#define FILES_MAX      4u

static const char *const texts[CASE_PARTS][3] = {{"zero zero zero", "zero one", "zero two two"},
                                                 {"one zero", "one one one one", "one two"}};
#define ENTRIES "a=1 a+2 b=5 c=9 "

enum segments {
    INTACT,  /* as a process that dies leaves them */
    LOST,    /* what they owed is zero */
    MISSING, /* the files are not there, and the journal holds them from the beginning */
    SEGMENTS_END
};

struct what {
    enum segments segments;
    uint64_t journal_file_bytes; /* 0 = one file */
    uint64_t step;               /* every byte, every second, ... */
    bool is_atomic;              /* the batches are atomic appends, whose record brings them */
};

/* --- The store ------------------------------------------------------------------------------ */

static void append_to_both(struct log_case *c, int n)
{
    assert_int_equal(log_case_append(c, 0, texts[0][n]), 0);
    assert_int_equal(log_case_append(c, 1, texts[1][n]), 0);
    log_case_run(c);
    assert_int_equal(c->synced[1], n + 1);
}

/* The same batches as one. */
static void commit_to_both(struct log_case *c, int n)
{
    struct store_batch batches[CASE_PARTS];
    struct store_append appends[CASE_PARTS];
    struct store_atomic *atomic = NULL;
    for (size_t i = 0; i < CASE_PARTS; i++) {
        struct zsp_buf *frame = zsp_buf_copy(zsp_slice_str(texts[i][n]));
        assert_non_null(frame);
        batches[i] = (struct store_batch){.frame = frame,
                                          .body = {frame->data, frame->len},
                                          .record_count = 1,
                                          .timestamp_ms = c->now.wall_ms};
        appends[i] = (struct store_append){c->parts[i], &batches[i]};
    }
    const struct store_ops *const ops = c->store->ops;
    assert_int_equal(ops->atomic_begin(c->store, appends, CASE_PARTS, 7, &atomic, NULL), 0);
    for (size_t i = 0; i < CASE_PARTS; i++) {
        zsp_buf_put(&batches[i].frame);
    }
    log_case_run(c); /* ready */
    assert_int_equal(ops->atomic_put(c->store, atomic, NULL, 0, NULL), 0);
    log_case_run(c);
    assert_int_equal(c->synced[1], n + 1);
}

static void add_to_both(struct log_case *c, const struct what *what, int n)
{
    if (what->is_atomic) {
        commit_to_both(c, n);
    } else {
        append_to_both(c, n);
    }
}

static void lose(struct log_case *c, const char *path)
{
    log_case_file_zero(c, path, log_case_batch_pos(c, path, 1), log_case_file_size(c, path));
}

/* The same bytes every time. The first batches are paid, unless all files are to be missing. */
static struct log_case *make(const struct what *what)
{
    void *state;
    assert_int_equal(log_case_set_up(&state), 0);
    struct log_case *c = state;
    log_case_close(c);
    c->options.sync_files_max = 1;
    if (what->journal_file_bytes > 0) {
        c->options.journal_file_bytes = what->journal_file_bytes;
    }
    assert_int_equal(log_case_open(c), 0);
    for (size_t i = 0; i < CASE_PARTS && what->segments == INTACT; i++) {
        c->store->ops->index_ids(c->store, c->parts[i], true); /* so they are written at once */
    }
    log_case_put(c, "a", STORE_IMAGE, "1");
    add_to_both(c, what, 0);
    if (what->segments != MISSING) {
        log_case_settle(c);
        c->now.mono_ms += REDO_IDLE_MS;
        log_case_settle(c);
    }
    log_case_put(c, "a", STORE_DELTA, "2");
    add_to_both(c, what, 1);
    add_to_both(c, what, 2);
    log_case_put(c, "b", STORE_IMAGE, "5");
    log_case_put(c, "c", STORE_IMAGE, "9");
    log_case_kill(c);
    crash_fs_process_crash(c->fs);
    if (what->segments == LOST) {
        lose(c, CASE_SEGMENT);
        lose(c, CASE_SEGMENT_1);
    } else if (what->segments == MISSING) {
        log_case_file_remove(c, CASE_SEGMENT);
        log_case_file_remove(c, CASE_SEGMENT_1);
    }
    return c;
}

static void destroy(struct log_case *c)
{
    void *state = c;
    assert_int_equal(log_case_tear_down(&state), 0);
}

/* --- What a byte of it is ------------------------------------------------------------------- */

struct journal_bytes {
    uint8_t bytes[FILES_MAX][FILE_MAX];
    size_t len[FILES_MAX];
    size_t files;
    uint64_t paid_below; /* the last 'R' */
};

enum meaning {
    NOTHING, /* no sum covers it, or what is there was never proven: a start serves */
    RECORD,  /* the journal is damaged */
    PAID,    /* data of a redo entry that nobody needs, */
    OWED,    /* or that the segments lack, or have not got synced */
};

struct place {
    enum meaning meaning;
    bool proven;
    uint64_t pos; /* of the record, or the data, that is damaged */
};

static void read_journal(struct log_case *c, struct journal_bytes *self)
{
    char path[LAYOUT_PATH_MAX];
    memset(self, 0, sizeof *self);
    for (;;) {
        layout_journal_path(path, self->files + 1);
        const uint64_t bytes = log_case_file_size(c, path);
        if (bytes == UINT64_MAX) {
            return;
        }
        assert_true(self->files < FILES_MAX && bytes <= FILE_MAX);
        self->len[self->files] = log_case_file_read(c, path, self->bytes[self->files], FILE_MAX);
        self->files++;
    }
}

static bool is_record(const struct journal_bytes *self, size_t file, uint64_t pos)
{
    return pos < self->len[file] && memcmp(self->bytes[file] + pos, "ZSPJ", 4) == 0;
}

/* Does anything behind the record prove that it was synced? */
static bool is_proven(const struct journal_bytes *self, size_t file, uint64_t pos)
{
    const uint64_t number = journal_read_header(self->bytes[file] + pos).number;
    for (size_t n = file; n < self->files; n++) {
        uint64_t at = n == file ? pos : 0;
        for (; is_record(self, n, at);) {
            const struct journal_header header = journal_read_header(self->bytes[n] + at);
            if (header.synced_to > number || n > file) {
                return true;
            }
            at += journal_record_bytes(&header);
        }
    }
    return false;
}

static void find_paid(struct journal_bytes *self, const struct store_entry *entry)
{
    if (entry->key.len == 2 && memcmp(entry->key.data, "\0R", 2) == 0) {
        self->paid_below = zsp_get_u64(entry->value.data);
    }
}

/* The place in the record of `len` bytes into its data; and, on the way, what is paid. */
static uint64_t data_begin(struct journal_bytes *self, const uint8_t *record, uint64_t skip)
{
    const struct journal_header header = journal_read_header(record);
    struct zsp_reader body =
        zsp_reader_init((struct zsp_slice){record + JOURNAL_HEADER_BYTES, header.body_bytes});
    struct store_entry entry;
    uint64_t begin = 0;
    while (journal_next_entry(&body, &entry)) {
        find_paid(self, &entry);
        if (entry.kind == STORE_REDO) {
            const uint64_t bytes = zsp_get_u32(entry.value.data + 16);
            if (skip < begin + bytes) {
                return JOURNAL_HEADER_BYTES + header.body_bytes + begin;
            }
            begin += bytes;
        }
    }
    return 0;
}

static struct place look_up(struct journal_bytes *self, size_t file, uint64_t pos)
{
    uint64_t begin = 0;
    while (is_record(self, file, begin)) {
        const uint8_t *record = self->bytes[file] + begin;
        const struct journal_header header = journal_read_header(record);
        const uint64_t bytes = journal_record_bytes(&header);
        const uint64_t data = JOURNAL_HEADER_BYTES + header.body_bytes;
        if (pos >= begin + bytes) {
            begin += bytes;
            continue;
        }
        if (pos >= begin + data + header.data_bytes) {
            return (struct place){NOTHING, true, 0}; /* zeros behind it */
        }
        struct place place = {RECORD, is_proven(self, file, begin), begin};
        if (pos >= begin + data) {
            place.meaning = header.number < self->paid_below ? PAID : OWED;
            place.pos = begin + data_begin(self, record, pos - begin - data);
        }
        place.meaning = place.proven ? place.meaning : NOTHING;
        return place;
    }
    /* Zeros behind the last record: something torn, but not if there is a later file. */
    const bool later = file + 1 < self->files && is_record(self, file + 1, 0);
    return (struct place){later ? RECORD : NOTHING, true, begin};
}

/* --- What is made of it --------------------------------------------------------------------- */

struct found {
    size_t damages;
    size_t journal_notes;
    char path[LAYOUT_PATH_MAX]; /* of the first damage in journal/ */
    uint64_t pos;
};

static void note_finding(void *arg, const struct check_finding *finding)
{
    struct found *self = arg;
    const bool journal = strncmp(finding->path, "journal", 7) == 0;
    self->journal_notes += finding->severity == CHECK_NOTE && journal ? 1u : 0u;
    if (finding->severity == CHECK_DAMAGE && self->damages++ == 0) {
        (void)snprintf(self->path, sizeof self->path, "%s", finding->path);
        self->pos = finding->pos;
    }
}

static struct found check(struct log_case *c)
{
    struct found found = {0};
    struct check_summary summary;
    const struct check_options options = {.fs = c->fs, .finding_fn = note_finding, .arg = &found};
    assert_int_equal(check_store(&options, &summary, NULL), 0);
    return found;
}

/* Comes to the end of every file, and shows all batches' data that holds. */
static void dump(struct log_case *c, size_t file)
{
    uint8_t uuid[STORE_UUID_BYTES];
    char path[LAYOUT_PATH_MAX];
    assert_int_equal(layout_read_format(c->fs, uuid, NULL), 0);
    layout_journal_path(path, file + 1);
    const struct journal_place place = {uuid, file + 1, 0};
    struct inspect_journal journal;
    struct inspect_item item;
    uint64_t pos = 0;
    assert_int_equal(inspect_journal_open(&journal, c->fs, path, &place, NULL), 0);
    while (inspect_journal_next(&journal, &item) != INSPECT_END) {
        assert_int_equal(item.pos, pos);
        assert_true(item.end_pos > pos);
        pos = item.end_pos;
    }
    assert_int_equal(pos, log_case_file_size(c, path));
    inspect_journal_close(&journal);
}

static void assert_serves(struct log_case *c, const char *entries, size_t len)
{
    assert_int_equal(strncmp(c->entries, entries, strlen(c->entries)), 0);
    assert_true(strlen(c->entries) >= len);
    for (uint32_t part = 0; part < CASE_PARTS; part++) {
        for (uint64_t n = 0; n < 3; n++) {
            assert_int_equal(log_case_read(c, part, n), 0);
            log_case_assert_body(c, 0, texts[part][n]);
        }
        assert_false(log_case_info(c, part).refuses_appends);
    }
}

/* Refused, with the place; and fsck says the same. */
static void assert_refused(struct log_case *c, const struct found *found, size_t file,
                           const struct place *place)
{
    char path[LAYOUT_PATH_MAX];
    char word[64];
    layout_journal_path(path, file + 1);
    (void)snprintf(word, sizeof word, "at pos %u:", (unsigned)place->pos);
    assert_string_equal(found->path, path);
    assert_int_equal(found->pos, place->pos);
    assert_int_equal(log_case_open(c), ZSP_ECORRUPT);
    assert_non_null(strstr(c->err.msg, path));
    assert_non_null(strstr(c->err.msg, word));
}

static void flip_one(const struct what *what, size_t file, uint64_t pos, const struct place *place)
{
    struct log_case *c = make(what);
    char path[LAYOUT_PATH_MAX];
    layout_journal_path(path, file + 1);
    assert_true(crash_fs_flip(c->fs, path, pos, (unsigned)(pos % 8)));
    dump(c, file);
    const struct found found = check(c);
    const bool fatal =
        place->meaning == RECORD || (place->meaning == OWED && what->segments != INTACT);
    if (fatal) {
        assert_refused(c, &found, file, place);
    } else {
        const bool told = place->meaning == PAID || place->meaning == OWED;
        assert_int_equal(found.damages, 0);
        assert_int_equal(log_case_open(c), 0);
        if (told) {
            assert_true(found.journal_notes == 1 && c->warnings > 0);
        }
        /* What no record proves is cut: the last of the state, at most. */
        assert_serves(c, ENTRIES, place->proven ? strlen(ENTRIES) : strlen("a=1 a+2 b=5 "));
        log_case_kill(c);
        crash_fs_power_loss(c->fs, pos);
        assert_int_equal(check(c).damages, 0);
        assert_int_equal(log_case_open(c), 0);
        assert_serves(c, ENTRIES, place->proven ? strlen(ENTRIES) : strlen("a=1 a+2 b=5 "));
    }
    destroy(c);
}

static void flip_all(const struct what *what)
{
    struct journal_bytes *journal = malloc(sizeof *journal);
    assert_non_null(journal);
    struct log_case *c = make(what);
    read_journal(c, journal);
    destroy(c);
    assert_true(what->journal_file_bytes == 0 || journal->files > 1);
    size_t count[OWED + 1] = {0};
    (void)look_up(journal, 0, 0);
    for (size_t file = 0; file < journal->files; file++) { /* what is paid is known first */
        for (uint64_t pos = 0; is_record(journal, file, pos);) {
            const struct journal_header header = journal_read_header(journal->bytes[file] + pos);
            (void)data_begin(journal, journal->bytes[file] + pos, UINT64_MAX / 2);
            pos += journal_record_bytes(&header);
        }
    }
    for (size_t file = 0; file < journal->files; file++) {
        for (uint64_t pos = file; pos < journal->len[file]; pos += what->step) {
            const struct place place = look_up(journal, file, pos);
            count[place.meaning]++;
            flip_one(what, file, pos, &place);
        }
    }
    for (int i = 0; i <= OWED; i++) {
        count[i] *= what->step;
    }
    assert_true(count[NOTHING] > 100 && count[RECORD] > 500 && count[OWED] > 200);
    assert_true(what->segments == MISSING ? count[PAID] == 0 : count[PAID] > 100);
    free(journal);
}

static void every_flip_is_judged_right_while_the_segments_hold_it(void **state)
{
    (void)state;
    flip_all(&(struct what){.segments = INTACT, .step = STRIDE});
}

static void every_flip_is_judged_right_when_the_segments_lack_it(void **state)
{
    (void)state;
    flip_all(&(struct what){.segments = LOST, .step = STRIDE});
}

static void every_flip_is_judged_right_when_the_segments_are_missing(void **state)
{
    (void)state;
    flip_all(&(struct what){.segments = MISSING, .step = STRIDE});
}

/* Goal: the same of commits, whose batches are in no segment before their record is synced. */
static void every_flip_is_judged_right_in_atomic_appends(void **state)
{
    (void)state;
    for (int segments = INTACT; segments < SEGMENTS_END; segments++) {
        flip_all(
            &(struct what){.segments = (enum segments)segments, .step = STRIDE, .is_atomic = true});
    }
}

/* Files differ in little: some bytes of each. */
static void flips_are_judged_right_over_several_files(void **state)
{
    (void)state;
    for (int segments = 0; segments < SEGMENTS_END; segments++) {
        flip_all(&(struct what){
            .segments = (enum segments)segments, .journal_file_bytes = 1024, .step = 7});
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_flip_is_judged_right_while_the_segments_hold_it),
        cmocka_unit_test(every_flip_is_judged_right_when_the_segments_lack_it),
        cmocka_unit_test(every_flip_is_judged_right_when_the_segments_are_missing),
        cmocka_unit_test(every_flip_is_judged_right_in_atomic_appends),
        cmocka_unit_test(flips_are_judged_right_over_several_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
