/* SPDX-License-Identifier: MPL-2.0
 *
 * What is remembered of a producer's commits, so that one that is sent again gets the first answer:
 * the last sequence, and the answers of the last few. Commits have a sequence of their own, counted
 * in commits from 1, that goes on over epochs.
 *
 * Durable: 'K' producer id u64 -> version u8 = 1, answers, oldest first; a delta, of the same form, has
 * one more. An answer: sequence u64, timestamp u64 (wall ms), applied u64 (messages settled), rows (u16
 * length; as MessagePack, see transaction_write_rows()).
 *
 * Logs are found by the producer's id, not by the producer: at a start either may be told first.
 */
#ifndef ZSP_ENGINE_COMMIT_LOG_H
#define ZSP_ENGINE_COMMIT_LOG_H

#include "broker/engine/engine_priv.h"
#include "common/limits.h"

struct commit_call;

struct commit_answer {
    uint64_t sequence;
    int64_t timestamp_ms;
    uint64_t applied;
    struct zsp_buf *rows; /* holds a reference */
};

struct commit_log {
    uint64_t producer_id;
    uint64_t put_last;  /* sequence of the last one in the journal; 0 = none */
    uint64_t done_last; /* of the last one that is durable */
    bool has_image;     /* the journal knows the object */
    struct commit_answer answers[ZSP_COMMIT_WINDOW]; /* of those put, oldest first */
    uint32_t answer_count;
    struct commit_call *call_first, *call_last; /* not durable yet, in order of their sequences */
};

/* NULL = none. */
struct commit_log *commit_log_find(const struct engine *engine, uint64_t producer_id);
/* The log, made when there is none. NULL: out of memory. */
struct commit_log *commit_log_open(struct engine *engine, uint64_t producer_id);
/* The last sequence that was given, 0 = none. */
uint64_t commit_log_last(const struct engine *engine, uint64_t producer_id);
/* The answer to a sequence that is durable; NULL = not remembered any more. */
const struct commit_answer *commit_log_answer(const struct commit_log *self, uint64_t sequence);

/* Kind and value of the entry that remembers `answer` as well; lent as `value` is.
 * Errors: ZSP_ENOMEM */
int commit_log_entry(const struct commit_log *self, const struct commit_answer *answer,
                     struct zsp_writer *value, struct store_entry *ret);
/* That entry was put. Takes over the rows. Older answers go: all but ZSP_COMMIT_WINDOW of them, or,
 * when those of all producers take much memory, all that were told. */
void commit_log_put(struct engine *engine, struct commit_log *self,
                    const struct commit_answer *answer);
/* May one more commit be taken? Errors: ZSP_ELIMIT_REACHED */
int commit_log_check_room(const struct engine *engine, struct zsp_err *err);
/* The producer has gone: forget it, durably. */
void commit_log_gone(struct engine *engine, uint64_t producer_id);

/* --- start-up and durable state --- */

/* A replayed 'K' entry. Errors: ZSP_ECORRUPT, ZSP_ENOMEM */
int commit_log_replay(struct engine *engine, const struct store_entry *entry, struct zsp_err *err);
/* All producers are known: forget those of others. */
void commit_log_start(struct engine *engine);
/* Put the current image, or a `gone`. Errors: those of state_put */
int commit_log_image(struct engine *engine, struct zsp_slice key, struct zsp_err *err);
void commit_log_free_all(struct engine *engine);

#endif
