/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/group/session_note.h"

#include <stdlib.h>

#include "broker/engine/group/members.h"
#include "broker/engine/ledger/lease.h"
#include "common/assert.h"

void session_notes_init(struct session_notes *self, uint64_t seed)
{
    zsp_table_init(&self->by_session, seed);
}

void session_notes_fini(struct session_notes *self)
{
    zsp_assert(self->by_session.count == 0);
    zsp_table_fini(&self->by_session);
}

struct session_note *session_note_find(const struct session_notes *self, uint64_t session)
{
    uint8_t key[8];
    zsp_put_u64(key, session);
    return zsp_table_find(&self->by_session, (struct zsp_slice){key, sizeof key});
}

static struct zsp_slice key_of(const struct session_note *self)
{
    return (struct zsp_slice){self->key, sizeof self->key};
}

struct session_note *session_note_open(struct session_notes *self, uint64_t session)
{
    struct session_note *note = session_note_find(self, session);
    if (note) {
        return note;
    }
    note = calloc(1, sizeof *note);
    if (!note) {
        return NULL;
    }
    note->session = session;
    note->notes = self;
    TAILQ_INIT(&note->leases);
    zsp_put_u64(note->key, session);
    if (zsp_table_add(&self->by_session, key_of(note), note) < 0) {
        free(note);
        return NULL;
    }
    return note;
}

void session_note_close(struct session_note *self)
{
    if (TAILQ_EMPTY(&self->leases) && LIST_EMPTY(&self->members)) {
        (void)zsp_table_remove(&self->notes->by_session, key_of(self));
        free(self);
    }
}

void session_note_add_lease(struct session_note *self, struct lease *lease)
{
    zsp_assert(!lease->note);
    lease->note = self;
    TAILQ_INSERT_TAIL(&self->leases, lease, session_link);
}

void session_note_remove_lease(struct lease *lease)
{
    struct session_note *const self = lease->note;
    if (!self) {
        return;
    }
    TAILQ_REMOVE(&self->leases, lease, session_link);
    lease->note = NULL;
    session_note_close(self);
}

void session_note_add_member(struct session_note *self, struct member *member)
{
    zsp_assert(!member->note);
    member->note = self;
    LIST_INSERT_HEAD(&self->members, member, session_link);
}

void session_note_remove_member(struct member *member)
{
    struct session_note *const self = member->note;
    if (!self) {
        return;
    }
    LIST_REMOVE(member, session_link);
    member->note = NULL;
    session_note_close(self);
}
