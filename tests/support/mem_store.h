/* SPDX-License-Identifier: MPL-2.0
 *
 * A complete store in memory, for tests of the engine and as second subject of
 * the conformance suite. It does what store.h promises, in the order of the
 * calls, and stands still where the test wants it to:
 *
 *   automatic (default)   flush() writes, syncs, reads and creates all that is queued
 *   held                  the works named by mem_store_hold() wait for mem_store_release()
 *
 * A crash is mem_store_restart(): the object stays, what was not durable goes,
 * and a new engine may start on it. One thread.
 */
#ifndef ZSP_TESTS_MEM_STORE_H
#define ZSP_TESTS_MEM_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/store/store.h"

struct mem_store;

/* Never NULL: a test without memory ends. Destroyed by store->ops->destroy(). */
struct mem_store *mem_store_new(void);
struct store *mem_store_base(struct mem_store *self);

/* --- Standing still ------------------------------------------------------------ */

enum mem_store_work {
    MEM_WRITES = 1, /* appends get their offset, state records are written */
    MEM_SYNCS = 2,  /* what is written becomes durable: marks move, records are confirmed */
    MEM_READS = 4,  /* read, find_time, retain */
    MEM_TOPICS = 8, /* topic_create, topic_drop */
    MEM_ALL = 15
};

/* From now on flush() leaves these works (a sum of enum mem_store_work) alone;
 * 0 = automatic again. Nothing is done before the next flush() or release. */
void mem_store_hold(struct mem_store *self, unsigned works);
/* Do all queued works of these kinds now, once. */
void mem_store_release(struct mem_store *self, unsigned works);
void mem_store_write_all(struct mem_store *self);
void mem_store_sync_all(struct mem_store *self);
void mem_store_read_all(struct mem_store *self);

/* --- Failures ------------------------------------------------------------------ */

/* The next queued append fails when it is written, with `code` and `maybe`, and
 * so do all queued behind it in its partition. */
void mem_store_fail_next_append(struct mem_store *self, int code, bool maybe);
/* The next state_put() call returns `code` and changes nothing. */
void mem_store_fail_next_state(struct mem_store *self, int code);
/* The next sync fails: fail-stop, as mem_store_fail(). */
void mem_store_fail_next_sync(struct mem_store *self);
/* Fail-stop now: everything unconfirmed completes with ZSP_ESTORAGE_FAILED and
 * maybe, STORE_FAILED follows, later calls are refused. */
void mem_store_fail(struct mem_store *self);
/* Too little room for appends (ZSP_ENO_SPACE), or room again; tells STORE_SPACE. */
void mem_store_refuse_appends(struct mem_store *self, bool refuses);
/* Damage offsets of a partition: reads that begin in the range get ZSP_ECORRUPT,
 * reads before it end at it, and the partition refuses appends. */
void mem_store_damage(struct mem_store *self, uint64_t topic_id, uint32_t partition,
                      struct store_range range);
/* Reads of a partition fail with `code`; 0 = no more. */
void mem_store_fail_reads(struct mem_store *self, uint64_t topic_id, uint32_t partition, int code);
/* Tell STORE_IMAGE_WANTED for a key. */
void mem_store_want_image(struct mem_store *self, struct zsp_slice key);

/* --- Restart ------------------------------------------------------------------- */

enum mem_store_keep {
    MEM_KEEP_SYNCED, /* power cut: what was synced */
    MEM_KEEP_WRITTEN /* crash of the process: what was written, too */
};

/* Forget all handles, queued calls and completions and wait for start(). What
 * is kept counts as synced, as after a recovery. Holds and pending failures end. */
void mem_store_restart(struct mem_store *self, enum mem_store_keep keep);

/* --- Looking at it ------------------------------------------------------------- */

/* One state record, in the order of the calls; valid until the next restart. */
struct mem_store_record {
    struct store_entry *entries;
    size_t entry_count;
    enum store_level level; /* as asked */
    uint64_t tag;
    int64_t broker_ms; /* broker time when it was put */
    bool written;
    bool synced;
    struct store_atomic *atomic; /* its batches, until they are in their logs; NULL = none */
};
size_t mem_store_record_count(const struct mem_store *self);
const struct mem_store_record *mem_store_record(const struct mem_store *self, size_t index);

/* Batches of one segment, the unit of retain; default 4. */
void mem_store_segment_batches(struct mem_store *self, uint32_t batches);

#endif
