/* SPDX-License-Identifier: MPL-2.0 */
#include "client/cli/verb/why_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client/cli/cli.h"

int64_t why_now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail with this clock */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

const char *why_span(int64_t ms, char *to)
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}};
    const int64_t span = ms > 0 ? ms : 0;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (span >= 2 * units[i].ms || (span >= units[i].ms && i + 1 == 4)) {
            (void)snprintf(to, 32, "%" PRId64 "%s", span / units[i].ms, units[i].unit);
            return to;
        }
    }
    (void)snprintf(to, 32, "%" PRId64 "ms", span);
    return to;
}

/* " since 2026-01-31T12:00:00.000Z (3m ago)", or nothing. */
static const char *since(const zspool_why_t *why, int64_t now_ms, char *to)
{
    char time[32];
    char span[32];
    to[0] = '\0';
    if (why->since_ms > 0 && why->since_ms <= CLI_TIME_MAX_MS) {
        cli_write_time(why->since_ms, time);
        (void)snprintf(to, 96, " since %s (%s ago)", time, why_span(now_ms - why->since_ms, span));
    }
    return to;
}

/* "2026-01-31T12:00:00.000Z (in 3m)". */
static const char *until(const zspool_why_t *why, int64_t now_ms, char *to)
{
    char time[32];
    char span[32];
    (void)snprintf(to, 96, "a time not known");
    if (why->at_ms > 0 && why->at_ms <= CLI_TIME_MAX_MS) {
        cli_write_time(why->at_ms, time);
        (void)snprintf(to, 96, "%s (in %s)", time, why_span(why->at_ms - now_ms, span));
    }
    return to;
}

/* What is said of each reason; %m member, %s since, %u until, %o offset, %l limit. */
static const struct {
    const char *reason, *text;
} sentences[] = {
    {"no_topic", "none of its topics exists"},
    {"paused", "it is paused%s"},
    {"nobody_pulls", "messages are ready, but nobody pulls%s"},
    {"max_leased", "max_leased (%l) is reached; the oldest lease is at %m%s, until %u"},
    {"moving", "nothing keeps it back: messages are ready, and members pull"},
    {"corrupt", "offset %o is damaged on the broker's disk"},
    {"loading", "what it holds of priorities and delays is being read"},
    {"dead_ahead", "the dead message at offset %o keeps back what lies behind it"},
    {"retry_ahead", "offset %o waits for its retry until %u, and keeps back what lies behind it"},
    {"delay_ahead", "offset %o is delayed until %u, and keeps back what lies behind it"},
    {"key", "offset %o keeps back the messages of its key behind it"},
    {"partition_held", "it is at %m%s"},
    {"leased", "all that is left is out; offset %o is at %m%s, until %u"},
    {"retry", "all that is left waits; the next retry is at %u"},
    {"delay", "all that is left is delayed; the first message is due at %u"},
    {"caught_up", "nothing is left to take"},
};

static const char *sentence_of(const char *reason)
{
    for (size_t i = 0; i < sizeof sentences / sizeof sentences[0]; i++) {
        if (strcmp(sentences[i].reason, reason) == 0) {
            return sentences[i].text;
        }
    }
    return reason; /* of a newer broker */
}

/* The text behind one letter. */
static const char *value_of(char letter, const zspool_why_t *why, int64_t now_ms, char *room)
{
    switch (letter) {
    case 'm':
        return why->member ? why->member : "somebody";
    case 's':
        return since(why, now_ms, room);
    case 'u':
        return until(why, now_ms, room);
    case 'l':
        (void)snprintf(room, 96, "%" PRIu64, why->limit);
        return room;
    default:
        (void)snprintf(room, 96, "%" PRIu64, why->offset);
        return room;
    }
}

const char *why_text(const zspool_why_t *why, int64_t now_ms, char to[WHY_TEXT_SIZE])
{
    char room[96];
    size_t len = 0;
    for (const char *at = sentence_of(why->reason); *at && len + 1 < WHY_TEXT_SIZE; at++) {
        if (*at != '%') {
            to[len++] = *at;
            continue;
        }
        at++;
        const int count =
            snprintf(to + len, WHY_TEXT_SIZE - len, "%s", value_of(*at, why, now_ms, room));
        len += count > 0 ? (size_t)count : 0;
        len = len < WHY_TEXT_SIZE ? len : WHY_TEXT_SIZE - 1;
    }
    to[len] = '\0';
    return to;
}

/* --- Of a group --------------------------------------------------------------------------------- */

const zspool_why_t *why_of(const zspool_group_info_t *info, const zspool_group_part_t *part)
{
    for (size_t i = 0; i < info->why_count; i++) {
        const zspool_why_t *why = &info->whys[i];
        if (why->partition == part->partition && why->topic &&
            strcmp(why->topic, part->topic) == 0) {
            return why;
        }
    }
    return NULL;
}

