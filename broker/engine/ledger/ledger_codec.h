/* SPDX-License-Identifier: MPL-2.0
 *
 * The durable form of a ledger: one `head`, and one object for each block of
 * ZSP_STATE_BLOCK offsets that holds any run. A delta says anew what is known of
 * some stretches of its block, in the same form as an image, so that a replay
 * needs no rules: it puts in place what it reads.
 *
 *   head   'h' group u64, topic u64, partition u32                 always an image
 *          version u8 = 1, high u64, water u64; or
 *          version u8 = 2, high u64, water u64, lost u64, lost_to u64     when any were lost; or
 *          version u8 = 3, the same, expired u64                          when any expired; or
 *          version u8 = 4, the same, compacted u64                        when any were
 *   block  'b' group u64, topic u64, partition u32, block u64      image, delta
 *          version u8 = 1, then runs in order, each:
 *          first u16 (in the block), count - 1 u16, state u8, flags u8, then as flags say:
 *            LEASE 1     lease u64                 (state LEASED); state DEAD: nothing, it owes a
 *                                                  copy
 *            LAST 2      last lease u64, outcome u8
 *            DUE 4       due u64                   (state WAITING: broker time; DEAD: since when,
 *                                                   wall time)
 *            COUNTS 8    deliveries u32, failures u32     else 1 and 0
 *            LIMIT 16    limit u8                  (state DEAD: 1 = it holds back what is behind it)
 *            REASONS 32  number u8, then each a short text, newest first
 *            SAME 64     reasons as of the last run that has some
 *            PRIORITY 128  priority u8, else 4
 *          state: 0 nothing to be remembered (delta only), 1 ready, 2 waiting, 3 leased, 4 dead,
 *          5 done, from `high` on only. 0 and 5 have no flags
 *
 * An image whose reasons would not fit a journal record keeps fewer of them.
 */
#ifndef ZSP_ENGINE_LEDGER_CODEC_H
#define ZSP_ENGINE_LEDGER_CODEC_H

#include "broker/engine/ledger/ledger.h"
#include "broker/store/store.h"

#define LEDGER_KEY_HEAD  'h'
#define LEDGER_KEY_BLOCK 'b'

/* Keys; `key` has room for GROUP_KEY_ROOM. */
struct zsp_slice ledger_head_key(const struct ledger *self, uint8_t *key);
struct zsp_slice ledger_block_key(const struct ledger *self, uint64_t block, uint8_t *key);

/* The head's image. */
void ledger_write_head(struct zsp_writer *out, const struct ledger *self);
/* Errors: ZSP_ECORRUPT */
int ledger_read_head(struct ledger *self, struct zsp_slice value, struct zsp_err *err);

/* Begin a block's image or delta; then write runs, first to last. */
struct block_writer {
    struct zsp_writer *out;
    const struct reasons *reasons;
    uint32_t reasons_kept; /* of each run, 0..ZSP_REASONS_KEPT */
    uint32_t last_reasons; /* the set written last */
};
void block_write_begin(struct block_writer *self, struct zsp_writer *out,
                       const struct reasons *reasons);
/* A run, which must not leave its block. RESERVED is written as READY. */
void block_write_run(struct block_writer *self, const struct run_span *span);

/* What of a run is durable: all of it, but of an untouched one only what lies below `journaled`.
 * False = nothing. */
bool ledger_durable_part(const struct ledger *self, struct run_span *span);
/* Is any of it durable? */
bool ledger_has_durable(const struct ledger *self, uint64_t first, uint64_t end);
/* The first block from *block on of which any is durable; false = none. */
bool ledger_next_block(const struct ledger *self, uint64_t *block);
/* The whole image of a block, within `bytes_max`. */
void ledger_write_block(const struct ledger *self, uint64_t block, size_t bytes_max,
                        struct zsp_writer *out);

/* Take a replayed entry of a block in. Errors: ZSP_ECORRUPT, ZSP_ENOMEM */
int ledger_replay_block(struct ledger *self, uint64_t block, enum store_entry_kind kind,
                        struct zsp_slice value, struct zsp_err *err);

#endif
