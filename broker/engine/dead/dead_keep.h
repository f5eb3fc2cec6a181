/* SPDX-License-Identifier: MPL-2.0
 *
 * What retention leaves for the sake of dead messages. A group may have its dead messages kept for a
 * time (dead_retention_ms): when the log goes they stay, as islands (store.h) below its start, up to
 * dead_retention_bytes of the partition and never beyond max_topic_bytes where the oldest give way.
 * There they are listed, read, redriven and dropped as ever; what is redriven stays until it is done.
 *
 *      0 ....... island_offset ....... start_offset ......... mark
 *      gone      dead or redriven,     the log
 *                else gone
 *
 * Below the start a ledger has runs of these messages alone. What of them is wanted only shrinks: no
 * message below it dies that was not dead or redriven when the start moved. So what is told to the
 * store at any time is enough for all that it does later.
 */
#ifndef ZSP_ENGINE_DEAD_KEEP_H
#define ZSP_ENGINE_DEAD_KEEP_H

#include "broker/engine/group/group.h"

/* Does the ledger want the message when the log goes? */
bool dead_keep_spares(const struct engine *engine, const struct ledger *ledger,
                      const struct run *run);
/* Messages of [first, end) that are redriven and not done. */
uint64_t dead_keep_redriven(const struct ledger *ledger, uint64_t first, uint64_t end);

/* May anything of the partition have to be kept, or is anything kept? */
bool dead_keep_is_on(const struct partition *partition);
/* Ask the store to drop what is over these limits, which keep nothing yet, but for what is kept. */
void dead_keep_retain(struct engine *engine, struct partition *partition,
                      const struct store_retain *limits);

/* What TOPIC.INFO tells: a row for each partition with islands; there are some. */
void dead_keep_write_info(struct zsp_writer *out, const struct engine *engine,
                          const struct topic *topic);

#endif
