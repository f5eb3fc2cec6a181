/* SPDX-License-Identifier: MPL-2.0 */
#include "client/cli/verb/journal_object.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/cli.h"

/* A layout is "TYPE:NAME ..." with types
 *   u8 u16 u32 u64   numbers
 *   i64              a number that may be negative; the lowest one means none
 *   ms               u64, wall time
 *   str              u16 length, bytes
 *   v1 v2 ...        u8, a version: only this one
 *   settings         u8 count, then so many u64, named in the order of the list below
 *   TYPE*NAME(...)   a count of that type, then so many times what is in brackets
 *   runs             the rest: runs of a block, as in ledger_codec.h
 *   rest             the rest: only how many bytes it is
 */
struct object_layout {
    char letter;
    bool own; /* of the store: a zero byte before the letter */
    const char *name;
    const char *key; /* behind the letter */
    const char *value;
};

static const struct object_layout layouts[] = {
    {'E', true, "start_count", "", "u64:count"},
    {'J', true, "oldest_journal_file", "", "u64:file"},
    {'P', true, "partition", "u64:topic u32:partition", "u64:first_segment u64:base_offset"},
    {'S', true, "compacted_segment", "u64:topic u32:partition u64:segment",
     "u64:base_offset u64:end_offset u64:bytes i64:max_timestamp_ms u64:epoch u64:last_segment "
     "u64:compacted_to u64:tombstone_ms u32:generation"},
    {'S', true, "island", "u64:topic u32:partition u64:segment",
     "u64:base_offset u64:end_offset u64:bytes i64:max_timestamp_ms u64:epoch u64:last_segment "
     "u64:compacted_to u64:tombstone_ms u32:generation u64:first_offset u64:messages"},
    {'S', true, "sealed_segment", "u64:topic u32:partition u64:segment",
     "u64:base_offset u64:end_offset u64:bytes i64:max_timestamp_ms u64:epoch"},
    {'M', true, "mark", "u64:topic u32:partition",
     "u64:segment u64:pos u64:offset i64:max_timestamp_ms u64:epoch"},
    {'D', true, "removed_topic", "u64:topic", ""},
    {'R', true, "redo_from", "", "u64:record"},
    {'B', true, "batches", "u64:topic u32:partition", "u64:segment u64:pos u32:bytes u64:sum"},
    {'B', false, "broker_time", "", "u64:ms"},
    {'C', false, "counters", "", "u8:version u64:next_topic u64:next_producer u64:next_group"},
    {'T', false, "topic", "u64:topic",
     "v1:version u32:partitions ms:created u64:retention_time_ms u64:retention_bytes str:name"},
    {'T', false, "topic", "u64:topic",
     "v2:version u32:partitions ms:created settings:topic str:name"},
    {'T', false, "topic", "u64:topic",
     "v3:version u32:partitions ms:created u8:flags settings:topic str:name"},
    {'T', false, "topic", "u64:topic",
     "v4:version u32:partitions ms:created u8:flags settings:topic str:name "
     "u32*purged(u32:partition u64:offset)"},
    {'P', false, "producer", "u64:producer",
     "u8:version u32:epoch u8:flags u64:last_used_broker_ms str:name"},
    {'Q', false, "sequences", "u64:topic u32:partition u64:producer",
     "u8:version u64:last_sequence u64:last_used_broker_ms "
     "u8*batches(u64:sequence u32:count u64:offset)"},
    {'R', false, "sequences_complete", "u64:topic u32:partition",
     "u8:version u64:offset u64:place"},
    {'K', false, "commits", "u64:producer", "u8:version rest"},
    {'g', false, "group", "u64:group",
     "v1:version u8:mode u64:epoch u8:start_kind u64:start_value u64:lease_ms u64:max_leased "
     "u64:max_failures u64:backoff_ms u64:backoff_max_ms str:name u16*topics(str:name)"},
    {'g', false, "group", "u64:group",
     "v2:version u8:mode u8:flags u64:epoch u8:start_kind u64:start_value settings:group str:name "
     "u16*topics(str:name)"},
    {'g', false, "group", "u64:group",
     "v3:version u8:mode u8:flags u64:epoch u8:start_kind u64:start_value settings:group str:name "
     "u16*topics(str:name)"},
    {'g', false, "group", "u64:group",
     "v4:version u8:mode u8:flags u64:epoch u8:start_kind u64:start_value settings:group "
     "texts:group str:name u16*topics(str:name)"},
    {'g', false, "group", "u64:group",
     "v5:version u8:mode u8:flags u64:epoch u8:start_kind u64:start_value settings:group "
     "texts:group str:name u16*topics(str:name) u8*rules(u8:kind str:text)"},
    {'g', false, "group", "u64:group",
     "v5:version u8:mode u8:flags u64:epoch u8:start_kind u64:start_value settings:group "
     "texts:group str:name u16*topics(str:name) u8*rules(u8:kind str:text) str:start_id"},
    {'g', false, "group", "u64:group",
     "v5:version u8:mode u8:flags u64:epoch u8:start_kind u64:start_value settings:group "
     "texts:group str:name u16*topics(str:name) u8*rules(u8:kind str:text) u64:replayed_topic "
     "u64:expires_ms str:replay_of u32*ranges(u64:first u64:end)"},
    {'h', false, "ledger", "u64:group u64:topic u32:partition", "v1:version u64:high u64:water"},
    {'h', false, "ledger", "u64:group u64:topic u32:partition",
     "v2:version u64:high u64:water u64:lost u64:lost_to"},
    {'h', false, "ledger", "u64:group u64:topic u32:partition",
     "v3:version u64:high u64:water u64:lost u64:lost_to u64:expired"},
    {'h', false, "ledger", "u64:group u64:topic u32:partition",
     "v4:version u64:high u64:water u64:lost u64:lost_to u64:expired u64:compacted"},
    {'b', false, "ledger_block", "u64:group u64:topic u32:partition u64:block", "u8:version runs"},
    {'s', false, "savepoint", "u64:group u32:number", "v1:version ms:created str:name rest:bytes"},
    {'l', false, "lease", "u64:group u64:lease",
     "u8:version u8:flags u32:granted u64:deadline_broker_ms"},
};

