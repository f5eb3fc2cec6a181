/* SPDX-License-Identifier: MPL-2.0
 *
 * Shared by the files of atomic appends only.
 */
#ifndef ZSP_STORE_ATOMIC_APPEND_PRIV_H
#define ZSP_STORE_ATOMIC_APPEND_PRIV_H

#include "broker/store/journal/redo_debt.h"
#include "broker/store/partition/atomic_append.h"
#include "broker/store/partition/partition.h"

enum atomic_state { ATOMIC_WAITING, ATOMIC_READY, ATOMIC_PLACED, ATOMIC_WRITING };

struct atomic_batch {
    struct store_batch batch; /* holds a reference on its frame */
    uint64_t bytes;           /* on disk */
    size_t part;              /* index */
};

/* What goes to one partition. */
struct atomic_part {
    struct io io; /* of the write */
    struct store_atomic *atomic;
    struct store_part *part;
    struct append *marker; /* in its queue; NULL = not (any more) */
    uint64_t bytes;        /* of its batches */
    bool is_ready;         /* its partition stands still */
    bool is_out;           /* the write is */
    bool is_written;
    struct atomic_part *before; /* PLACED: the part of an older one that stands before it, */
    struct atomic_part *after;  /* and of a younger one behind it, in this partition */
    struct mark end;            /* PLACED: what the mark will be; */
    uint8_t *redo;              /* the redo entry's value, the batches behind it */
    struct iovec iov;           /* of the write */
    int64_t retry_ms; /* no room on the disk, or no descriptor: not again before; 0 = all is well */
};

struct store_atomic {
    struct log_store *store;
    struct store_atomic *next; /* in one of the lists */
    struct store_atomic *prev; /* of the first list */
    enum atomic_state state;
    uint64_t tag;
    uint64_t record; /* of the journal */
    uint64_t epoch;  /* of the batches */
    uint64_t bytes;
    bool is_held;          /* WRITING: a part is to be tried again, or stands behind such a one */
    struct zsp_err broken; /* READY: a queue has failed; code 0 = none */
    size_t ready_count;
    struct redo_amount reserved; /* of its redo entries, until they are in the journal */
    struct atomic_part *parts;
    size_t part_count;
    uint64_t *offsets; /* READY: of the batches */
    size_t count;
    struct atomic_batch batches[];
};

struct fact;

/* Two entries for each part that is not in its segment yet: its batches, and the mark that holds when all
 * that is placed in its partition is written. Returns how many; there is room for all. */
size_t atomic_fill_entries(const struct store_atomic *self, struct fact *facts,
                           struct store_entry *entries);
/* What cannot go on holds up those behind it in its partitions, and does not count against others. */
void atomic_note_held(struct log_store *store, struct store_atomic *self);

#endif
