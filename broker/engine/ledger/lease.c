/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/ledger/lease.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"

#define LEASE_VERSION 1u
#define LEASE_BITS    53u
#define FLAG_STARTED  1u
/* Leases whose memory is kept for later ones, and spans that such a one may have room for. */
#define LEASES_KEPT 256u
#define SPANS_KEPT  4u

void lease_table_init(struct lease_table *self, uint64_t (*random_fn)(void *arg), void *random_arg)
{
    *self = (struct lease_table){.random_fn = random_fn, .random_arg = random_arg};
    zsp_table_init(&self->by_number, random_fn(random_arg));
    zsp_table_init(&self->by_request, random_fn(random_arg));
}

void lease_table_fini(struct lease_table *self)
{
    zsp_assert(self->count == 0);
    while (self->free_first) {
        struct lease *lease = self->free_first;
        self->free_first = lease->next;
        free(lease->spans);
        free(lease);
    }
    zsp_table_fini(&self->by_number);
    zsp_table_fini(&self->by_request);
}

uint64_t lease_draw(struct lease_table *self)
{
    for (;;) {
        const uint64_t number =
            self->random_fn(self->random_arg) & ((UINT64_C(1) << LEASE_BITS) - 1);
        if (number != 0 && !lease_find(self, number)) {
            return number;
        }
    }
}

static struct lease *take_lease(struct lease_table *self)
{
    struct lease *lease = self->free_first;
    if (!lease) {
        return calloc(1, sizeof *lease);
    }
    self->free_first = lease->next;
    self->free_count--;
    struct lease_span *spans = lease->spans;
    const size_t capacity = lease->span_capacity;
    memset(lease, 0, sizeof *lease);
    lease->spans = spans;
    lease->span_capacity = capacity;
    return lease;
}

static void give_lease(struct lease_table *self, struct lease *lease)
{
    if (self->free_count >= LEASES_KEPT || lease->span_capacity > SPANS_KEPT) {
        free(lease->spans);
        free(lease);
        return;
    }
    self->free_count++;
    lease->next = self->free_first;
    self->free_first = lease;
}

static struct zsp_slice number_key(const struct lease *lease)
{
    return (struct zsp_slice){lease->number_key, sizeof lease->number_key};
}

static void write_request_key(uint8_t *key, uint64_t group_id, uint64_t session, uint64_t id)
{
    zsp_put_u64(key, group_id);
    zsp_put_u64(key + 8, session);
    zsp_put_u64(key + 16, id);
}

struct lease *lease_add(struct lease_table *self, uint64_t number, uint64_t group_id,
                        uint64_t session, uint64_t request_id)
{
    struct lease *lease = take_lease(self);
    if (!lease) {
        return NULL;
    }
    lease->number = number;
    lease->group_id = group_id;
    lease->session = session;
    lease->request_id = request_id;
    zsp_put_u64(lease->number_key, number);
    if (zsp_table_add(&self->by_number, number_key(lease), lease) < 0) {
        give_lease(self, lease);
        return NULL;
    }
    write_request_key(lease->request_key, group_id, session, request_id);
    const struct zsp_slice request = {lease->request_key, sizeof lease->request_key};
    if (session != 0 && !zsp_table_find(&self->by_request, request) &&
        zsp_table_add(&self->by_request, request, lease) < 0) {
        (void)zsp_table_remove(&self->by_number, number_key(lease));
        give_lease(self, lease);
        return NULL;
    }
    self->count++;
    return lease;
}

void lease_hide(struct lease_table *self, struct lease *lease)
{
    const struct zsp_slice request = {lease->request_key, sizeof lease->request_key};
    if (lease->session != 0 && zsp_table_find(&self->by_request, request) == lease) {
        (void)zsp_table_remove(&self->by_request, request);
    }
}

void lease_remove(struct lease_table *self, struct lease *lease)
{
    zsp_assert(!timer_is_armed(&lease->timer));
    zsp_assert(!lease->note);
    lease_hide(self, lease);
    (void)zsp_table_remove(&self->by_number, number_key(lease));
    self->count--;
    give_lease(self, lease);
}

struct lease *lease_find(const struct lease_table *self, uint64_t number)
{
    uint8_t key[8];
    zsp_put_u64(key, number);
    return zsp_table_find(&self->by_number, (struct zsp_slice){key, sizeof key});
}

struct lease *lease_find_request(const struct lease_table *self, uint64_t group_id,
                                 uint64_t session, uint64_t request_id)
{
    uint8_t key[24];
    write_request_key(key, group_id, session, request_id);
    return zsp_table_find(&self->by_request, (struct zsp_slice){key, sizeof key});
}

