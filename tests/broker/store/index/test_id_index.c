/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/file/layout.h"
#include "broker/store/index/id_file.h"
#include "tests/support/crash_fs.h"
#include "tests/support/prng.h"

#define MANY 5000u

static const uint8_t uuid[STORE_UUID_BYTES] = {9};
static const struct batch_place place = {uuid, 7, 0, 3, 0, 0};
static const struct index_facts facts = {100, 100 + MANY, 10 * INDEX_STEP, 1000};

static void fill(struct id_entry *entries, uint32_t count, uint64_t seed)
{
    struct prng prng = {seed};
    for (uint32_t i = 0; i < count; i++) {
        entries[i] = (struct id_entry){prng_next(&prng) | 1, i};
    }
}

/* --- The table ---------------------------------------------------------------------------- */

static void a_table_finds_what_it_was_given(void **state)
{
    (void)state;
    struct id_entry entries[MANY];
    fill(entries, MANY, 1);
    struct id_table table = {0};
    uint32_t values[ID_SAME_MAX];
    assert_int_equal(id_table_find(&table, 5, values), 0);
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(id_table_add(&table, entries[i].print, i), 0);
    }
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(id_table_find(&table, entries[i].print, values), 1);
        assert_int_equal(values[0], i);
        assert_false(id_table_has(&table, entries[i].print & ~1ull));
    }
    id_table_fini(&table);
}

static void a_table_keeps_the_last_of_one_id(void **state)
{
    (void)state;
    struct id_table table = {0};
    uint32_t values[ID_SAME_MAX];
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(id_table_add(&table, 77, i), 0);
    }
    assert_int_equal(id_table_find(&table, 77, values), ID_SAME_MAX);
    assert_int_equal(values[0], 999);
    assert_int_equal(values[ID_SAME_MAX - 1], 996);
    assert_int_equal(table.count, ID_SAME_MAX);
    id_table_fini(&table);
}

static void what_is_removed_hides_nothing_else(void **state)
{
    (void)state;
    struct prng prng = {3};
    struct id_table table = {0};
    bool is_in[64] = {false};
    for (int step = 0; step < 20000; step++) {
        const uint32_t i = (uint32_t)prng_below(&prng, 64);
        const uint64_t print = (uint64_t)(i % 8) << 32 | 1 | (i / 8) << 1; /* homes collide */
        if (is_in[i]) {
            id_table_remove(&table, print, i);
        } else {
            assert_int_equal(id_table_add(&table, print, i), 0);
        }
        is_in[i] = !is_in[i];
        for (uint32_t k = 0; k < 64; k++) {
            const uint64_t other = (uint64_t)(k % 8) << 32 | 1 | (k / 8) << 1;
            assert_int_equal(id_table_has(&table, other), is_in[k]);
        }
    }
    id_table_fini(&table);
}

/* --- The filter ---------------------------------------------------------------------------- */

static void a_filter_misses_nothing_and_is_seldom_wrong(void **state)
{
    (void)state;
    struct id_entry *entries = calloc(MANY, sizeof *entries);
    assert_non_null(entries);
    fill(entries, MANY, 1);
    uint32_t count = MANY;
    assert_int_equal(id_entries_sort(entries, &count), 0);
    assert_int_equal(count, MANY);
    struct id_filter filter;
    assert_int_equal(id_filter_init(&filter, entries, count), 0);
    assert_true(id_filter_bytes(&filter) * 8 < 18ull * MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        assert_true(id_filter_may_have(&filter, entries[i].print));
    }
    struct prng prng = {99};
    unsigned wrong = 0;
    for (int i = 0; i < 100000; i++) {
        wrong += id_filter_may_have(&filter, prng_next(&prng)) ? 1 : 0;
    }
    assert_true(wrong < 30); /* 12 are to be expected */
    id_filter_fini(&filter);
    free(entries);
}

static void ids_that_repeat_or_lie_together_are_no_trouble(void **state)
{
    (void)state;
    struct id_entry entries[MANY];
    for (uint32_t i = 0; i < MANY; i++) {
        entries[i] = (struct id_entry){i < MANY / 2 ? 42 : (uint64_t)i, MANY - 1 - i};
    }
    uint32_t count = MANY;
    assert_int_equal(id_entries_sort(entries, &count), 0);
    assert_int_equal(count, MANY / 2 + ID_SAME_MAX);
    assert_int_equal(entries[0].print, 42);
    assert_int_equal(entries[0].delta, MANY - ID_SAME_MAX);
    struct id_filter filter;
    assert_int_equal(id_filter_init(&filter, entries, count), 0);
    assert_true(filter.is_blind); /* all lie in the first bucket */
    assert_true(id_filter_may_have(&filter, 4999));
    id_filter_fini(&filter);
}