/* Is the group's sentence one of a partition? Of a group with one partition that goes without saying. */
static bool is_of_partition(const zspool_group_info_t *info)
{
    return info->why->topic && info->part_count > 1 && strcmp(info->why->reason, "caught_up") != 0;
}

/* The group's sentence, `said`, is that of this partition, or says the same of all. */
static bool is_said(const zspool_group_info_t *info, const char *said, const zspool_why_t *why,
                    const char *text)
{
    const bool is_the_one = info->why->topic && info->why->partition == why->partition &&
                            strcmp(info->why->topic, why->topic) == 0;
    return is_the_one || (!is_of_partition(info) && strcmp(said, text) == 0);
}

/* A key as people read it, within reason. */
static void print_key(const zspool_hot_key_t *key)
{
    const char *const bytes = key->key.data;
    for (size_t i = 0; i < key->key.len && i < 60; i++) {
        const bool plain = bytes[i] >= ' ' && bytes[i] < 127;
        putchar(plain ? bytes[i] : '.');
    }
}

static void print_keys(const zspool_group_info_t *info)
{
    for (size_t i = 0; i < info->key_count; i++) {
        const zspool_hot_key_t *key = &info->keys[i];
        printf("key ");
        print_key(key);
        printf(": %" PRIu64 " wait for %s/%u/%" PRIu64 " (%s)\n", key->waiting, key->topic,
               key->partition, key->offset, key->state);
    }
}

void why_print(const zspool_group_info_t *info)
{
    char said[WHY_TEXT_SIZE];
    char text[WHY_TEXT_SIZE];
    const int64_t now_ms = why_now_ms();
    if (!info->why) {
        return;
    }
    const zspool_why_t *const why = info->why;
    (void)why_text(why, now_ms, said);
    if (is_of_partition(info)) {
        printf("why: %s partition %u: %s\n", why->topic, why->partition, said);
    } else {
        printf("why: %s\n", said);
    }
    for (size_t i = 0; i < info->why_count; i++) {
        const zspool_why_t *one = &info->whys[i];
        if (one->topic && strcmp(one->reason, "moving") != 0 &&
            !is_said(info, said, one, why_text(one, now_ms, text))) {
            printf("     %s partition %u: %s\n", one->topic, one->partition, text);
        }
    }
    for (size_t i = 0; i < info->listed_count; i++) {
        const zspool_member_t *member = &info->members[i];
        char span[32];
        printf("member %s has %" PRIu64 " messages out, pulled %s ago%s\n", member->name,
               member->leased, why_span((int64_t)(member->silent_ms & INT64_MAX), span),
               member->waits ? " and waits" : "");
    }
    print_keys(info);
}

static void json_why(struct json *json, const zspool_why_t *why, int64_t now_ms)
{
    char text[WHY_TEXT_SIZE];
    json_text(json, "reason", why->reason);
    json_text(json, "text", why_text(why, now_ms, text));
    if (why->topic) {
        json_text(json, "topic", why->topic);
        json_uint(json, "partition", why->partition);
    }
    if (why->has_offset) {
        json_uint(json, "offset", why->offset);
    }
    if (why->member) {
        json_text(json, "member", why->member);
    }
    if (why->holder) {
        json_text(json, "holder", why->holder);
    }
    if (why->since_ms > 0) {
        json_uint(json, "since_ms", (uint64_t)why->since_ms);
    }
    if (why->at_ms > 0) {
        json_uint(json, "at_ms", (uint64_t)why->at_ms);
    }
    if (why->limit > 0) {
        json_uint(json, "limit", why->limit);
    }
}

void why_json(struct json *json, const zspool_group_info_t *info)
{
    const int64_t now_ms = why_now_ms();
    if (!info->why) {
        return;
    }
    json_open_object(json, "why");
    json_why(json, info->why, now_ms);
    json_close_object(json);
    json_open_array(json, "whys");
    for (size_t i = 0; i < info->why_count; i++) {
        json_open_item(json);
        json_why(json, &info->whys[i], now_ms);
        json_close_object(json);
    }
    json_close_array(json);
    json_open_array(json, "member_list");
    for (size_t i = 0; i < info->listed_count; i++) {
        const zspool_member_t *member = &info->members[i];
        json_open_item(json);
        json_text(json, "name", member->name);
        json_uint(json, "leased", member->leased);
        json_uint(json, "partitions", member->partitions);
        json_bool(json, "waits", member->waits);
        json_uint(json, "silent_ms", member->silent_ms);
        json_close_object(json);
    }
    json_close_array(json);
    json_open_array(json, "keys");
    for (size_t i = 0; i < info->key_count; i++) {
        const zspool_hot_key_t *key = &info->keys[i];
        json_open_item(json);
        json_text(json, "topic", key->topic);
        json_uint(json, "partition", key->partition);
        json_bytes(json, "key", key->key);
        json_uint(json, "waiting", key->waiting);
        json_uint(json, "offset", key->offset);
        json_text(json, "state", key->state);
        json_close_object(json);
    }
    json_close_array(json);
}
