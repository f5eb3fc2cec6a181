/* SPDX-License-Identifier: MPL-2.0
 *
 * Rolling: from a full segment to the next one. Nothing is written to segment
 * n + 1 before n is synced and sealed.
 *
 * The happy path:
 *   - the active segment is half full: roll_ahead() has a task make the file of the
 *     next one (file and directory synced);
 *   - a batch does not fit: roll_start(); the queue waits from here on;
 *   - all of the segment is synced and the next file is there: a task seals it
 *     (cuts off the zeros, syncs, writes .idx);
 *   - the fact of the sealed segment is put into the journal and synced;
 *   - the next segment becomes the active one, the queue goes on.
 *
 *   IDLE ---> WAITING ---> SEALING ---> JOURNAL ---> IDLE
 *   IDLE -> WAITING      roll_start     the queue waits
 *   WAITING -> SEALING   roll_continue  synced, next made
 *   WAITING -> IDLE      make_done      the next file cannot be made: the queue fails
 *   SEALING -> JOURNAL   seal_done
 *   JOURNAL -> IDLE      fact_synced    switched
 *
 * Failure modes: no room for the next file: the queued batches fail with
 * ZSP_ENO_SPACE, definite, and the next append tries again. No room for .idx: it
 * is rebuilt when needed. A failed sync of any kind: fail-stop. A crash before
 * the fact is synced: the old segment is still the active one, and full.
 */
#ifndef ZSP_STORE_ROLL_H
#define ZSP_STORE_ROLL_H

#include <stdbool.h>

struct segment;
struct store_part;

enum roll_state { ROLL_IDLE, ROLL_WAITING, ROLL_SEALING, ROLL_JOURNAL };

struct roll {
    struct segment *next; /* made ahead, empty; NULL = not yet */
    enum roll_state state;
    bool making;       /* the task that makes it is out */
    bool ahead_failed; /* do not try again before it is needed */
};

/* Does the queue wait for a roll? */
bool roll_busy(const struct store_part *part);
/* Make the next segment ahead if the active one is half full. */
void roll_ahead(struct store_part *part);
/* The active segment is full. False = as roll_continue(). */
bool roll_start(struct store_part *part);
/* Something a roll waits for may have happened: a sync, a new file. False = no more files may be
 * open now. */
bool roll_continue(struct store_part *part);

#endif