/* As topic_settings.c and group_settings.c of the broker have them. */
static const char *const topic_settings[] = {"retention_time_ms",
                                             "retention_bytes",
                                             "until_consumed",
                                             "max_topic_bytes",
                                             "when_full",
                                             "dedup_window_ms",
                                             "cleanup",
                                             "tombstone_retention_ms",
                                             "min_compaction_lag_ms",
                                             "compact_ratio",
                                             NULL};
static const char *const group_settings[] = {"lease_ms",
                                             "max_leased",
                                             "max_failures",
                                             "backoff_ms",
                                             "backoff_max_ms",
                                             "on_dead",
                                             "expired",
                                             "priority",
                                             "backoff_factor",
                                             "backoff_jitter",
                                             "dead_retention_ms",
                                             "dead_retention_bytes",
                                             NULL};
static const char *const group_texts[] = {"backoff", "dead_letter_topic", NULL};

/* --- Printing one thing --------------------------------------------------------------------- */

/* Where it goes. */
struct printer {
    struct json *json; /* NULL = words */
    bool silent;       /* only read: does the layout fit? */
};

static void put_number(struct printer *to, const char *name, uint64_t value)
{
    if (to->silent) {
        return;
    }
    if (to->json) {
        json_uint(to->json, name, value);
    } else {
        printf(" %s=%" PRIu64, name, value);
    }
}

