/* SPDX-License-Identifier: MPL-2.0
 *
 * Steps that the tests of groups have in common, over an engine fixture.
 */
#ifndef ZSP_TESTS_GROUP_STEPS_H
#define ZSP_TESTS_GROUP_STEPS_H

#include "tests/broker/engine/engine_fixture.h"

/* Publish `count` messages with payloads m0, m1, ... as one batch. */
void steps_publish(struct engine_fixture *self, const char *topic, unsigned count);
/* One batch for each word of `words`. */
void steps_publish_each(struct engine_fixture *self, const char *topic, const char *words);
/* One batch in topic t: a message for each letter, which is its payload and its key. `more` arguments
 * of PUBLISH, as in ", 'priority': 2". */
void steps_publish_letters(struct engine_fixture *self, const char *letters, const char *more);
/* Topic t gets a and b, a second later c and d; another second passes. */
void steps_publish_over_time(struct engine_fixture *self);

/* Pull up to `max` messages of group g; insists on an answer. */
const struct answer *steps_pull(struct engine_fixture *self, unsigned max);
/* A pull of group g that waits. Returns its ticket; nothing is pumped. */
uint64_t steps_wait(struct engine_fixture *self, unsigned max, unsigned wait_ms);

/* One outcome for a run of topic t, partition 0, in group g. `outcome` as in the protocol:
 * "'ack'" or "'retry', {'delay_ms': 5}". */
const struct answer *steps_settle(struct engine_fixture *self, uint64_t first, uint64_t count,
                                  uint64_t lease, const char *outcome);

/* A message of the answer's runs: how many there are in all. */
uint64_t steps_count(const struct answer *answer);

/* "committed end ready leased waiting dead" of a topic's partition in group g. */
const char *steps_part(struct engine_fixture *self, const char *topic, unsigned partition);

/* Topic t, partition 0, gets six messages, and group g has 0 acked, 1 dead (reason "bad"), 2 waiting,
 * 3 out, 4 and 5 fresh. Returns the lease. */
uint64_t steps_mixed(struct engine_fixture *self);

#endif