int lease_reserve(struct lease *self, size_t count)
{
    if (count <= self->span_capacity - self->span_count) {
        return 0;
    }
    size_t capacity = self->span_capacity > 0 ? self->span_capacity * 2 : 1;
    if (capacity < self->span_count + count) {
        capacity = self->span_count + count;
    }
    struct lease_span *spans = realloc(self->spans, capacity * sizeof *spans);
    if (!spans) {
        return ZSP_ENOMEM;
    }
    self->spans = spans;
    self->span_capacity = capacity;
    return 0;
}

void lease_cover(struct lease *self, struct ledger *ledger, uint64_t first, uint64_t end)
{
    self->outstanding += end - first;
    struct lease_span *last = self->span_count > 0 ? &self->spans[self->span_count - 1] : NULL;
    if (last && last->ledger == ledger && last->end == first) {
        last->end = end;
        return;
    }
    zsp_assert(self->spans);
    zsp_assert(self->span_count < self->span_capacity);
    self->spans[self->span_count++] =
        (struct lease_span){.ledger = ledger, .first = first, .end = end};
}

void lease_cover_on(struct lease *self, uint64_t first, uint64_t end)
{
    self->outstanding += end - first;
    self->spans[self->span_count - 1].end = end;
}

struct out_walk {
    uint64_t number, count;
};

static int count_out(void *arg, const struct run_span *span)
{
    struct out_walk *walk = arg;
    if (span->run.state == RUN_LEASED && span->run.lease == walk->number) {
        walk->count += span->end - span->first;
    }
    return 0;
}

/* Does the span have anything in [first, end) of the ledger, and does it have anything else? */
static bool is_in(const struct lease_span *span, const struct ledger *ledger, uint64_t first,
                  uint64_t end)
{
    return span->ledger == ledger && span->first < end && span->end > first;
}

static bool is_elsewhere(const struct lease_span *span, const struct ledger *ledger, uint64_t first,
                         uint64_t end)
{
    return span->ledger && (span->ledger != ledger || span->first < first || span->end > end);
}

uint64_t lease_out_in(const struct lease *self, const struct ledger *ledger,
                      const struct runmap *runs, uint64_t first, uint64_t end)
{
    bool any = false;
    bool all = true;
    for (size_t i = 0; i < self->span_count && (all || !any); i++) {
        any = any || is_in(&self->spans[i], ledger, first, end);
        all = all && !is_elsewhere(&self->spans[i], ledger, first, end);
    }
    if (!any || all) {
        return any ? self->outstanding : 0;
    }
    struct out_walk walk = {.number = self->number};
    for (size_t i = 0; i < self->span_count; i++) {
        const struct lease_span *span = &self->spans[i];
        if (is_in(span, ledger, first, end)) {
            (void)runmap_visit(runs, span->first > first ? span->first : first,
                               span->end < end ? span->end : end, count_out, &walk);
        }
    }
    return walk.count;
}

void lease_forget_ledger(struct lease *self, const struct ledger *ledger)
{
    for (size_t i = 0; i < self->span_count; i++) {
        if (self->spans[i].ledger == ledger) {
            self->spans[i].ledger = NULL;
        }
    }
}

/* --- Durable form --------------------------------------------------------------------- */

struct zsp_slice lease_key(uint64_t group_id, uint64_t number, uint8_t *key)
{
    key[0] = LEASE_KEY;
    zsp_put_u64(key + 1, group_id);
    zsp_put_u64(key + 9, number);
    return (struct zsp_slice){key, 17};
}

void lease_write(struct zsp_writer *out, const struct lease *self)
{
    zsp_write_u8(out, LEASE_VERSION);
    zsp_write_u8(out, self->uses_started ? FLAG_STARTED : 0);
    zsp_write_u32(out, self->granted);
    zsp_write_u64(out, (uint64_t)self->deadline_ms);
}

int lease_read(struct lease *self, struct zsp_slice value, struct zsp_err *err)
{
    struct zsp_reader in = zsp_reader_init(value);
    const uint8_t version = zsp_read_u8(&in);
    const uint8_t flags = zsp_read_u8(&in);
    const uint32_t granted = zsp_read_u32(&in);
    const uint64_t deadline_ms = zsp_read_u64(&in);
    if (in.failed || zsp_reader_left(&in) > 0 || version != LEASE_VERSION || granted == 0) {
        return zsp_err_set(err, ZSP_ECORRUPT, "lease %" PRIu64 ": entry of %zu bytes, version %u",
                           self->number, value.len, version);
    }
    self->uses_started = (flags & FLAG_STARTED) != 0;
    self->granted = granted;
    self->deadline_ms = (int64_t)deadline_ms;
    return 0;
}
