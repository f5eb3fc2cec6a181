/* SPDX-License-Identifier: MPL-2.0
 *
 * One durable step of group state: changes are made in memory one after the
 * other, each seeing those before it, and become one journal record; when the
 * journal refuses it, all of them are taken back and nothing has happened.
 *
 *     step_begin(step);
 *     step_set(step, ledger, first, end, &run); ...  step_lease(step, lease); ...
 *     rc = step_put(step, engine, level, op, &err);
 *
 * What is written of a block follows from the state after the last change: an
 * image when the block had no object, `gone` when nothing is left in it, else a
 * delta with the stretches that were touched. So a pull of a thousand fresh
 * messages and its acknowledgement are two records of about a hundred bytes.
 *
 * There is one step per engine, never two open at a time; its memory is reused.
 */
#ifndef ZSP_ENGINE_STEP_H
#define ZSP_ENGINE_STEP_H

#include "broker/engine/engine_priv.h"
#include "broker/engine/ledger/lease.h"
#include "broker/engine/ledger/ledger.h"

/* What a stretch was before the step. */
struct step_undo {
    struct ledger *ledger;
    struct run_span span; /* state RUN_NONE = there was no run */
};

/* A stretch to be written. */
struct step_touch {
    uint32_t ledger_index;
    uint64_t first, end;
};

/* A ledger of the step, with its figures before it. */
struct step_ledger {
    struct ledger *ledger;
    uint64_t high, journaled, water, above, expired, compacted;
    bool moved;         /* by step_move() */
    bool replaced;      /* by step_reset() or step_replace(); then */
    struct runmap runs; /* as they were */
};

struct step_lease {
    struct lease *lease;
    uint64_t outstanding; /* before the step */
    int64_t deadline_ms;  /* */
    bool write;           /* its image changes */
};

/* An entry being built; positions in `bytes`. */
struct step_entry {
    enum store_entry_kind kind;
    size_t key_pos, key_len, value_pos, value_len;
};

struct step_hooks {
    void *arg;
    /* The ledger's figures may have changed (also after a step was taken back). */
    void (*changed_fn)(void *arg, struct ledger *ledger);
    /* No message is under the lease any more; durably it is gone. */
    void (*lease_over_fn)(void *arg, struct lease *lease);
};

struct step {
    struct step_hooks hooks;
    struct lease_table *leases; /* lent */
    struct step_undo *undo;
    size_t undo_count, undo_capacity;
    struct step_touch *touches;
    size_t touch_count, touch_capacity;
    struct step_ledger *ledgers;
    size_t ledger_count, ledger_capacity;
    struct step_lease *lease_notes;
    size_t lease_count, lease_capacity;
    struct step_entry *entries;
    size_t entry_count, entry_capacity;
    struct store_entry *sealed; /* as given to the store */
    size_t sealed_capacity;
    struct zsp_writer bytes; /* keys and values of the entries */
    bool open;
    bool durable; /* something of it must be written */
};

void step_init(struct step *self, struct lease_table *leases, const struct step_hooks *hooks);
void step_fini(struct step *self);

void step_begin(struct step *self);

/* Make [first, end) of the ledger, which lies on one side of `high`, the run `run` (RUN_NONE =
 * nothing to be remembered: done, above `high` as well). What was LEASED there under another lease
 * than run->lease is settled. Below `high`, `journaled` moves behind it.
 * Errors: ZSP_ENOMEM (the step must be undone) */
ZSP_MUST_CHECK int step_set(struct step *self, struct ledger *ledger, uint64_t first, uint64_t end,
                            const struct run *run);
/* The same for what is not durable: `started` marks. */
ZSP_MUST_CHECK int step_mark(struct step *self, struct ledger *ledger, uint64_t first, uint64_t end,
                             const struct run *run);
/* So many messages more were left out, because they had expired. Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int step_count_expired(struct step *self, struct ledger *ledger, uint64_t count);
/* The same of messages that were not in the log any more. */
ZSP_MUST_CHECK int step_count_compacted(struct step *self, struct ledger *ledger, uint64_t count);
/* Hand out from `to` on again: `high` and `journaled` move there, forwards or back. Runs above
 * it must be dead ones, and none is DONE. Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int step_move(struct step *self, struct ledger *ledger, uint64_t to);
/* Begin the ledger anew at `to`: of its runs only the dead ones stay, and of these those from
 * `to` on only when `keeps_dead`. The cost is that of the dead runs and of forgetting the
 * others, which is done in turns. What was out is not taken off its leases, see step_lose_leases().
 * Not together with step_set on the same ledger. Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int step_reset(struct step *self, struct ledger *ledger, uint64_t to,
                              bool keeps_dead);
/* Make the ledger what `made` is: one of the same name, in no step, with no message out. Its runs
 * are taken, it is empty afterwards. Leases as for step_reset(). Not together with step_set on the same
 * ledger.
 * Errors: ZSP_ENOMEM (`made` is as it was) */
ZSP_MUST_CHECK int step_replace(struct step *self, struct ledger *ledger, struct ledger *made);
/* All that was out in ledgers that were reset or replaced in this step is under no lease any more;
 * `first` is the first of the leases of their group. The cost is that of these leases: what is out is
 * looked at only for those that cover other ledgers as well. Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int step_lose_leases(struct step *self, struct lease *first);
/* The lease is new or its fields will change: write it. Call it before a change.
 * Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int step_lease(struct step *self, struct lease *lease);
/* An entry of another kind, copied. Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int step_entry(struct step *self, const struct store_entry *entry);

/* Is there anything to write? */
bool step_is_durable(const struct step *self);

/* Write the step and close it. `op` may be NULL. When nothing is durable, no record is put and
 * `op` hears of nothing.
 * Errors: those of state_put, ZSP_ENOMEM; all was taken back then. */
ZSP_MUST_CHECK int step_put(struct step *self, struct engine *engine, enum store_level level,
                            struct engine_op *op, struct zsp_err *err);
/* Take everything back and close the step. Cannot fail. */
void step_undo(struct step *self);

/* The two halves of step_put, for tests: build the record's entries (lent until the step is
 * closed), then keep what was done. Errors: ZSP_ENOMEM, ZSP_ETOO_LARGE */
ZSP_MUST_CHECK int step_seal(struct step *self, const struct store_entry **ret_entries,
                             size_t *ret_count, struct zsp_err *err);
void step_keep(struct step *self);

#endif
