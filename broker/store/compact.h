/* SPDX-License-Identifier: MPL-2.0
 *
 * Compaction by key: of sealed segments, for each key only the newest message stays. Offsets do not
 * change; those of messages that go are absent from then on (sparse.h).
 *
 * One partition at a time, in jobs of bounded size with pauses between them, so that nobody waits
 * for it:
 *   - MAPPING: the keys of what was not compacted yet (the dirty part) are noted with their newest
 *     offsets, up to a bound of memory; what does not fit waits for the next time;
 *   - COPYING: all segments up to there are copied, some neighbours together, without the messages
 *     that have a newer one: to a file beside them, with the generation in its name, synced;
 *   - COMMITTING: one record of the journal says that this file takes the place of the others; then
 *     these are removed, and COPYING goes on with the next ones.
 *
 *   MAPPING ---> COPYING <---> COMMITTING
 *      |            |
 *      +------------+---> over
 *
 * A crash leaves the old segments or the new one: whatever the journal does not name is removed by the
 * next start. Readers keep the old files as long as they have them open. Retention leaves segments
 * alone that are being copied. What fails (a full disk, damage) ends it; nothing has happened then.
 */
#ifndef ZSP_STORE_COMPACT_H
#define ZSP_STORE_COMPACT_H

#include <stdbool.h>

#include "broker/store/store.h"

struct log_store;

/* As store_ops.compact. */
int compact_start(struct log_store *store, struct store_part *part,
                  const struct store_compact *what, struct zsp_err *err);
/* Go on, if it is time for it. */
void compact_step(struct log_store *store);
int64_t compact_deadline_ms(const struct log_store *store);
/* What part_info() tells of it. */
void compact_info(const struct store_part *part, struct store_part_info *ret);
/* Is the partition being compacted? */
bool compact_is_busy(const struct log_store *store, const struct store_part *part);
/* Give up what is under way; no job is out. */
void compact_fini(struct log_store *store);

#endif
