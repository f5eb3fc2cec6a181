/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/broker/engine/group_steps.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/record.h"
#include "common/wire.h"
#include "tests/common/testing.h"

static void add_record(struct zsp_writer *out, const char *payload, size_t len)
{
    const struct zsp_record record = {.payload = {(const uint8_t *)payload, len}};
    zsp_record_write(out, &record);
}

static void publish(struct engine_fixture *self, const char *topic, const char *more,
                    struct zsp_writer *body)
{
    const uint64_t ticket = fixture_send_bytes(
        self, "PUBLISH", fixture_format("{'topic': '%s'%s}", topic, more), zsp_writer_slice(body));
    fixture_pump(self);
    const struct answer *answer = fixture_answer(self, ticket);
    assert_true(!answer || answer->status == WIRE_OK); /* a held store answers later */
    zsp_writer_fini(body);
}

void steps_publish(struct engine_fixture *self, const char *topic, unsigned count)
{
    struct zsp_writer body = {0};
    for (unsigned i = 0; i < count; i++) {
        const char *payload = fixture_format("m%u", i);
        add_record(&body, payload, strlen(payload));
    }
    publish(self, topic, "", &body);
}

void steps_publish_each(struct engine_fixture *self, const char *topic, const char *words)
{
    while (*words != '\0') {
        const size_t len = strcspn(words, " ");
        struct zsp_writer body = {0};
        add_record(&body, words, len);
        publish(self, topic, "", &body);
        words += len + (words[len] == ' ' ? 1 : 0);
    }
}

void steps_publish_letters(struct engine_fixture *self, const char *letters, const char *more)
{
    struct zsp_writer body = {0};
    for (const char *at = letters; *at; at++) {
        const struct zsp_slice letter = {(const uint8_t *)at, 1};
        const struct zsp_record record = {.payload = letter, .key = letter};
        zsp_record_write(&body, &record);
    }
    publish(self, "t", more, &body);
}

void steps_publish_over_time(struct engine_fixture *self)
{
    steps_publish_each(self, "t", "a b");
    fixture_leap(self, 1000);
    steps_publish_each(self, "t", "c d");
    fixture_leap(self, 1000);
}

const struct answer *steps_pull(struct engine_fixture *self, unsigned max)
{
    return fixture_ok(self, "PULL",
                      fixture_format("{'group': 'g', 'topics': ['t'], 'max_messages': %u}", max),
                      NULL);
}

uint64_t steps_wait(struct engine_fixture *self, unsigned max, unsigned wait_ms)
{
    const char *args = fixture_format(
        "{'group': 'g', 'topics': ['t'], 'max_messages': %u, 'wait_ms': %u}", max, wait_ms);
    return fixture_send(self, "PULL", args, NULL);
}

const struct answer *steps_settle(struct engine_fixture *self, uint64_t first, uint64_t count,
                                  uint64_t lease, const char *outcome)
{
    return fixture_ok(self, "SETTLE",
                      fixture_format("{'group': 'g', 'runs': [['t', 0, %" PRIu64 ", %" PRIu64
                                     ", %" PRIu64 ", %s]]}",
                                     first, count, lease, outcome),
                      NULL);
}

uint64_t steps_count(const struct answer *answer)
{
    const msgpack_object *runs = wire_map_find(answer->map, "runs");
    uint64_t count = 0;
    assert_non_null(runs);
    for (uint32_t i = 0; i < runs->via.array.size; i++) {
        struct wire_run run = {0};
        assert_int_equal(wire_run_decode(&runs->via.array.ptr[i], &run, NULL), 0);
        assert_int_equal(run.lease, answer->lease);
        count += run.count;
    }
    return count;
}

const char *steps_part(struct engine_fixture *self, const char *topic, unsigned partition)
{
    const struct answer *answer = fixture_ok(self, "GROUP.INFO", "{'group': 'g'}", NULL);
    const msgpack_object *parts = wire_map_find(answer->map, "parts");
    assert_non_null(parts);
    for (uint32_t i = 0; i < parts->via.array.size; i++) {
        const msgpack_object *row = parts->via.array.ptr[i].via.array.ptr;
        const struct zsp_slice name = {(const uint8_t *)row[0].via.str.ptr, row[0].via.str.size};
        if (!zsp_slice_equal_str(name, topic) || row[1].via.u64 != partition) {
            continue;
        }
        return fixture_format(
            "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, row[2].via.u64,
            row[3].via.u64, row[4].via.u64, row[5].via.u64, row[6].via.u64, row[7].via.u64);
    }
    return "none";
}

uint64_t steps_mixed(struct engine_fixture *self)
{
    steps_publish_each(self, "t", "a b c d e f");
    const uint64_t lease = steps_pull(self, 4)->lease;
    steps_settle(self, 0, 1, lease, "'ack'");
    steps_settle(self, 1, 1, lease, "'reject', {'reason': 'bad'}");
    steps_settle(self, 2, 1, lease, "'retry'");
    assert_string_equal(steps_part(self, "t", 0), "2 6 2 1 1 1");
    return lease;
}
