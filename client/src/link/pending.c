/* SPDX-License-Identifier: MPL-2.0 */
#include "client/src/link/pending.h"

#include <string.h>

#include "common/assert.h"

static struct zsp_request **bucket_of(struct zsp_pending *self, uint64_t id)
{
    return &self->buckets[id & (ZSP_PENDING_BUCKETS - 1)];
}

static void place(struct zsp_pending *self, size_t index, struct zsp_request *request)
{
    self->heap[index] = request;
    request->heap_index = index;
}

static void sift_up(struct zsp_pending *self, size_t index)
{
    struct zsp_request *request = self->heap[index];
    while (index > 0) {
        const size_t parent = (index - 1) / 2;
        if (self->heap[parent]->deadline_ms <= request->deadline_ms) {
            break;
        }
        place(self, index, self->heap[parent]);
        index = parent;
    }
    place(self, index, request);
}

static void sift_down(struct zsp_pending *self, size_t index)
{
    struct zsp_request *request = self->heap[index];
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= self->count) {
            break;
        }
        if (child + 1 < self->count &&
            self->heap[child + 1]->deadline_ms < self->heap[child]->deadline_ms) {
            child++;
        }
        if (request->deadline_ms <= self->heap[child]->deadline_ms) {
            break;
        }
        place(self, index, self->heap[child]);
        index = child;
    }
    place(self, index, request);
}

static void remove_from_heap(struct zsp_pending *self, struct zsp_request *request)
{
    const size_t index = request->heap_index;
    zsp_assert(self->heap[index] == request);
    self->count--;
    if (index == self->count) {
        return;
    }
    place(self, index, self->heap[self->count]);
    sift_up(self, index);
    sift_down(self, self->heap[index]->heap_index);
}

void zsp_pending_init(struct zsp_pending *self)
{
    memset(self, 0, sizeof *self);
}

void zsp_pending_add(struct zsp_pending *self, struct zsp_request *request)
{
    zsp_assert(self->count < ZSP_REQUESTS_MAX);
    struct zsp_request **bucket = bucket_of(self, request->id);
    request->hash_next = *bucket;
    *bucket = request;
    place(self, self->count, request);
    self->count++;
    sift_up(self, self->count - 1);
}

struct zsp_request *zsp_pending_find(const struct zsp_pending *self, uint64_t id)
{
    struct zsp_request *request = self->buckets[id & (ZSP_PENDING_BUCKETS - 1)];
    while (request && request->id != id) {
        request = request->hash_next;
    }
    return request;
}

struct zsp_request *zsp_pending_take(struct zsp_pending *self, uint64_t id)
{
    for (struct zsp_request **link = bucket_of(self, id); *link; link = &(*link)->hash_next) {
        struct zsp_request *request = *link;
        if (request->id == id) {
            *link = request->hash_next;
            remove_from_heap(self, request);
            return request;
        }
    }
    return NULL;
}

struct zsp_request *zsp_pending_take_oldest(struct zsp_pending *self)
{
    if (self->count == 0) {
        return NULL;
    }
    /* Only when a connection is lost: a scan of at most 256 is fine. */
    uint64_t oldest = self->heap[0]->id;
    for (size_t i = 1; i < self->count; i++) {
        if (self->heap[i]->id < oldest) {
            oldest = self->heap[i]->id;
        }
    }
    return zsp_pending_take(self, oldest);
}

int64_t zsp_pending_deadline_ms(const struct zsp_pending *self)
{
    return self->count > 0 ? self->heap[0]->deadline_ms : INT64_MAX;
}