static void put_signed(struct printer *to, const char *name, int64_t value)
{
    if (to->silent) {
        return;
    }
    if (value == INT64_MIN) {
        if (to->json) {
            json_null(to->json, name);
        } else {
            printf(" %s=none", name);
        }
    } else if (to->json) {
        json_int(to->json, name, value);
    } else {
        printf(" %s=%" PRId64, name, value);
    }
}

static void put_text(struct printer *to, const char *name, struct zsp_slice value)
{
    if (to->silent) {
        return;
    }
    if (to->json) {
        json_bytes(to->json, name, (zspool_bytes_t){value.data, value.len});
        return;
    }
    printf(" %s=", name);
    for (size_t i = 0; i < value.len; i++) {
        const int c = value.data[i];
        if (c > 0x20 && c < 0x7f) {
            putchar(c);
        } else {
            printf("\\x%02x", (unsigned)c);
        }
    }
}

static void put_time(struct printer *to, const char *name, int64_t ms)
{
    char text[32];
    cli_write_time(ms, text);
    put_text(to, name, zsp_slice_str(text));
}

static void put_bytes(struct printer *to, const char *name, struct zsp_slice value)
{
    if (to->json) {
        json_bytes(to->json, name, (zspool_bytes_t){value.data, value.len});
        return;
    }
    printf(" %s=", name);
    for (size_t i = 0; i < value.len; i++) {
        printf("%02x", value.data[i]);
    }
}

static void open_list(struct printer *to, const char *name)
{
    if (to->silent) {
        return;
    }
    if (to->json) {
        json_open_array(to->json, name);
    } else {
        printf(" %s=[", name);
    }
}

static void close_list(struct printer *to)
{
    if (to->silent) {
        return;
    }
    if (to->json) {
        json_close_array(to->json);
    } else {
        fputs(" ]", stdout);
    }
}

static void open_item(struct printer *to)
{
    if (to->silent) {
        return;
    }
    if (to->json) {
        json_open_item(to->json);
    } else {
        fputs(" (", stdout);
    }
}

static void close_item(struct printer *to)
{
    if (to->silent) {
        return;
    }
    if (to->json) {
        json_close_object(to->json);
    } else {
        fputs(" )", stdout);
    }
}

/* --- Runs of a block -------------------------------------------------------------------------- */

#define RUN_REDRIVEN 128u /* beside the state */

enum run_flag {
    RUN_LEASE = 1,
    RUN_LAST = 2,
    RUN_DUE = 4,
    RUN_COUNTS = 8,
    RUN_LIMIT = 16,
    RUN_REASONS = 32,
    RUN_PRIORITY = 128
};

static void put_reasons(struct printer *to, struct zsp_reader *in)
{
    const unsigned count = zsp_read_u8(in);
    open_list(to, "reasons");
    for (unsigned i = 0; i < count && !in->failed; i++) {
        open_item(to);
        put_text(to, "reason", zsp_read_short(in));
        close_item(to);
    }
    close_list(to);
}

static void put_run(struct printer *to, struct zsp_reader *in)
{
    static const char *const states[] = {"forgotten", "ready", "waiting", "leased", "dead", "done"};
    open_item(to);
    put_number(to, "first_in_block", zsp_read_u16(in));
    put_number(to, "count", 1u + zsp_read_u16(in));
    const unsigned stored = zsp_read_u8(in);
    const unsigned state = stored & ~RUN_REDRIVEN;
    const unsigned flags = zsp_read_u8(in);
    if (state < sizeof states / sizeof states[0]) {
        put_text(to, "state", zsp_slice_str(states[state]));
    } else {
        put_number(to, "state", state);
    }
    const bool is_dead = state == 4;
    if (stored & RUN_REDRIVEN) {
        put_number(to, "redriven", 1);
    }
    if (flags & RUN_LEASE && is_dead) {
        put_number(to, "owes_copy", 1);
    } else if (flags & RUN_LEASE) {
        put_number(to, "lease", zsp_read_u64(in));
    }
    if (flags & RUN_LAST) {
        put_number(to, "last_lease", zsp_read_u64(in));
        put_number(to, "last_outcome", zsp_read_u8(in));
    }
    if (flags & RUN_DUE) {
        put_number(to, is_dead ? "died_ms" : "due_broker_ms", zsp_read_u64(in));
    }
    if (flags & RUN_COUNTS) {
        put_number(to, "deliveries", zsp_read_u32(in));
        put_number(to, "failures", zsp_read_u32(in));
    }
    if (flags & RUN_LIMIT) {
        put_number(to, "limit", zsp_read_u8(in));
    }
    if (flags & RUN_REASONS) {
        put_reasons(to, in);
    }
    if (flags & RUN_PRIORITY) {
        put_number(to, "priority", zsp_read_u8(in));
    }
    close_item(to);
}

