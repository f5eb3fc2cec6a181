/* SPDX-License-Identifier: MPL-2.0
 *
 * Savepoints: what a group has done, kept under a name; and, under number 0, what it had done before
 * its last seek or restore. A savepoint is one durable object with copies of the durable objects of
 * ledgers in it, of which a large one keeps fewer reasons of failures. It pins no messages: of those
 * that retention takes nothing can be restored.
 *
 *   's' group u64, number u32      always an image
 *       version u8 = 1, created_ms u64 (wall), name (short text; empty: number 0), then for each
 *       ledger: topic u64, topic's name (short text), partition u32, high u64, block count u32, and
 *       for each block: number u64, bytes u32, the value of its 'b' object (ledger_codec.h)
 *
 * A change of a savepoint is part of a step:
 *     savepoint_begin(groups, group, number, value, &change);
 *     savepoint_step(groups, &change); ... step_put ...
 *     savepoint_end(groups, &change, it was put);
 */
#ifndef ZSP_ENGINE_SAVEPOINT_H
#define ZSP_ENGINE_SAVEPOINT_H

#include "broker/engine/group/group.h"

#define SAVEPOINT_KEY     's'
#define SAVEPOINT_KEY_LEN 12u /* group u64, number u32 */
#define SAVEPOINT_UNDO    0u  /* the number of what the last seek has moved */

struct savepoint {
    uint8_t key[SAVEPOINT_KEY_LEN]; /* names it; in the table of all savepoints */
    struct savepoint *next;         /* of its group, by number; or of those without one (start) */
    struct zsp_buf *value;          /* NULL = none yet, see savepoint_begin() */
};

/* What a savepoint says first. Lent by its value. */
struct savepoint_head {
    int64_t created_ms;
    struct zsp_slice name;
};

/* One ledger of a savepoint. Lent by its value. */
struct saved_ledger {
    uint64_t topic_id;
    struct zsp_slice topic;
    uint32_t partition;
    uint64_t high;
    uint32_t block_count;
    struct zsp_slice blocks;
};

uint32_t savepoint_number(const struct savepoint *self);
struct savepoint_head savepoint_head(const struct savepoint *self);
/* The one of that number, NULL = none. */
struct savepoint *savepoint_of(const struct group *group, uint32_t number);
/* The one of that name, NULL = none. */
struct savepoint *savepoint_find(const struct group *group, struct zsp_slice name);

/* --- What is in it --- */
/* Write the value for these ledgers, which are attached to topics, as they are now; without a name, that
 * of an undo. Errors: ZSP_ENOMEM, ZSP_ETOO_LARGE (more than a record could restore, or an undo take of it) */
int savepoint_write(struct zsp_writer *out, int64_t created_ms, struct zsp_slice name,
                    struct ledger *const *ledgers, size_t count, struct zsp_err *err);
/* Walk: begin, then the next ledger until false. */
struct zsp_reader savepoint_ledgers(const struct savepoint *self);
bool savepoint_next_ledger(struct zsp_reader *in, struct saved_ledger *ret);
/* Make a ledger of what was saved, without messages below `start`. What was out is ready: its lease
 * is lost. `made` is zero, and to be ended with ledger_fini() in any case.
 * Errors: ZSP_ECORRUPT, ZSP_ENOMEM */
int savepoint_load(struct groups *groups, const struct savepoint *self,
                   const struct saved_ledger *saved, uint64_t start, struct ledger *made,
                   uint64_t *ret_gone, struct zsp_err *err);

/* --- Changes --- */
struct savepoint_change {
    struct savepoint *savepoint; /* NULL = nothing to change */
    struct zsp_buf *value;       /* NULL = it goes */
};

/* Prepare to keep `value` under that number; with len 0, to forget what is there.
 * Errors: ZSP_ENOMEM, ZSP_ELIMIT_REACHED (all savepoints together; nothing happened) */
int savepoint_begin(struct groups *groups, struct group *group, uint32_t number,
                    struct zsp_slice value, struct savepoint_change *ret, struct zsp_err *err);
/* Note it in the open step. Errors: ZSP_ENOMEM */
int savepoint_step(struct groups *groups, const struct savepoint_change *change);
/* The step was put, or not. */
void savepoint_end(struct groups *groups, struct savepoint_change *change, bool is_put);

/* Prepare the undo of a step that moves these ledgers; when there is no room for it, what was there
 * is forgotten: an older one would restore something else. Errors: ZSP_ENOMEM */
int savepoint_begin_undo(struct groups *groups, struct group *group, struct ledger *const *ledgers,
                         size_t count, struct savepoint_change *ret, struct zsp_err *err);
/* Let it be without an undo: the record had no room. Errors: ZSP_ENOMEM */
int savepoint_begin_no_undo(struct groups *groups, struct group *group,
                            struct savepoint_change *ret, struct zsp_err *err);

/* --- Start, and the end of a group --- */
/* A replayed entry. Errors: ZSP_ECORRUPT, ZSP_ENOMEM */
int savepoint_replay(struct groups *groups, const struct store_entry *entry, struct zsp_err *err);
/* All groups are known: give each what is its, forget the rest durably. */
void savepoint_start(struct groups *groups);
/* Write the object of that key; false = there is none. */
bool savepoint_image(const struct groups *groups, struct zsp_slice key, struct zsp_writer *out);
/* Forget those of the group, in memory. */
void savepoint_forget_all(struct groups *groups, struct group *group);
void savepoint_fini(struct groups *groups);
/* The key as the store has it; `key` has room for GROUP_KEY_ROOM. */
struct zsp_slice savepoint_store_key(const struct savepoint *self, uint8_t *key);

#endif
