/* SPDX-License-Identifier: MPL-2.0
 *
 * Is what fails a check in the journal proven to have been synced? For journal_scan.c alone.
 */
#ifndef ZSP_STORE_JOURNAL_PROOF_H
#define ZSP_STORE_JOURNAL_PROOF_H

#include "broker/store/journal/journal_scan.h"

/* One after the last nonzero byte at or after `from`; `from` if all are zero. */
size_t journal_nonzero_end(struct zsp_slice bytes, size_t from);

/* In the file that is read, is there a header behind `pos` that proves a mark above the record that
 * is expected there? Then scan->mark is that mark. Takes time that grows with the file, whatever
 * it holds. */
bool journal_proven_behind(struct journal_scan *scan, uint64_t number, uint64_t pos);

/* A valid record of number self->expected: does it count, whatever its data is like? 1 = yes; 0 =
 * no, `end` says why: it is torn. Errors: those of the file system, ZSP_ENOMEM */
int journal_judge_data(struct journal_scan *self, const struct journal_place *place,
                       const struct journal_parts *parts, struct zsp_err *end, struct zsp_err *err);

#endif
