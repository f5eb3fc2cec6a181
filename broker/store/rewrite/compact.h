/* SPDX-License-Identifier: MPL-2.0
 *
 * Compaction by key: of sealed segments, for each key only the newest message stays. Offsets do not
 * change; those of messages that go are absent from then on (sparse.h).
 *
 *   - The keys of what was not compacted yet (the dirty part) are noted with their newest offsets, up to
 *     a bound of memory; what does not fit waits for the next time;
 *   - all segments up to there are copied, some neighbours together, without the messages that have a
 *     newer one (rewriting.h).
 */
#ifndef ZSP_STORE_COMPACT_H
#define ZSP_STORE_COMPACT_H

#include <stdbool.h>

#include "broker/store/store.h"

struct log_store;

/* As store_ops.compact. */
int compact_start(struct log_store *store, struct store_part *part,
                  const struct store_compact *what, struct zsp_err *err);
/* What part_info() tells of it. */
void compact_info(const struct store_part *part, struct store_part_info *ret);
/* Is the partition being compacted? */
bool compact_is_busy(const struct log_store *store, const struct store_part *part);

#endif
