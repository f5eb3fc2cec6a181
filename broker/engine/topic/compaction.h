/* SPDX-License-Identifier: MPL-2.0
 *
 * Topics with `cleanup = compact`: of the messages of each key the newest stays. Which segments, and how,
 * is the store's (store/compact.h); here is when, and what must be true before: producers are known
 * without the batches that go. A message with a key and an empty payload is a tombstone: nothing
 * older of that key is left, and after `tombstone_retention_ms` it goes itself.
 */
#ifndef ZSP_ENGINE_COMPACTION_H
#define ZSP_ENGINE_COMPACTION_H

#include "broker/engine/topic/topic.h"

/* Is there anything to be done by time? */
bool compaction_is_on(const struct topic *topic);
/* A round of retention: ask the store for what is due. */
void compaction_round(struct engine *engine, struct topic *topic);
/* STORE_COMPACTED */
void compaction_ended(struct engine *engine, struct partition *partition);

/* What TOPIC.INFO tells of a topic that is compacted: a row for each partition. */
void compaction_write_info(struct zsp_writer *out, const struct engine *engine,
                           const struct topic *topic);

#endif
