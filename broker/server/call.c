/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/server/call.h"

#include <stdlib.h>
#include <string.h>

#include "common/assert.h"

#define INDEX_BITS  32u /* low bits of a ticket: the slot; above: how often it was used */
#define FIRST_SLOTS 64u

static size_t ticket_index(uint64_t ticket)
{
    return (size_t)(ticket & UINT32_MAX);
}

static bool grow(struct call_table *self)
{
    const size_t capacity = self->capacity ? 2 * self->capacity : FIRST_SLOTS;
    struct call **const slots = realloc(self->slots, capacity * sizeof(struct call *));
    if (!slots) {
        return false;
    }
    self->slots = slots;
    self->capacity = capacity;
    return true;
}

/* A slot never used before; its ticket counts from use 0. */
static struct call *new_slot(struct call_table *self)
{
    if (self->slot_count == self->capacity && !grow(self)) {
        return NULL;
    }
    struct call *const call = calloc(1, sizeof *call);
    if (call) {
        call->ticket = self->slot_count;
        self->slots[self->slot_count] = call;
        self->slot_count++;
    }
    return call;
}

struct call *call_table_add(struct call_table *self)
{
    struct call *call = self->free;
    if (call) {
        self->free = call->next;
    } else {
        call = new_slot(self);
    }
    if (!call) {
        return NULL;
    }
    const uint64_t ticket = call->ticket + (UINT64_C(1) << INDEX_BITS);
    memset(call, 0, sizeof *call);
    call->ticket = ticket;
    self->used_count++;
    return call;
}

struct call *call_table_find(const struct call_table *self, uint64_t ticket)
{
    const size_t index = ticket_index(ticket);
    if (index >= self->slot_count) {
        return NULL;
    }
    struct call *const call = self->slots[index];
    return call->ticket == ticket && call->connection ? call : NULL;
}

void call_table_remove(struct call_table *self, struct call *call)
{
    zsp_assert(self->used_count > 0);
    envelope_fini(&call->envelope);
    call->connection = NULL;
    call->previous = NULL;
    call->next = self->free;
    self->free = call;
    self->used_count--;
}

void call_table_fini(struct call_table *self)
{
    for (size_t i = 0; i < self->slot_count; i++) {
        envelope_fini(&self->slots[i]->envelope);
        free(self->slots[i]);
    }
    free(self->slots);
    memset(self, 0, sizeof *self);
}
