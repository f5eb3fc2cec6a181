/* SPDX-License-Identifier: MPL-2.0
 *
 * READ: replay of one partition from any position. It never touches the state
 * of a group. A reader asks the store again and again until its limits are
 * met or it stands at the mark; there it answers, or waits for more.
 *
 *    new --> LOCATING --> READING <---> WAITING --> answered
 *                            |                         ^
 *                            +-------------------------+
 *   LOCATING   the store looks for a time; entered for `from`, then for `to`
 *   READING    the store reads; back here after each answer of it
 *   WAITING    at the mark, with nothing to tell and time left; or for room (reply_room):
 *              it is asked for before the first read, given back before a wait for more
 */
#ifndef ZSP_ENGINE_REPLAY_H
#define ZSP_ENGINE_REPLAY_H

#include "broker/engine/topic/topic.h"

/* Prepare the memory of readers. */
void read_init(struct engine *engine);
/* The partition's mark has moved: its waiting readers go on. */
void read_advanced(struct engine *engine, struct partition *partition);
/* The topic has more partitions: readers that wait, and want to know of it, are answered. */
void read_topic_grown(struct engine *engine, const struct topic *topic);
/* Room for replies may be there again: readers that wait for it ask once more. */
void read_room_again(struct engine *engine);
/* The partition goes away: its waiting readers are answered with `error`, those that are at work
 * will be failed by the store. */
void read_partition_gone(struct engine *engine, struct partition *partition,
                         const struct zsp_err *error);
/* Drop all readers, at the end. */
void read_free_all(struct engine *engine);

#endif
