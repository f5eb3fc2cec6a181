/* SPDX-License-Identifier: MPL-2.0
 *
 * How many segment files are open at once: at most `max`. Who wants to open one
 * more asks with open_files_take(); when there is no room the files longest unused
 * are closed, and the asker waits. What is pinned (unsynced bytes, a job out) is
 * never closed: then room comes with the next sync, or when a job is back.
 *
 * Writers and readers take turns: who did not get the last place is looked at first, so that neither
 * waits for ever when the other could use all there is.
 *
 * A file counts from when it is about to be opened until it is closed. Files
 * that a task opens and closes by itself (an index, a directory) do not count; nor
 * does the journal.
 */
#ifndef ZSP_STORE_OPEN_FILES_H
#define ZSP_STORE_OPEN_FILES_H

#include <stdbool.h>
#include <stddef.h>

struct log_store;
struct segment;

#define OPEN_FILES_STANDARD 256u
#define OPEN_FILES_MIN      2u

enum open_files_user { FILES_WRITERS, FILES_READERS };

/* Zero-initialise, then open_files_init(). */
struct open_files {
    struct segment *first; /* open and used by nobody, longest unused first */
    struct segment *last;
    size_t idle_count;
    struct segment *fresh; /* just opened, still pinned for who waited for it */
    size_t count;          /* open, about to be opened, being closed */
    size_t closing;        /* tasks that close one */
    size_t max;
    bool wanted;                      /* somebody waits for room */
    enum open_files_user asking;      /* who is being looked at, */
    enum open_files_user got_a_place; /* and who got the last place */
};

/* `max` 0 = OPEN_FILES_STANDARD. */
void open_files_init(struct open_files *self, size_t max);

/* Count one more file, which is opened next. False = there is no room: the asker
 * waits, reads and writes are looked at again when there may be some. */
bool open_files_take(struct log_store *store);
/* The same for a file that is open already, at start-up, where nobody waits: false =
 * close it. */
bool open_files_keep(struct log_store *store);
/* Whoever asks from now on is one of these. */
void open_files_asking(struct log_store *store, enum open_files_user user);
/* Who is to be looked at first. */
enum open_files_user open_files_whose_turn(const struct log_store *store);
/* A file that was counted is closed, or could not be opened. */
void open_files_give(struct log_store *store);

/* The segment's file was just opened, and is pinned once: so it stays until everybody was
 * looked at, or else others might have it closed before it is used. */
void open_files_fresh(struct log_store *store, struct segment *segment);
/* Everybody was looked at. */
void open_files_settle(struct log_store *store);

/* Nobody uses the segment's open file; the longest unused is closed when others wait. */
void open_files_idle(struct log_store *store, struct segment *segment);
/* Somebody uses it again, or it is about to be closed. */
void open_files_busy(struct log_store *store, struct segment *segment);
/* Close the segment's open file, which nobody uses, by a task; at once when the store
 * ends. */
void open_files_close(struct log_store *store, struct segment *segment);

#endif
