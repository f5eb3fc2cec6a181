/* SPDX-License-Identifier: MPL-2.0
 *
 * The agenda of a partition: which of its messages are not to be taken in their turn, because they
 * have a priority or wait for their time. Only these are in it, as runs of offsets; a partition
 * whose topic never had any has no agenda at all.
 *
 * It is derived, in memory only. Messages come in when the mark passes them. What was there
 * before this start, and what no group needed any more when it was forgotten, is asked of the store
 * again when a group is to be served that may hand it out (store_ops.read_terms): all from `from`
 * on is known. The group waits for that, so that the most urgent comes first; after a while, or
 * when it cannot be read, it goes on with its other partitions, and this one joins when its time
 * has come.
 * That a topic has ever had such messages is durable in its image, before the first one is.
 *
 *   READY     another priority than 4, may be handed out
 *   WAITING   not before `due_ms`, wall time; then READY, or, with priority 4, of no interest
 *
 * Wall time may jump. A message is never taken before its time has come by the clock as it is
 * then; a jump forwards is seen at the next event, or within AGENDA_LOOK_MS.
 */
#ifndef ZSP_ENGINE_AGENDA_H
#define ZSP_ENGINE_AGENDA_H

#include "broker/engine/base/runmap.h"
#include "broker/engine/base/timers.h"
#include "common/err.h"

struct groups;
struct ledger;
struct partition;
struct topic;

struct agenda {
    struct runmap map;
    uint64_t from; /* all from here on is known */
    struct partition *partition;
    struct timer due;         /* of the first WAITING run, or of the next try to load */
    struct agenda_load *load; /* reads what lies below `from`; NULL = nobody wants it */
    bool is_late;             /* the load takes long, or fails: nobody waits for it */
    uint32_t adds;            /* since it was pruned */
};

/* Prepare the memory of all agendas; free it. */
void agenda_init(struct engine *engine);
void agenda_fini(struct engine *engine);

/* The partition is opened, and its topic has had such messages: nothing is known of what is there.
 * Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int agenda_open(struct engine *engine, struct partition *partition, uint64_t from);
/* The partition goes. No ledger has levels any more. */
void agenda_close(struct engine *engine, struct partition *partition);

/* Messages at [first, end) are visible from now on. Memory that runs out stops the broker. */
void agenda_add(struct engine *engine, struct partition *partition, uint64_t first, uint64_t end,
                unsigned priority, int64_t not_before_ms);
/* Tell a ledger its partition's mark, and give it levels when there is an agenda. Memory that runs
 * out stops the broker. */
void agenda_tell(struct groups *groups, struct ledger *ledger);
/* Read what the ledgers of waiting pulls need and is not known. */
void agenda_want(struct engine *engine, struct partition *partition);
/* The clock has jumped. */
void agenda_clock_jumped(struct engine *engine);

#endif
