/* SPDX-License-Identifier: MPL-2.0
 *
 * Producers: stable names that make publishing idempotent. A name has an id
 * that is never used again and an epoch; opening it raises the epoch and so
 * fences whoever held it before.
 *
 * An OPEN is answered when its epoch is durable and everything that was given
 * to the store under older epochs is synced or has failed: only then are the
 * last sequences it tells final. Older epochs are refused from the moment
 * the new one is durable.
 *
 * A name that nobody used for ZSP_PRODUCER_EXPIRE_MS (ephemeral ones:
 * ZSP_EPHEMERAL_EXPIRE_MS) of broker time is forgotten with all its sequences;
 * a time in which the broker was down does not count.
 */
#ifndef ZSP_ENGINE_PRODUCER_H
#define ZSP_ENGINE_PRODUCER_H

#include "broker/engine/engine_priv.h"
#include "common/limits.h"

struct producer_log;
struct producer_open;

struct producer {
    uint64_t id;
    struct zsp_slice name; /* = name_bytes */
    char name_bytes[ZSP_NAME_MAX + 1];
    char object[ZSP_NAME_MAX + 12]; /* "producer <name>", for errors */
    bool ephemeral;
    uint32_t epoch;       /* in force; 0 = the first OPEN is not durable yet */
    uint32_t epoch_taken; /* the highest given to an OPEN */
    int64_t last_used_ms; /* broker time */
    struct timer expiry;
    uint32_t in_flight; /* batches given to the store, not yet synced or failed */
    struct producer_log *log_first, *log_last;    /* by topic id and partition */
    struct producer_open *open_first, *open_last; /* OPENs not answered yet, in order */
};

/* Prepare the memory of producers. */
void producer_init(struct engine *engine);

struct producer *producer_find(const struct engine *engine, struct zsp_slice name);
struct producer *producer_by_id(const struct engine *engine, uint64_t id);

/* The producer that may publish with this name and epoch.
 * Errors: ZSP_ENOT_FOUND         unknown or expired
 *         ZSP_EFENCED_PRODUCER   a newer epoch is in force
 *         ZSP_EBAD_VALUE         an epoch that was never given out */
int producer_check(const struct engine *engine, struct zsp_slice name, uint64_t epoch,
                   struct producer **ret, struct zsp_err *err);
/* It was used: it lives on. */
void producer_touch(struct engine *engine, struct producer *self);
/* A batch was given to the store, or has come to its end (synced or failed). */
void producer_batch_begins(struct producer *self);
void producer_batch_ends(struct engine *engine, struct producer *self);

/* Give a name a new epoch and answer `to`, see above. Errors: ZSP_ENO_SPACE, ZSP_ELIMIT_REACHED,
 *         ZSP_ENOMEM, ZSP_ESTORAGE_FAILED (nothing changed). `err` must not be NULL. */
int producer_open(struct engine *engine, struct zsp_slice name, bool ephemeral,
                  const struct reply_to *to, struct zsp_err *err);
/* Answer with epoch and last sequences, of all topics or one ({NULL, 0} = all). */
void producer_reply(struct engine *engine, const struct producer *self, struct zsp_slice topic,
                    const struct reply_to *to);

/* --- durable state --- */

/* A replayed 'P' entry. Errors: ZSP_ECORRUPT, ZSP_ENOMEM */
int producer_entry(struct engine *engine, const struct store_entry *entry, struct zsp_err *err);
/* Put the current image of producer `id`, or a `gone`. Errors: those of state_put */
int producer_image(struct engine *engine, uint64_t id, struct zsp_err *err);
/* Broker time runs: arm the expiry of all. */
void producer_start(struct engine *engine);
void producer_free_all(struct engine *engine);

#endif
