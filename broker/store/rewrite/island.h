/* SPDX-License-Identifier: MPL-2.0
 *
 * Islands: what retention leaves of segments that it passes, because groups want to see some of their
 * messages again (dead letters). Neighbouring segments are written anew with only these messages, as
 * compaction does it (rewriting.h, sparse.h), so that no offset is without a batch and nothing else of
 * the log has to know of it:
 *
 *      island  island |  sealed  sealed  active
 *     island_offset   start_offset           mark
 *
 * Islands are the oldest segments of a partition. The start moves at once when it is decided what goes;
 * the copying follows. A crash before its record brings the start back, and all messages with it, never
 * fewer.
 *
 * An island is written again when less than half of it is wanted, several small ones become one, and
 * beyond a limit of bytes the oldest go.
 */
#ifndef ZSP_STORE_ISLAND_H
#define ZSP_STORE_ISLAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/store/segment/segment.h"
#include "broker/store/store.h"

struct log_store;

/* How many of the partition's segments are islands. */
size_t island_count(const struct store_part *part);
/* Can segments of the partition be copied now? */
bool island_may_start(const struct log_store *store, const struct store_part *part);
/* Is it doing so? */
bool island_is_busy(const struct log_store *store, const struct store_part *part);
/* Can one be made of the segment? */
bool island_may_have(const struct segment *segment);
/* Does the segment lie where `what` tells what is kept, and has something of that? `what` keeps. */
bool island_is_told(const struct store_retain *what, const struct segment *segment);
bool island_has_kept(const struct store_retain *what, const struct segment *segment);
/* Bytes of islands that are too many. */
uint64_t island_excess(const struct store_part *part, const struct store_retain *what);
/* Copy the segments [first, end), which are sealed and next to each other; none is damaged.
 * Errors: ZSP_ENOMEM */
int island_start(struct log_store *store, struct store_part *part, const struct store_retain *what,
                 size_t first, size_t end, struct zsp_err *err);
/* No segment goes: look whether islands are to be written again, and do so. Errors: ZSP_ENOMEM */
int island_tidy(struct log_store *store, struct store_part *part, const struct store_retain *what,
                struct zsp_err *err);

#endif
