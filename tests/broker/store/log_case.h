/* SPDX-License-Identifier: MPL-2.0
 *
 * One store on a file system in memory, with one topic, for tests that put the
 * files into a certain state and then look what a start makes of it.
 */
#ifndef ZSP_TESTS_LOG_CASE_H
#define ZSP_TESTS_LOG_CASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/store/log_store.h"

#define CASE_TOPIC   7u
#define CASE_PARTS   2u
#define CASE_SEGMENT "topics/7-orders/0/00000000000000000000.log"
#define CASE_JOURNAL "journal/00000000000000000001.jnl"

struct log_case {
    struct fs *fs; /* crash_fs */
    struct log_store *log;
    struct store *store;
    struct instant now;
    uint64_t random;
    struct log_store_options options; /* may be changed between open and open */
    struct store_part *parts[CASE_PARTS];
    bool topic_known;
    bool topic_has_entry; /* an open knows the topic if its entry "T" is there */
    uint64_t replay_from; /* of part_open, partition 0 */
    uint8_t priority;     /* of what is appended; 0 = the usual */
    uint64_t hint;
    struct zsp_err err; /* of the last open */
    /* what came */
    size_t told;         /* batch headers of the last start */
    uint64_t first_told; /* first offset of the first one */
    char entries[65536]; /* entries of the last start: "key=value " */
    size_t warnings;     /* diagnostic lines of warning or error since the last open */
    char last_warning[512];
    int append_code; /* of the last append that was answered */
    bool append_maybe;
    uint64_t append_offset;
    uint64_t synced[CASE_PARTS];
    size_t appended;
    size_t atomics_ready, atomics_done; /* told */
    int atomic_code;                    /* of the last of them */
    bool failed;
    struct store_completion read;  /* the last one; released by the next */
    struct store_completion terms; /* likewise */
    uint64_t found;
    int ids_code;       /* of the last find_ids that was answered, */
    uint64_t ids_found; /* and its first hit; UINT64_MAX = none */
    uint64_t trimmed;
    bool dropped;
    struct zsp_diag diag;
};

/* cmocka: *state is a case with an open store and a topic of CASE_PARTS partitions. */
int log_case_set_up(void **state);
int log_case_tear_down(void **state);

/* Open and start; the code, 0 = it serves. */
int log_case_open(struct log_case *self);
/* Settle, then destroy. */
void log_case_close(struct log_case *self);
/* Destroy as a dying process does. */
void log_case_kill(struct log_case *self);
/* log_case_close() and log_case_open(), which must work. */
void log_case_reopen(struct log_case *self);

/* Take the completions that are there. */
void log_case_hear(struct log_case *self);
/* Run jobs until there are none; time stands still. */
void log_case_run(struct log_case *self);
/* Run, and let the time pass, until the store is quiet. */
void log_case_settle(struct log_case *self);

/* Queue a batch of one record; the code of the call. */
int log_case_append(struct log_case *self, uint32_t partition, const char *text);
/* The same `count` times, "<text><number>", run after each. */
void log_case_fill(struct log_case *self, uint32_t partition, const char *text, int count);
/* Open a closed case with a segment that has room for them, queue so many batches of one record of
 * LOG_CASE_LARGE bytes in partition 0, run after each, and close it. */
void log_case_fill_large(struct log_case *self, int count);
#define LOG_CASE_LARGE ((3u << 20) - 1)
/* Put one entry, synced, and run. */
void log_case_put(struct log_case *self, const char *key, enum store_entry_kind kind,
                  const char *value);
/* Read from an offset on and wait: the code; self->read holds the rest. */
int log_case_read(struct log_case *self, uint32_t partition, uint64_t from);
/* The body of batch `index` of the last read is `text`. */
void log_case_assert_body(const struct log_case *self, uint32_t index, const char *text);
struct store_part_info log_case_info(const struct log_case *self, uint32_t partition);

/* --- Files --- */
uint64_t log_case_file_size(struct log_case *self, const char *path); /* UINT64_MAX = none */
void log_case_file_write(struct log_case *self, const char *path, uint64_t pos, const void *bytes,
                         size_t len);
void log_case_file_zero(struct log_case *self, const char *path, uint64_t from, uint64_t to);
/* Overwrite with 0xa5. */
void log_case_file_spoil(struct log_case *self, const char *path, uint64_t from, uint64_t to);
void log_case_file_truncate(struct log_case *self, const char *path, uint64_t bytes);
void log_case_file_remove(struct log_case *self, const char *path);
void log_case_file_make(struct log_case *self, const char *path);
/* The file's bytes: into `out`, at most `size`; returns how many. */
size_t log_case_file_read(struct log_case *self, const char *path, uint8_t *out, size_t size);
/* Number of entries of a directory. */
size_t log_case_dir_count(struct log_case *self, const char *path);
/* Where the n-th batch (from 0) of a segment file begins, and where they end. */
uint64_t log_case_batch_pos(struct log_case *self, const char *path, int index);

/* --- Judging --- */
/* The check finds no damage in the files. */
void log_case_assert_clean(const struct log_case *self);
/* Everything in the directory of partition 0 belongs to a segment that is there. */
void log_case_assert_no_leftovers(struct log_case *self);

#endif
