/* SPDX-License-Identifier: MPL-2.0
 *
 * A workload over the segmented log, and the books about it: what was put in,
 * what was confirmed. For tests that let calls fail or cut the power at any
 * place and then ask whether every promise was kept:
 *
 *   - a batch confirmed as synced is there, at its offset, with its bytes, unless
 *     retention took it; so is every synced state entry;
 *   - of an atomic append all batches and its number are there, or none of them;
 *   - nothing is there that was not put in; offsets have no gap;
 *   - nothing was visible before it was synced.
 */
#ifndef ZSP_TESTS_LOG_RUN_H
#define ZSP_TESTS_LOG_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/store/log_store.h"

#define RUN_PARTS      3
#define RUN_BATCHES    512 /* put into one partition at most */
#define RUN_KEYS       4
#define RUN_ATOMICS    512
#define RUN_ATOMIC_KEY RUN_KEYS /* behind the others */
#define RUN_BODY_MAX   3000
#define RUN_JOBS_MAX   64

/* A batch put in; its body follows from its serial number. */
struct run_batch {
    uint64_t offset; /* UINT64_MAX = not told yet, or failed */
    uint32_t records;
    bool synced;
    bool never; /* of an atomic append that came to nothing: must not be seen */
};

struct run_part {
    struct run_batch batches[RUN_BATCHES];
    size_t count;
    uint64_t start; /* the highest start told by retention */
    uint64_t mark;  /* the highest mark told */
    struct store_part *part;
};

/* A key holds a number that only rises. */
struct run_key {
    uint64_t put;    /* last number put */
    uint64_t synced; /* highest number confirmed */
    uint64_t found;  /* what a start told */
    uint64_t tag;    /* of the put that is out, 0 = none */
};

/* An atomic append: one batch in each of some partitions, and the next number of RUN_ATOMIC_KEY. */
struct run_atomic {
    struct store_atomic *handle; /* NULL = put, or over */
    bool uses[RUN_PARTS];
    uint64_t serial[RUN_PARTS]; /* of its batches */
    uint64_t number;            /* 0 = not put */
    bool is_decided;            /* done, or a start has shown what became of it */
};

struct log_run {
    struct fs *fs;
    struct log_store *log;
    struct store *store;
    struct instant now;
    uint64_t random;
    bool shuffle; /* jobs wait and overtake each other */
    bool failed;  /* STORE_FAILED was told */
    bool refuses; /* STORE_SPACE told so */
    bool created;
    bool topic_known;  /* the engine would know of the topic: creation was answered */
    uint64_t topic_id; /* of the last creation: none is used again */
    uint64_t fill_bytes;
    uint32_t open_files_max; /* every other seed: fewer than partitions */
    uint32_t sync_files_max; /* two of three seeds: commits go through the journal */
    struct job *jobs[RUN_JOBS_MAX];
    bool ran[RUN_JOBS_MAX]; /* it has, its end is not told yet */
    size_t job_count;
    struct run_part parts[RUN_PARTS];
    struct run_key keys[RUN_KEYS + 1];
    struct run_atomic atomics[RUN_ATOMICS];
    size_t atomic_count;
    size_t atomics_done;
    char why[256]; /* the last open failed */
    size_t failed_appends;
    size_t reads_checked;
};

/* The file system is lent. Call once; the books live over restarts. */
void log_run_init(struct log_run *self, struct fs *fs, uint64_t seed);

/* Open, start, open the partitions if the topic is known, get ready, create the topic if it
 * is not. Returns 0 or the code of what failed; then the store is closed again. */
int log_run_open(struct log_run *self);
/* Destroy the store as a dying process does: jobs that are out do not run. */
void log_run_kill(struct log_run *self);

/* The workload: `rounds` rounds of appends, state, reads, now and then retention. Stops early
 * when the store fails. */
void log_run_work(struct log_run *self, int rounds);
/* Until nothing is queued, in flight or unsynced, or the store failed. */
void log_run_settle(struct log_run *self);
/* Put one batch into each partition and one number into each key and settle: all must
 * be confirmed. */
void log_run_must_work(struct log_run *self);
/* Read everything and compare with the books. */
void log_run_check(struct log_run *self);

#endif
