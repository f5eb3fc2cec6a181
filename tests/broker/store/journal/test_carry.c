/* SPDX-License-Identifier: MPL-2.0
 *
 * What the journal remembers of live objects.
 */
#include "broker/store/journal/carry.h"

#include <string.h>

#include "broker/store/journal/journal_record.h"
#include "tests/common/testing.h"

static const uint8_t own_key[] = {0, 'E'};
static const uint8_t bytes[FACT_VALUE_MAX + 1] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

static void note(struct carry *carry, size_t value_len, uint64_t record)
{
    const struct store_entry entry = {{own_key, sizeof own_key}, STORE_IMAGE, {bytes, value_len}};
    assert_int_equal(carry_note(carry, &entry, record), 0);
}

static void assert_kept(const struct carry *carry, size_t image_len, size_t kept_len)
{
    const struct carry_object *object =
        carry_find(carry, (struct zsp_slice){own_key, sizeof own_key});
    assert_non_null(object);
    assert_ptr_equal(TAILQ_FIRST(&carry->objects), object);
    assert_null(TAILQ_NEXT(object, link));
    assert_int_equal(carry->table.count, 1);
    assert_int_equal(carry->live_bytes, JOURNAL_ENTRY_BYTES + sizeof own_key + image_len);
    const struct zsp_slice kept = carry_value(object);
    assert_int_equal(kept.len, kept_len);
    assert_memory_equal(kept.data, bytes, kept_len);
}

/* Goal: a fact has room for its value and no more; a damaged journal whose images of one
 * fact differ in size writes beyond nothing. Let it grow, shrink, be too long for a fact. */
static void a_fact_may_change_its_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {8, 16, FACT_VALUE_MAX, 8, FACT_VALUE_MAX + 1, FACT_VALUE_MAX,
                                   0, 8};
    struct carry carry;
    carry_init(&carry, 1);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        note(&carry, sizes[i], i + 1);
        assert_kept(&carry, sizes[i], sizes[i] <= FACT_VALUE_MAX ? sizes[i] : 0);
        assert_int_equal(TAILQ_FIRST(&carry.objects)->image_record, i + 1);
    }
    carry_fini(&carry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fact_may_change_its_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