static void put_runs(struct printer *to, struct zsp_reader *in)
{
    open_list(to, "runs");
    while (zsp_reader_left(in) > 0 && !in->failed) {
        put_run(to, in);
    }
    close_list(to);
}

/* --- By the layout ------------------------------------------------------------------------------ */

/* The next word of a layout: up to a space, or to the bracket that closes. */
struct word {
    char type[12];
    char name[40];
    bool repeats;
    const char *inner; /* what is repeated */
    size_t inner_len;
};

static bool next_word(const char **at, const char *end, struct word *ret)
{
    const char *p = *at;
    while (p < end && *p == ' ') {
        p++;
    }
    if (p == end) {
        return false;
    }
    memset(ret, 0, sizeof *ret);
    const size_t type_len = strcspn(p, ":* ");
    memcpy(ret->type, p, type_len < sizeof ret->type ? type_len : sizeof ret->type - 1);
    p += type_len;
    if (p < end && *p != ' ') {
        ret->repeats = *p++ == '*';
        const size_t name_len = strcspn(p, " ()");
        memcpy(ret->name, p, name_len < sizeof ret->name ? name_len : sizeof ret->name - 1);
        p += name_len;
    }
    if (ret->repeats) {
        ret->inner = p + 1;
        ret->inner_len = strcspn(ret->inner, ")");
        p = ret->inner + ret->inner_len + 1;
    }
    *at = p;
    return true;
}

static uint64_t read_number(struct zsp_reader *in, const char *type)
{
    if (strcmp(type, "u8") == 0) {
        return zsp_read_u8(in);
    }
    if (strcmp(type, "u16") == 0) {
        return zsp_read_u16(in);
    }
    return strcmp(type, "u32") == 0 ? zsp_read_u32(in) : zsp_read_u64(in);
}

static void put_settings(struct printer *to, const char *owner, struct zsp_reader *in)
{
    const char *const *names = strcmp(owner, "topic") == 0 ? topic_settings : group_settings;
    const unsigned count = zsp_read_u8(in);
    for (unsigned i = 0; i < count && !in->failed; i++) {
        char number[24];
        (void)snprintf(number, sizeof number, "setting_%u", i);
        const uint64_t value = zsp_read_u64(in);
        put_number(to, *names ? *names++ : number, value);
    }
}

static void put_texts(struct printer *to, struct zsp_reader *in)
{
    const char *const *names = group_texts;
    const unsigned count = zsp_read_u8(in);
    for (unsigned i = 0; i < count && !in->failed; i++) {
        char name[24];
        (void)snprintf(name, sizeof name, "text_%u", i);
        const struct zsp_slice text = zsp_read_short(in);
        put_text(to, *names ? *names++ : name, text);
    }
}

static void put_version(struct printer *to, const struct word *word, struct zsp_reader *in)
{
    const unsigned version = zsp_read_u8(in);
    if (version != (unsigned)(word->type[1] - '0')) {
        in->failed = true;
    }
    put_number(to, word->name, version);
}

