/* SPDX-License-Identifier: MPL-2.0
 *
 * Writing sealed segments anew: the one owner of copy, commit and removal, for compaction (compact.h) and
 * islands (island.h). What is copied, and when it is over, is theirs (struct rewriting_kind).
 *
 *   - MAPPING: a compaction learns the newest offset of each key first;
 *   - COPYING: some neighbouring segments are copied to a file beside them, with the generation in its
 *     name, synced;
 *   - COMMITTING: one record of the journal says that this file takes the place of the others;
 *   - REMOVING: these are removed, and it goes on with the next ones. DROPPING: so is a copy that is no
 *     better than what it was made of.
 *
 *   MAPPING ---> COPYING ---> COMMITTING ---> REMOVING ---> COPYING ...
 *                   |                                          |
 *                   +-----> DROPPING ---> COPYING ...          +---> over
 *   -> MAPPING, COPYING      rewriting_start
 *   MAPPING -> COPYING       rewriting_next
 *   COPYING -> COMMITTING    commit          the copy is at its end
 *   COMMITTING -> REMOVING   committed       the record is synced
 *   COPYING -> DROPPING      copied
 *   REMOVING, DROPPING -> COPYING  rewriting_next
 *
 * Some of one kind may be under way at once, in as many partitions, and take turns: one job of bounded
 * size of a kind at a time, with pauses between them, so that nobody waits for it. So a large one keeps
 * nobody else waiting to its end, and all of them cost the disk and the executor no more than one.
 *
 * A crash leaves the old segments or the new one: whatever the journal does not name is removed by the
 * next start. Readers keep the old files as long as they have them open. Retention leaves segments
 * alone that are being copied. What fails (a full disk, damage) ends it; nothing has happened then.
 */
#ifndef ZSP_STORE_REWRITING_H
#define ZSP_STORE_REWRITING_H

#include <sys/queue.h>

#include "broker/store/file/io.h"
#include "broker/store/rewrite/compact_run.h"
#include "broker/store/rewrite/replace.h"

struct log_store;
struct rewriting;
struct rewritings;
struct store_part;

enum rewriting_phase {
    REWRITING_MAPPING,
    REWRITING_COPYING,
    REWRITING_COMMITTING,
    REWRITING_REMOVING,
    REWRITING_DROPPING
};

struct rewriting_kind {
    const char *name;     /* for messages */
    uint64_t rate;        /* bytes a second, of all together */
    uint32_t at_once_max; /* partitions */
    /* Begin with the next target: rewriting_begin(), rewriting_add(), compact_copy_begin(). Returns 1 =
     * there is none, all is done. Errors: ZSP_ENOMEM, it is over */
    int (*next)(struct rewriting *self);
    /* All sources are copied: add one more, or `run.closes`. */
    void (*extend)(struct rewriting *self);
    /* Is the copy better than what it was made of? */
    bool (*is_better)(const struct rewriting *self);
    /* What only the owner knows of the segment that comes out. */
    void (*describe)(const struct rewriting *self, struct segment *target);
    /* It has taken the place of its sources, which had so many bytes. */
    void (*swapped)(struct rewriting *self, uint64_t bytes);
    /* All is done: tell. */
    void (*done)(struct rewriting *self);
    /* It could not be copied, and is over. */
    void (*failed)(struct rewriting *self, const struct zsp_err *err);
    /* Free it. */
    void (*destroy)(struct rewriting *self);
};

/* Embedded, as the first member; zero-initialised, the kind set. */
struct rewriting {
    struct io io;
    const struct rewriting_kind *kind;
    struct rewritings *all;
    TAILQ_ENTRY(rewriting) link; /* of `all` */
    struct store_part *part;
    enum rewriting_phase phase;
    bool job_out;
    struct compact_run run;
    struct replacement replacement;
};

/* Those of one kind. */
struct rewritings {
    TAILQ_HEAD(, rewriting) list; /* in turn */
    uint32_t count;
    bool job_out;   /* of one of them */
    int64_t due_ms; /* of the next job */
};

void rewritings_init(struct rewritings *self);

/* That of the partition, NULL = none. */
struct rewriting *rewriting_find(const struct rewritings *all, const struct store_part *part);
/* Is there room for one more, in this partition? */
bool rewriting_may_start(const struct rewritings *all, const struct rewriting_kind *kind,
                         const struct store_part *part);
/* It is one of them from now on, in MAPPING, or, when nothing has to be learned, in COPYING. */
void rewriting_start(struct rewritings *all, struct rewriting *self, struct store_part *part,
                     enum rewriting_phase phase);
/* Begin with the next target, or it is over. */
void rewriting_next(struct rewriting *self);
void rewriting_finish(struct rewriting *self);

/* A new target, which begins with segment `index`. */
void rewriting_begin(struct rewriting *self, size_t index);
/* Segment `index` goes into it. Errors: ZSP_ENOMEM */
int rewriting_add(struct rewriting *self, size_t index, const struct compact_source *source);
/* The copy begins, by these rules. */
void rewriting_copy(struct rewriting *self, const struct compact_rules *rules);

/* Go on, if it is time for it. */
void rewritings_step(struct log_store *store, struct rewritings *all);
int64_t rewritings_deadline_ms(const struct rewritings *all);
/* Give up what is under way; no job is out. */
void rewritings_fini(struct rewritings *all);

#endif