static void an_empty_filter_has_nothing(void **state)
{
    (void)state;
    struct id_filter filter;
    struct id_entry none = {0};
    uint32_t count = 0;
    assert_int_equal(id_entries_sort(&none, &count), 0);
    assert_int_equal(id_filter_init(&filter, &none, 0), 0);
    assert_false(id_filter_may_have(&filter, 1));
    assert_false(id_filter_may_have(&filter, UINT64_MAX));
    id_filter_fini(&filter);
}

/* --- The file ------------------------------------------------------------------------------- */

/* Sorted entries, some of them with one fingerprint, and their file. */
struct written {
    struct id_entry entries[MANY];
    uint32_t count;
    struct zsp_writer bytes;
};

static void write_ids(struct written *self, uint32_t count)
{
    memset(self, 0, sizeof *self);
    fill(self->entries, count, 8);
    for (uint32_t i = 0; i + 10 < count; i += 10) {
        self->entries[i + 3].print = self->entries[i].print;
    }
    self->count = count;
    assert_int_equal(id_entries_sort(self->entries, &self->count), 0);
    id_file_encode(&self->bytes, self->entries, self->count, &facts, &place);
    assert_false(self->bytes.failed);
}

static int decode(const struct zsp_writer *bytes, size_t len, struct id_entry **ret,
                  uint32_t *ret_count)
{
    return id_file_decode((struct zsp_slice){bytes->data, len}, &facts, &place, ret, ret_count,
                          NULL);
}

static void a_file_of_ids_comes_back_as_it_went(void **state)
{
    (void)state;
    static const uint32_t counts[] = {0, 1, 339, 340, 341, 680, MANY};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct written w;
        write_ids(&w, counts[i]);
        struct id_entry *entries;
        uint32_t count;
        assert_int_equal(decode(&w.bytes, w.bytes.len, &entries, &count), 0);
        assert_int_equal(count, w.count);
        for (uint32_t k = 0; k < count; k++) {
            assert_int_equal(entries[k].print, w.entries[k].print);
            assert_int_equal(entries[k].delta, w.entries[k].delta);
        }
        free(entries);
        zsp_writer_fini(&w.bytes);
    }
}

static void a_damaged_short_or_foreign_file_of_ids_is_refused(void **state)
{
    (void)state;
    struct written w;
    write_ids(&w, 350);
    struct id_entry *entries;
    uint32_t count;
    for (size_t bit = 0; bit < w.bytes.len * 8; bit++) {
        w.bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(decode(&w.bytes, w.bytes.len, &entries, &count), ZSP_ECORRUPT);
        w.bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t len = 0; len < w.bytes.len; len++) {
        assert_int_equal(decode(&w.bytes, len, &entries, &count), ZSP_ECORRUPT);
    }
    struct batch_place other = place;
    other.partition++;
    assert_int_equal(
        id_file_decode(zsp_writer_slice(&w.bytes), &facts, &other, &entries, &count, NULL),
        ZSP_ECORRUPT);
    struct index_facts longer = facts;
    longer.end_offset++;
    assert_int_equal(
        id_file_decode(zsp_writer_slice(&w.bytes), &longer, &place, &entries, &count, NULL),
        ZSP_ECORRUPT);
    zsp_writer_fini(&w.bytes);
}

/* Put the file into a file system and begin a search in it. */
static struct fs *open_search(const struct written *w, struct id_search *search)
{
    struct fs *fs = crash_fs_new();
    bool sync_failed;
    assert_int_equal(
        layout_write_file(fs, "", "x.ids", zsp_writer_slice(&w->bytes), &sync_failed, NULL), 0);
    const int file = fs->ops->open(fs->self, "x.ids", FS_READ, NULL);
    assert_true(file >= 0);
    assert_int_equal(id_search_begin(search, fs, file, &facts, &place, NULL), 0);
    return fs;
}