static void put_field(struct printer *to, const struct word *word, struct zsp_reader *in)
{
    if (strcmp(word->type, "str") == 0) {
        put_text(to, word->name, zsp_read_short(in));
    } else if (strcmp(word->type, "ms") == 0) {
        put_time(to, word->name, (int64_t)zsp_read_u64(in));
    } else if (strcmp(word->type, "i64") == 0) {
        put_signed(to, word->name, (int64_t)zsp_read_u64(in));
    } else if (strcmp(word->type, "runs") == 0) {
        put_runs(to, in);
    } else if (strcmp(word->type, "settings") == 0) {
        put_settings(to, word->name, in);
    } else if (strcmp(word->type, "texts") == 0) {
        put_texts(to, in);
    } else if (word->type[0] == 'v') {
        put_version(to, word, in);
    } else if (strcmp(word->type, "rest") == 0) {
        put_number(to, word->name, zsp_reader_left(in));
        (void)zsp_read_bytes(in, zsp_reader_left(in));
    } else {
        put_number(to, word->name, read_number(in, word->type));
    }
}

static void put_repeated(struct printer *to, const struct word *word, struct zsp_reader *in)
{
    const uint64_t count = read_number(in, word->type);
    open_list(to, word->name);
    for (uint64_t i = 0; i < count && !in->failed; i++) {
        const char *at = word->inner;
        struct word field;
        open_item(to);
        while (next_word(&at, word->inner + word->inner_len, &field)) {
            put_field(to, &field, in);
        }
        close_item(to);
    }
    close_list(to);
}

static void put_layout(struct printer *to, const char *layout, struct zsp_reader *in)
{
    const char *at = layout;
    struct word word;
    while (next_word(&at, layout + strlen(layout), &word) && !in->failed) {
        if (word.repeats) {
            put_repeated(to, &word, in);
        } else {
            put_field(to, &word, in);
        }
    }
}

/* Does the value end where the layout does? */
static bool fits(const char *layout, struct zsp_slice value)
{
    struct printer silent = {NULL, true};
    struct zsp_reader in = zsp_reader_init(value);
    put_layout(&silent, layout, &in);
    return !in.failed && zsp_reader_left(&in) == 0;
}

/* The layout of the key, and if there are several, of the value. */
static const struct object_layout *find_layout(struct zsp_slice key, struct zsp_slice value,
                                               size_t *ret_skip)
{
    const struct object_layout *found = NULL;
    const bool own = key.len > 1 && key.data[0] == 0;
    *ret_skip = own ? 2 : 1;
    for (size_t i = 0; i < sizeof layouts / sizeof layouts[0] && key.len >= *ret_skip; i++) {
        const struct zsp_slice rest = {key.data + *ret_skip, key.len - *ret_skip};
        if (layouts[i].own == own && (uint8_t)layouts[i].letter == key.data[*ret_skip - 1] &&
            fits(layouts[i].key, rest)) {
            found = &layouts[i];
            if (fits(found->value, value)) {
                break;
            }
        }
    }
    return found;
}

bool journal_object_print(struct json *json, struct zsp_slice key, struct zsp_slice value)
{
    struct printer to = {json, false};
    size_t skip = 0;
    const struct object_layout *layout = find_layout(key, value, &skip);
    if (!layout) {
        put_bytes(&to, "key", key);
        put_bytes(&to, "value", value);
        return false;
    }
    if (json) {
        json_text(json, "object", layout->name);
    } else {
        printf(" %s", layout->name);
    }
    struct zsp_reader in = zsp_reader_init((struct zsp_slice){key.data + skip, key.len - skip});
    put_layout(&to, layout->key, &in);
    if (value.len == 0) {
        return true; /* gone, or an object that is its key */
    }
    if (!fits(layout->value, value)) { /* shown whole, not half */
        put_bytes(&to, "value", value);
        return false;
    }
    in = zsp_reader_init(value);
    put_layout(&to, layout->value, &in);
    return true;
}
