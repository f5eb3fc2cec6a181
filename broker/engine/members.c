/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/members.h"

#include <stddef.h>
#include <stdlib.h>

#include "broker/engine/session_note.h"

/* Its session and its group's members, which follow each other. */
static struct zsp_slice key_of(const struct member *member)
{
    return (struct zsp_slice){(const uint8_t *)&member->session,
                              sizeof member->session + sizeof member->members};
}

_Static_assert(offsetof(struct member, session) == 0 &&
                   offsetof(struct member, members) == sizeof(uint64_t),
               "the key is one stretch");

void members_init(struct members *self, struct zsp_table *table)
{
    *self = (struct members){.table = table};
}

static void unlink_member(struct members *self, struct member *member)
{
    *(member->prev ? &member->prev->next : &self->first) = member->next;
    *(member->next ? &member->next->prev : &self->last) = member->prev;
}

static void link_last(struct members *self, struct member *member)
{
    member->next = NULL;
    member->prev = self->last;
    *(self->last ? &self->last->next : &self->first) = member;
    self->last = member;
}

static void drop(struct members *self, struct member *member)
{
    session_note_remove_member(member);
    unlink_member(self, member);
    (void)zsp_table_remove(self->table, key_of(member));
    free(member);
}

void members_fini(struct members *self)
{
    while (self->first) {
        drop(self, self->first);
    }
}

struct member *members_find(struct members *self, uint64_t session)
{
    const struct member wanted = {.session = session, .members = self};
    return zsp_table_find(self->table, key_of(&wanted));
}

static struct member *add(struct members *self, uint64_t session)
{
    struct member *member = calloc(1, sizeof *member);
    if (!member) {
        return NULL;
    }
    member->session = session;
    member->members = self;
    if (zsp_table_add(self->table, key_of(member), member) < 0) {
        free(member);
        return NULL;
    }
    link_last(self, member);
    return member;
}

struct member *members_seen(struct members *self, uint64_t session, int64_t now_ms,
                            int64_t forget_ms)
{
    while (self->first && self->first->seen_ms < forget_ms && self->first->session != session) {
        drop(self, self->first);
    }
    struct member *member = members_find(self, session);
    if (!member) {
        member = add(self, session);
        if (!member) {
            return NULL;
        }
    }
    member->seen_ms = now_ms;
    unlink_member(self, member);
    link_last(self, member);
    return member;
}

void members_forget(struct member *member)
{
    drop(member->members, member);
}

uint64_t members_count(const struct members *self, int64_t since_ms)
{
    uint64_t count = 0;
    for (const struct member *member = self->last; member && member->seen_ms >= since_ms;
         member = member->prev) {
        count++;
    }
    return count;
}
