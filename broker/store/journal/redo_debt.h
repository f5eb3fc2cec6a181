/* SPDX-License-Identifier: MPL-2.0
 *
 * How much redo data a start would find unpaid (redo.h), and that it never gets more than the store
 * may owe. Pure counting.
 *
 * What a start has to keep in mind are the entries that stand in the journal behind the record that
 * the last fact 'R' names: not what is owed by now, but what the journal says. So an entry counts from
 * the record that brings it until a record says that it is paid, and then the bound holds at every
 * place where a journal may have been cut off. What is decided and not in a record yet is reserved.
 *
 * Entries are counted by spans of records, so that the memory is fixed: one that is paid may count
 * until the rest of its span is.
 */
#ifndef ZSP_STORE_REDO_DEBT_H
#define ZSP_STORE_REDO_DEBT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REDO_SPANS 64u

struct redo_amount {
    uint64_t entries;
    uint64_t bytes;
};

/* Records that follow each other. */
struct redo_span {
    uint64_t last_record; /* with an entry */
    struct redo_amount amount;
};

struct redo_debt {
    struct redo_amount max;
    struct redo_amount recorded; /* of all spans */
    struct redo_amount reserved;
    struct redo_span spans[REDO_SPANS]; /* a ring, oldest first */
    size_t first;
    size_t count;
};

/* Zero-initialised, the bounds set. */

/* That much is to be put into the journal soon. False = it would be too much: something has to be paid
 * before. More than all that may be owed has room when nothing is. */
bool redo_debt_reserve(struct redo_debt *self, struct redo_amount amount);
/* It is there now, or comes to nothing. */
void redo_debt_release(struct redo_debt *self, struct redo_amount amount);
/* An entry of so many bytes is in this record, which is not below those before. */
void redo_debt_add(struct redo_debt *self, uint64_t record, uint64_t bytes);
/* The journal says that records below this one are paid. */
void redo_debt_paid(struct redo_debt *self, uint64_t record);
/* Records below this one are to be paid, so that no more than half of what may be is owed; 0 = that is
 * so. */
uint64_t redo_debt_due_below(const struct redo_debt *self);
/* Would it get less if records below this one were said to be paid? */
bool redo_debt_shrinks(const struct redo_debt *self, uint64_t record);

#endif
