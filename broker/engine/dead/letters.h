/* SPDX-License-Identifier: MPL-2.0
 *
 * Dead letter topics: of each message that dies in a group with a `dead_letter_topic` a copy is
 * published there, once.
 *
 *      RUN_LEASED ---dies---> RUN_DEAD, owes a copy ---copied---> RUN_DEAD
 *                                      |  ^
 *                                      +--+ the topic cannot take it: again later
 *   The message is dead at once, and its run owes the copy, durably (run->started). One transaction
 *   publishes the copy and takes the debt off, so that there is never a copy without the one, nor two.
 *   Who redrives, drops or restores a message meanwhile takes the debt off, too, without a copy.
 *
 * One call works for each group that owes any: it reads a stretch of alike messages, publishes it,
 * and goes on. While the topic is missing and may not be made, or is full, it tries again after 1 s, 2 s,
 * ... 60 s, and GROUP.INFO tells why. What cannot be copied at all (too large with its headers, damaged)
 * stays dead without a copy, is counted and logged. A message that dies in the dead letter topic
 * itself is not copied; one that dies again and again on a longer way, where copies of copies come back,
 * is copied LETTER_COPIES_MAX times: it carries the number.
 *
 * A copy has payload, key, type, id, priority, time and headers of the message, and the headers
 * zspool-topic, -partition, -offset, -group, -deliveries, -failures, -died (ms since 1970), -reason; a copy
 * of a copy also zspool-copies.
 */
#ifndef ZSP_ENGINE_LETTERS_H
#define ZSP_ENGINE_LETTERS_H

#include "broker/engine/dead/dead.h"

/* Copies of copies; then one stays dead without another. */
#define LETTER_COPIES_MAX 16u

struct letter_call;

/* Does a message that dies in this ledger owe a copy? */
bool letters_are_owed(const struct ledger *ledger);
/* After a change of the ledger, and of the group's settings: is a copy owed? Then it will be made. */
void letters_look(struct groups *self, const struct ledger *ledger);
/* The group's call, NULL = it owes nothing; and what GROUP.INFO tells of it: a map. */
struct letter_call *letters_find(const struct groups *self, const struct group *group);
void letters_write(struct zsp_writer *out, const struct letter_call *call);
/* The group's settings changed: who waits tries at once. */
void letters_kick(struct groups *self, const struct group *group);
/* The ledger `now` is to become `then`: what has been dead in it all the time owes what it owes now,
 * what was brought back meanwhile owes again what it owed. Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int letters_restored(struct ledger *then, const struct ledger *now);
/* Forget all calls, at the end. */
void letters_fini(struct groups *self);

/* --- letter_body.c --- */

/* What a stretch of alike dead messages has in common. */
struct letter_origin {
    struct zsp_slice topic, group;
    uint32_t partition;
    const struct run *run;
    const struct reasons *reasons;
};

/* Append copies of the records of `body`, the first of which has the offset `first`, as long as they
 * fit. *ret_count may be 0: the first one cannot be copied at all.
 * Errors: ZSP_EBAD_RECORD, ZSP_ENOMEM */
int letter_write(struct zsp_writer *out, const struct letter_origin *origin, struct zsp_slice body,
                 uint64_t first, uint32_t *ret_count, struct zsp_err *err);

#endif
