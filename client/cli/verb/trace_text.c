/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool read --trace: how one message stands in a group.
 */
#include <inttypes.h>
#include <stdio.h>

#include "client/cli/verb/dead_run.h"
#include "client/cli/verb/why_text.h"

static const char *time_text(int64_t ms, char *to)
{
    if (ms < 0 || ms > CLI_TIME_MAX_MS) {
        (void)snprintf(to, 32, "%" PRId64 " ms", ms);
    } else {
        cli_write_time(ms, to);
    }
    return to;
}

static void print_time(const char *what, int64_t ms)
{
    char text[32];
    if (ms != 0) {
        printf("%s %s\n", what, time_text(ms, text));
    }
}

static void print_message(const zspool_trace_t *trace)
{
    if (trace->is_corrupt) {
        printf("it is damaged on the broker's disk\n");
    } else if (!trace->is_found) {
        printf("it is not in the log any more\n");
    }
    if (!trace->is_found) {
        return;
    }
    print_time("appended", trace->timestamp_ms);
    if (trace->producer) {
        printf("by producer %s", trace->producer);
        if (trace->sequence > 0) {
            printf(", epoch %u, sequence %" PRIu64, trace->epoch, trace->sequence);
        }
        printf("\n");
    }
    printf("priority %u\n", trace->priority);
    print_time("not before", trace->not_before_ms);
    print_time(trace->is_expired ? "expired" : "expires", trace->expires_at_ms);
}

static void print_plain(const zspool_trace_t *trace, const char *group, const char *address)
{
    char span[32];
    printf("%s in group %s: %s\n", address, group, trace->status);
    printf("deliveries %u, failures %u\n", trace->deliveries, trace->failures);
    for (size_t i = 0; i < trace->reason_count; i++) {
        printf("failed of: %s\n", trace->reasons[i]);
    }
    if (trace->holder) {
        char since[32];
        printf("at %s since %s, for %s more\n", trace->holder,
               time_text(trace->held_since_ms, since),
               why_span((int64_t)(trace->left_ms & INT64_MAX), span));
    } else {
        print_time("due", trace->at_ms);
    }
    print_message(trace);
}

static void json_origin(struct json *json, const zspool_trace_t *trace)
{
    json_open_object(json, "message");
    json_uint(json, "timestamp_ms", (uint64_t)trace->timestamp_ms);
    json_uint(json, "priority", trace->priority);
    if (trace->producer) {
        json_text(json, "producer", trace->producer);
    }
    if (trace->sequence > 0) {
        json_uint(json, "epoch", trace->epoch);
        json_uint(json, "sequence", trace->sequence);
    }
    if (trace->not_before_ms != 0) {
        json_uint(json, "not_before_ms", (uint64_t)trace->not_before_ms);
    }
    if (trace->expires_at_ms != 0) {
        json_uint(json, "expires_at_ms", (uint64_t)trace->expires_at_ms);
        json_bool(json, "expired", trace->is_expired);
    }
    json_close_object(json);
}

static void print_json(const zspool_trace_t *trace, const char *group, const zspool_dead_run_t *at)
{
    struct json json = json_begin();
    json_text(&json, "group", group);
    json_text(&json, "topic", at->topic);
    json_uint(&json, "partition", at->partition);
    json_uint(&json, "offset", at->first_offset);
    json_text(&json, "status", trace->status);
    json_uint(&json, "deliveries", trace->deliveries);
    json_uint(&json, "failures", trace->failures);
    json_open_array(&json, "reasons");
    for (size_t i = 0; i < trace->reason_count; i++) {
        json_item_text(&json, trace->reasons[i]);
    }
    json_close_array(&json);
    if (trace->at_ms > 0) {
        json_uint(&json, "at_ms", (uint64_t)trace->at_ms);
    }
    if (trace->holder) {
        json_text(&json, "holder", trace->holder);
        json_uint(&json, "held_since_ms", (uint64_t)trace->held_since_ms);
        json_uint(&json, "left_ms", trace->left_ms);
    }
    if (trace->is_corrupt) {
        json_bool(&json, "corrupt", true);
    }
    if (trace->is_found) {
        json_origin(&json, trace);
    }
    json_end(&json);
}

int trace_run(const struct cli_verb *verb, zspool_client_t *client, const char *group,
              char *address)
{
    zspool_error_t err = {0};
    zspool_trace_t *trace;
    zspool_dead_run_t at;
    char text[DEAD_ADDRESS_SIZE];
    if (!dead_read_address(address, &at) || at.count != 1) {
        return cli_usage(verb, "\"%s\" is no address: want TOPIC/PARTITION/OFFSET", address);
    }
    if (zspool_group_trace(client, group, at.topic, at.partition, at.first_offset, cli_timeout(),
                           &trace, &err) != 0) {
        return cli_fail(&err);
    }
    if (cli_common.json) {
        print_json(trace, group, &at);
    } else {
        print_plain(trace, group, dead_write_address(&at, text));
    }
    zspool_free(trace);
    return CLI_OK;
}
