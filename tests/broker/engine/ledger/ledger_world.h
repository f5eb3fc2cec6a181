/* SPDX-License-Identifier: MPL-2.0
 *
 * A ledger with a journal, for tests: steps are sealed, kept and replayed as
 * engine and store do it.
 */
#ifndef ZSP_TESTS_LEDGER_WORLD_H
#define ZSP_TESTS_LEDGER_WORLD_H

#include "broker/engine/ledger/ledger.h"
#include "broker/engine/ledger/ledger_codec.h"
#include "broker/engine/ledger/step.h"
#include "tests/support/prng.h"

/* A durable entry, as the store would keep it. */
struct kept_entry {
    enum store_entry_kind kind;
    struct zsp_buf *key, *value;
};

struct world {
    struct reasons reasons;
    struct run_slab slab;
    struct lease_table leases;
    struct step step;
    struct ledger ledger;
    struct kept_entry *journal;
    size_t journal_count, journal_capacity;
    struct prng prng;
    uint64_t next_lease;
};

int world_set_up(void **state);
int world_tear_down(void **state);

/* Put one entry into the journal, or all of the open step, which is kept. */
void world_keep_entry(struct world *world, const struct store_entry *entry);
void world_keep_step(struct world *world);
/* A ledger made of the journal's entries from `from` on. */
void world_replay(struct world *world, size_t from, struct ledger *ret);
/* Append what carrying forward appends: an image of every object. */
void world_image_all(struct world *world);
/* What of the ledger is durable, as bytes to compare; the caller ends the writer. */
struct zsp_writer world_dump(const struct ledger *ledger);
/* The entries from `from` on say the same as memory. */
void world_assert_replays(struct world *world, size_t from);

struct take world_take(struct world *world, uint64_t messages, struct piece *pieces, size_t max);
/* Hand out what is reserved of a stretch; in the open step. */
void world_lease_out(struct world *world, uint64_t first, uint64_t end, uint64_t lease);
/* Take and hand out in one step; returns the lease. */
uint64_t world_grant(struct world *world, uint64_t messages);
/* One change as one step. */
void world_put(struct world *world, uint64_t first, uint64_t end, const struct run *run);
void world_ack(struct world *world, uint64_t first, uint64_t end);
/* `due_ms` 0 = ready at once. */
void world_retry(struct world *world, uint64_t first, uint64_t end, int64_t due_ms);

#endif
