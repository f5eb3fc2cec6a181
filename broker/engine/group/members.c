/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/group/members.h"

#include <stddef.h>
#include <stdlib.h>

#include "broker/engine/group/session_note.h"
#include "broker/engine/order/hold.h"
#include "common/container.h"

/* Its session and its group's members, which follow each other. */
static struct zsp_slice key_of(const struct member *member)
{
    return (struct zsp_slice){(const uint8_t *)&member->session,
                              sizeof(uint64_t) + sizeof(struct members *)};
}

_Static_assert(offsetof(struct member, session) == 0 &&
                   offsetof(struct member, members) == sizeof(uint64_t),
               "the key is one stretch");

void members_init(struct members *self)
{
    TAILQ_INIT(&self->list);
}

void members_forget(struct member *member, struct zsp_table *table)
{
    if (member->holds) {
        hold_member_left(CONTAINER_OF(table, struct groups, members), member);
    }
    session_note_remove_member(member);
    TAILQ_REMOVE(&member->members->list, member, link);
    (void)zsp_table_remove(table, key_of(member));
    free(member);
}

void members_fini(struct members *self, struct zsp_table *table)
{
    while (!TAILQ_EMPTY(&self->list)) {
        members_forget(TAILQ_FIRST(&self->list), table);
    }
}

struct member *members_find(struct members *self, const struct zsp_table *table, uint64_t session)
{
    const struct member wanted = {.session = session, .members = self};
    return zsp_table_find(table, key_of(&wanted));
}

static struct member *add(struct members *self, struct zsp_table *table, uint64_t session)
{
    struct member *member = calloc(1, sizeof *member);
    if (!member) {
        return NULL;
    }
    member->session = session;
    member->members = self;
    if (zsp_table_add(table, key_of(member), member) < 0) {
        free(member);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&self->list, member, link);
    return member;
}

struct member *members_seen(struct members *self, struct zsp_table *table, uint64_t session,
                            int64_t now_ms, int64_t forget_ms)
{
    struct member *member;
    while ((member = TAILQ_FIRST(&self->list)) && member->seen_ms < forget_ms &&
           member->session != session) {
        members_forget(member, table);
    }
    member = members_find(self, table, session);
    if (!member) {
        member = add(self, table, session);
        if (!member) {
            return NULL;
        }
    }
    member->seen_ms = now_ms;
    TAILQ_REMOVE(&self->list, member, link);
    TAILQ_INSERT_TAIL(&self->list, member, link);
    return member;
}

uint64_t members_count(const struct members *self, int64_t since_ms)
{
    uint64_t count = 0;
    const struct member *member;
    for (member = TAILQ_LAST(&self->list, member_list); member && member->seen_ms >= since_ms;
         member = TAILQ_PREV(member, member_list, link)) {
        count++;
    }
    return count;
}
