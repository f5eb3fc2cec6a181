/* SPDX-License-Identifier: MPL-2.0
 *
 * One segment: a file of batches of one partition, what is known of it, and its
 * open file. Files are opened when first needed and closed, longest unused
 * first, when others need room (open_files.h); a file with unsynced bytes or a job
 * out is pinned and never closed.
 *
 *   (created ahead) ---> ACTIVE ---> SEALED ---> GONE
 *   -> ACTIVE       partition.c, roll.c  it takes appends
 *   ACTIVE -> SEALED  roll.c    synced, cut to its batches, fact in the journal
 *   SEALED -> GONE    retain.c  the journal says so; the file goes
 *
 * Life of the file: closed (file < 0) ---segment_ready()---> loading (a task opens
 * it and, if wanted, loads the index) ---> open ---evicted or segment_close()---> closed
 */
#ifndef ZSP_STORE_SEGMENT_H
#define ZSP_STORE_SEGMENT_H

#include "broker/store/file/io.h"
#include "broker/store/file/layout.h"
#include "broker/store/index/index.h"
#include "broker/store/index/terms_file.h"

#define SEGMENT_FILL_FIRST \
    (4u << 10) /* the first fill of a segment, little for the idle; it doubles */

struct segment_ids;
struct store_part;

enum segment_state { SEGMENT_ACTIVE, SEGMENT_SEALED, SEGMENT_GONE };

/* What only a segment has that took the place of others: compacted, or an island. */
struct segment_rewrite {
    uint64_t last_number;    /* of those that it was made of */
    uint64_t clean_offset;   /* compacted: up to here no key has two messages; later ones are to be
                              * looked at again */
    int64_t tombstone_ms;    /* compacted: since when its oldest tombstone is, 0 = it has none */
    uint64_t island_from;    /* of an island: no message is below */
    uint64_t island_records; /* of an island: its messages */
};

/* In an order without holes, like its partition. */
struct segment {
    struct store_part *part;
    uint64_t number;
    uint64_t base_offset;
    uint64_t end_offset;      /* after the last batch written */
    uint64_t bytes;           /* of batches: where the next one goes */
    uint64_t file_bytes;      /* end of all ever written, zero-filled space included */
    int64_t max_before_ms;    /* highest timestamp before this segment, INT64_MIN = none known */
    int64_t max_timestamp_ms; /* highest up to its end */
    uint64_t epoch;           /* of its last batch */
    struct segment_rewrite *rewrite; /* NULL = it is as it was appended; segment_rewrite() */
    struct seg_index index;
    struct segment_ids *ids;  /* NULL = nothing is known (part_ids.h) */
    struct terms_list *terms; /* of one that takes appends (part_terms.h); NULL = nothing */

    struct zsp_err *load_error; /* why the last load failed; taken by who asks next */
    struct segment *files_prev; /* in a list of open_files.c */
    struct segment *files_next;

    uint64_t redo_record; /* owes a sync for what the journal holds from here on (redo.h) */
    struct segment *redo_prev;
    struct segment *redo_next;

    uint32_t generation; /* 0 = as appended, else how often it was compacted */
    uint32_t fill_bytes; /* how much the next fill adds, 0 = no more */
    int file;            /* < 0 = closed */
    uint32_t pins;       /* users of the file */
    enum segment_state state : 8;
    bool compacting; /* it is being copied: retention lets it be */
    bool is_island;  /* retention has passed it: only what is kept for groups is in it (island.h) */
    bool loading;
    bool knows_terms; /* `terms` has all of it */
    bool in_files;
    bool in_redo;
    bool redo_syncing; /* a checkpoint syncs its file now: nobody else may, or one of the two
                        * would not hear of a failure */
    bool own_syncing;  /* likewise the commit cycle under way, or the seal: now, or soon */
};

/* What names the files of a segment in its directory. */
struct segment_file {
    uint64_t number;
    uint32_t generation;
};

struct segment_file segment_file(const struct segment *self);
/* All 0 of one that took no other's place. */
const struct segment_rewrite *segment_rewrite(const struct segment *self);
/* To fill it in. NULL = out of memory. */
struct segment_rewrite *segment_rewrite_open(struct segment *self);
/* Remove them. What cannot be removed now is removed by the next start. For tasks. */
void segment_unlink(struct fs *fs, const char *directory, struct segment_file file);

/* NULL = out of memory. */
struct segment *segment_new(struct store_part *part, uint64_t number, uint64_t base_offset);
/* Closes the file at once if it is open (start-up and end only). */
void segment_destroy(struct log_store *store, struct segment **self_p);

void segment_path(const struct segment *self, const char *suffix, char out[LAYOUT_PATH_MAX]);
struct batch_place segment_place(const struct segment *self, uint64_t pos);
struct index_facts segment_facts(const struct segment *self);

/* Is the file open and, if `need_index`, the index complete? Otherwise a task
 * is started, unless one is under way, and reads and writes are looked at again
 * when it ends. A load that failed is told once.
 * Without room for one more open file (then it is not `loading`) it waits as well.
 * Returns 1 = ready, 0 = wait, < 0 = error of the load */
int segment_ready(struct log_store *store, struct segment *self, bool need_index,
                  struct zsp_err *err);

/* Keep the open file open. */
void segment_pin(struct log_store *store, struct segment *self);
void segment_unpin(struct log_store *store, struct segment *self);
/* The segment is no part of its partition any more: closed and destroyed now, or
 * when its last user lets go. */
void segment_retire(struct log_store *store, struct segment *self);
/* Close the file, by a task; nobody has it pinned. */
void segment_close(struct log_store *store, struct segment *self);

/* Walk the headers of the open file and note them in `index`, from pos 0 up to
 * facts->bytes. Damage is stepped over. Runs in tasks. */
int segment_build_index(struct fs *fs, int file, const struct batch_place *place,
                        const struct index_facts *facts, struct seg_index *index,
                        struct zsp_err *err);

#endif