static void close_search(struct fs *fs, struct id_search *search)
{
    assert_int_equal(fs->ops->close(fs->self, search->file, NULL), 0);
    id_search_end(search);
    crash_fs_destroy(&fs);
}

static void a_search_finds_each_id_in_a_few_pages(void **state)
{
    (void)state;
    struct written w;
    write_ids(&w, MANY);
    struct id_search search;
    struct fs *fs = open_search(&w, &search);
    const uint64_t before = crash_fs_calls(fs);
    uint32_t deltas[ID_SAME_MAX];
    for (uint32_t i = 0; i < w.count; i++) {
        const uint32_t at = (uint32_t)((uint64_t)i * 2999 % w.count); /* not in their order */
        const uint64_t print = w.entries[at].print;
        const bool has_two = (at > 0 && w.entries[at - 1].print == print) ||
                             (at + 1 < w.count && w.entries[at + 1].print == print);
        assert_int_equal(id_search_find(&search, print, deltas, NULL), has_two ? 2 : 1);
        assert_true(deltas[0] == w.entries[at].delta ||
                    (has_two && deltas[1] == w.entries[at].delta));
        assert_true(!has_two || deltas[0] > deltas[1]);
        assert_int_equal(id_search_find(&search, print + 1, deltas, NULL), 0);
    }
    assert_true(crash_fs_calls(fs) - before < w.count * 3ull);
    assert_int_equal(id_search_find(&search, 1, deltas, NULL), 0);
    assert_int_equal(id_search_find(&search, UINT64_MAX, deltas, NULL), 0);
    close_search(fs, &search);
    zsp_writer_fini(&w.bytes);
}

static void a_search_finds_ids_that_are_spread_unevenly(void **state)
{
    (void)state;
    struct written w = {.count = MANY};
    for (uint32_t i = 0; i < MANY; i++) {
        w.entries[i] = (struct id_entry){i < 400 ? 7 : UINT64_MAX - MANY + i, i};
    }
    assert_int_equal(id_entries_sort(w.entries, &w.count), 0);
    id_file_encode(&w.bytes, w.entries, w.count, &facts, &place);
    struct id_search search;
    struct fs *fs = open_search(&w, &search);
    uint32_t deltas[ID_SAME_MAX];
    assert_int_equal(id_search_find(&search, 7, deltas, NULL), ID_SAME_MAX);
    assert_int_equal(deltas[0], 399);
    for (uint32_t i = 400; i < MANY; i++) {
        assert_int_equal(id_search_find(&search, UINT64_MAX - MANY + i, deltas, NULL), 1);
        assert_int_equal(deltas[0], i);
    }
    close_search(fs, &search);
    zsp_writer_fini(&w.bytes);
}

static void a_search_tells_of_a_page_that_is_damaged(void **state)
{
    (void)state;
    struct written w;
    write_ids(&w, MANY);
    struct id_search search;
    struct fs *fs = open_search(&w, &search);
    assert_true(crash_fs_flip(fs, "x.ids", PAGED_HEADER_BYTES + 5ull * ID_FILE_PAGE_BYTES, 1));
    uint32_t deltas[ID_SAME_MAX];
    assert_int_equal(
        id_search_find(&search, w.entries[5 * ID_FILE_PAGE_ENTRIES + 9].print, deltas, NULL),
        ZSP_ECORRUPT);
    assert_int_equal(id_search_find(&search, w.entries[9].print, deltas, NULL) > 0, 1);
    close_search(fs, &search);
    zsp_writer_fini(&w.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_finds_what_it_was_given),
        cmocka_unit_test(a_table_keeps_the_last_of_one_id),
        cmocka_unit_test(what_is_removed_hides_nothing_else),
        cmocka_unit_test(a_filter_misses_nothing_and_is_seldom_wrong),
        cmocka_unit_test(ids_that_repeat_or_lie_together_are_no_trouble),
        cmocka_unit_test(an_empty_filter_has_nothing),
        cmocka_unit_test(a_file_of_ids_comes_back_as_it_went),
        cmocka_unit_test(a_damaged_short_or_foreign_file_of_ids_is_refused),
        cmocka_unit_test(a_search_finds_each_id_in_a_few_pages),
        cmocka_unit_test(a_search_finds_ids_that_are_spread_unevenly),
        cmocka_unit_test(a_search_tells_of_a_page_that_is_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
