/* SPDX-License-Identifier: MPL-2.0
 *
 * What the group side knows of a session, so that its end touches what is its
 * own and nothing else: the leases that live and were granted to it, and the
 * groups it is a member of. A note exists while there is one of either.
 */
#ifndef ZSP_ENGINE_SESSION_NOTE_H
#define ZSP_ENGINE_SESSION_NOTE_H

#include <stdint.h>
#include <sys/queue.h>

#include "common/table.h"

struct lease;
struct member;

struct session_note {
    uint8_t key[8];
    uint64_t session;
    TAILQ_HEAD(, lease) leases; /* in order of grant */
    LIST_HEAD(, member) members;
    struct session_notes *notes;
};

struct session_notes {
    struct zsp_table by_session;
};

void session_notes_init(struct session_notes *self, uint64_t seed);
/* All notes must be gone. */
void session_notes_fini(struct session_notes *self);

/* NULL = there is none. */
struct session_note *session_note_find(const struct session_notes *self, uint64_t session);
/* The same, made when it is not there. NULL = out of memory. */
struct session_note *session_note_open(struct session_notes *self, uint64_t session);
/* Forget it if nothing is noted any more. */
void session_note_close(struct session_note *self);

void session_note_add_lease(struct session_note *self, struct lease *lease);
void session_note_add_member(struct session_note *self, struct member *member);
/* Take it out of its session's note, if it is in one; the note may go with it. */
void session_note_remove_lease(struct lease *lease);
void session_note_remove_member(struct member *member);

#endif
