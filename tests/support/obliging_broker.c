/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/obliging_broker.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

#include "common/record.h"
#include "common/wire.h"

/* `count` records "m OFFSET". */
static void write_records(struct zsp_writer *out, uint64_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "m %" PRIu64, first + i);
        const struct zsp_record record = {.payload = zsp_slice_str(text)};
        zsp_record_write(out, &record);
    }
}

static void answer_publish(struct obliging_broker *self, struct fake_broker *broker,
                           const struct fake_request *request)
{
    char map[160];
    const uint64_t count = fake_uint(request, "count", 0);
    (void)snprintf(map, sizeof map,
                   "{'at': [[0, %" PRIu64 ", 0, %" PRIu64 ", false]], 'timestamp_ms': 5, "
                   "'level': 'synced'}",
                   count, self->published);
    self->published += count;
    fake_reply(broker, request, map);
}

static void answer_pull(struct obliging_broker *self, struct fake_broker *broker,
                        const struct fake_request *request)
{
    const unsigned wanted = (unsigned)fake_uint(request, "max_messages", 1000);
    atomic_store(&self->max_messages, wanted);
    atomic_store(&self->max_bytes, (unsigned)fake_uint(request, "max_bytes", 0));
    unsigned count = atomic_load(&self->stock);
    count = wanted + self->excess < count ? wanted + self->excess : count;
    count = self->reply_max > 0 && self->reply_max < count ? self->reply_max : count;
    if (count == 0 && fake_uint(request, "wait_ms", 0) > 0) {
        return; /* parked, and nothing comes */
    }
    struct zsp_writer body = {0};
    char map[200] = "{'runs': [], 'lease_ms': 0, 'reason': 'end'}";
    if (count > 0) {
        const uint64_t first = self->next_offset;
        (void)atomic_fetch_sub(&self->stock, count);
        self->next_offset += count;
        write_records(&body, first, count);
        (void)snprintf(map, sizeof map,
                       "{'runs': [['t', 0, %" PRIu64 ", %u, %" PRIu64 ", 5]], 'lease_ms': %u}",
                       first, count, ++self->last_lease, self->lease_ms ? self->lease_ms : 30000);
    }
    fake_reply_body(broker, request, map, zsp_writer_slice(&body), 0);
    zsp_writer_fini(&body);
}

static uint64_t read_from(const struct obliging_broker *self, const struct fake_request *request)
{
    const msgpack_object *from = wire_map_find(request->args, "from");
    if (from && from->type == MSGPACK_OBJECT_ARRAY && from->via.array.size == 2) {
        const uint64_t offset = from->via.array.ptr[1].via.u64;
        return offset < self->log_end ? offset : self->log_end;
    }
    return atomic_load(&self->log_start);
}

static void answer_read(struct obliging_broker *self, struct fake_broker *broker,
                        const struct fake_request *request, unsigned number)
{
    const uint64_t first = read_from(self, request);
    const unsigned start = atomic_load(&self->log_start);
    if (first < start) {
        fake_refuse(broker, request, ZSP_EOUT_OF_RANGE, false, "topic t");
        return;
    }
    uint64_t count = self->log_end - first;
    count = self->reply_max > 0 && self->reply_max < count ? self->reply_max : count;
    if (count == 0 && fake_uint(request, "wait_ms", 0) > 0) {
        return; /* parked, and nothing comes */
    }
    struct zsp_writer body = {0};
    char run[64] = "";
    char map[200];
    if (count > 0 && number == self->broken_at) {
        zsp_write_bytes(&body, zsp_slice_str("these are no records, and not as many as told"));
    } else {
        write_records(&body, first, count);
    }
    if (count > 0) {
        (void)snprintf(run, sizeof run, "['t', 0, %" PRIu64 ", %" PRIu64 ", null, 5]", first,
                       count);
    }
    (void)snprintf(map, sizeof map,
                   "{'runs': [%s], 'next': %" PRIu64 ", 'start': %u, 'end': %" PRIu64 "%s}", run,
                   first + count, start, self->log_end,
                   first + count == self->log_end ? ", 'reason': 'end'" : "");
    fake_reply_body(broker, request, map, zsp_writer_slice(&body), 0);
    zsp_writer_fini(&body);
}

/* What the replies to all other verbs must hold, in one map: keys too many do no harm. */
static const char everything[] =
    "{'topic': 't', 'id': 1, 'settings': {}, 'partitions': [[0, 0, 0, 0]], 'items': [], "
    "'more': false, 'group': 'g', 'mode': 'shared', 'start': 'earliest', 'parts': [], "
    "'members': 0, 'epoch': 1, 'last': [], 'applied': 1, 'not_applied': [], 'now_ms': 1}";

void obliging_handler(struct fake_broker *broker, const struct fake_request *request, void *arg)
{
    struct obliging_broker *self = arg;
    (void)atomic_fetch_add(&self->requests, 1);
    atomic_store(&self->connections, request->connection);
    while (atomic_load(&self->held)) {
        (void)poll(NULL, 0, 1);
    }
    if (atomic_load(&self->silent)) {
        return;
    }
    if (fake_is(request, "PUBLISH")) {
        (void)atomic_fetch_add(&self->publishes, 1);
        answer_publish(self, broker, request);
    } else if (fake_is(request, "PULL")) {
        (void)atomic_fetch_add(&self->pulls, 1);
        answer_pull(self, broker, request);
    } else if (fake_is(request, "READ")) {
        const unsigned number = atomic_fetch_add(&self->reads, 1) + 1;
        while (atomic_load(&self->reads_let) != 0 && number > atomic_load(&self->reads_let)) {
            (void)poll(NULL, 0, 1);
        }
        answer_read(self, broker, request, number);
    } else if (fake_is(request, "SETTLE")) {
        (void)atomic_fetch_add(&self->settles, 1);
        fake_reply(broker, request, everything);
    } else if (fake_is(request, "SEEK")) {
        fake_reply(broker, request, "{'partitions': [[0, 0, 0, 0, 0]]}");
    } else if (fake_is(request, "TOPIC.PURGE")) {
        fake_reply(broker, request, "{'messages': 1, 'groups': [['g', 1]]}");
    } else if (fake_is(request, "SAVEPOINT.LIST")) {
        fake_reply(broker, request, "{'savepoints': [['s', 1, 2]]}");
    } else if (fake_is(request, "SAVEPOINT.RESTORE") || fake_is(request, "SAVEPOINT.UNDO")) {
        fake_reply(broker, request, "{'partitions': [['t', 0, 0, 0, 0, 0, 0]], 'missing': ['u']}");
    } else {
        fake_reply(broker, request, everything);
    }
}
