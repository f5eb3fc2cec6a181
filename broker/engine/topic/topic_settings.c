/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/topic/topic_settings.h"

#include "broker/engine/topic/settings_map.h"

/* Each setting is a number, or one of some words; 0 = the default, which is told as absent. */
struct setting {
    const char *name;
    size_t place; /* in struct topic_settings */
    uint64_t max;
    const char *const *words; /* told as one of these; the value is its index. NULL = a number */
};

static const char *const no_yes[] = {"no", "yes"};
static const char *const cleanup_words[] = {"delete", "compact"};
static const char *const when_full_words[] = {"reject", "drop_oldest"};

/* The order is that of the durable form: new ones come last. */
static const struct setting settings_table[] = {
    {"retention_time_ms", offsetof(struct topic_settings, retention_time_ms), INT64_MAX, NULL},
    {"retention_bytes", offsetof(struct topic_settings, retention_bytes), INT64_MAX, NULL},
    {"until_consumed", offsetof(struct topic_settings, until_consumed), 1, no_yes},
    {"max_topic_bytes", offsetof(struct topic_settings, max_topic_bytes), INT64_MAX, NULL},
    {"when_full", offsetof(struct topic_settings, when_full), WHEN_FULL_DROP_OLDEST,
     when_full_words},
    {"dedup_window_ms", offsetof(struct topic_settings, dedup_window_ms), ZSP_DEDUP_WINDOW_MS_MAX,
     NULL},
    {"cleanup", offsetof(struct topic_settings, cleanup), CLEANUP_COMPACT, cleanup_words},
    {"tombstone_retention_ms", offsetof(struct topic_settings, tombstone_retention_ms), INT64_MAX,
     NULL},
    {"min_compaction_lag_ms", offsetof(struct topic_settings, min_compaction_lag_ms), INT64_MAX,
     NULL},
    {"compact_ratio", offsetof(struct topic_settings, compact_ratio), 100, NULL},
};
#define SETTING_COUNT (sizeof settings_table / sizeof settings_table[0])

static const char *const unsupported_settings[] = {
    "dead_retention",
    "dead_retention_ms",
    "dead_retention_bytes",
};

static int unknown(struct zsp_slice name, struct zsp_err *err)
{
    for (size_t i = 0; i < sizeof unsupported_settings / sizeof unsupported_settings[0]; i++) {
        if (zsp_slice_equal_str(name, unsupported_settings[i])) {
            return settings_refuse(ZSP_EUNSUPPORTED, name, "not supported", err);
        }
    }
    return settings_refuse(ZSP_EUNKNOWN_ARGUMENT, name, "there is no such setting", err);
}

static int apply_one(const msgpack_object_kv *pair, struct topic_settings *settings,
                     struct zsp_err *err)
{
    if (pair->key.type != MSGPACK_OBJECT_STR) {
        return zsp_err_set_about(err, ZSP_EBAD_TYPE, "settings",
                                 "settings: a name is not a string");
    }
    const struct zsp_slice name = settings_name(pair);
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *const setting = &settings_table[i];
        if (!zsp_slice_equal_str(name, setting->name)) {
            continue;
        }
        uint64_t *const place = (uint64_t *)(void *)((char *)settings + setting->place);
        if (pair->val.type == MSGPACK_OBJECT_NIL) {
            *place = 0;
            return 0;
        }
        return setting->words
                   ? settings_read_word(&pair->val, setting->name, setting->words, 0, setting->max,
                                        place, err)
                   : settings_read_number(&pair->val, setting->name, 1, setting->max, place, err);
    }
    return unknown(name, err);
}

int topic_settings_apply(const msgpack_object *map, struct topic_settings *settings,
                         struct zsp_err *err)
{
    struct topic_settings changed = *settings;
    for (uint32_t i = 0; i < map->via.map.size; i++) {
        const int rc = apply_one(&map->via.map.ptr[i], &changed, err);
        if (rc != 0) {
            return rc;
        }
        if (settings_repeated(map, i)) {
            return settings_refuse(ZSP_EBAD_VALUE, settings_name(&map->via.map.ptr[i]),
                                   "given twice", err);
        }
    }
    *settings = changed;
    return 0;
}

const struct topic_settings topic_settings_default = {0};

static uint64_t value_of(const struct topic_settings *settings, size_t index)
{
    const char *const base = (const char *)settings;
    return *(const uint64_t *)(const void *)(base + settings_table[index].place);
}

bool topic_settings_are_default(const struct topic_settings *settings)
{
    bool same = true;
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        same = same && value_of(settings, i) == 0;
    }
    return same;
}

static void write_one(struct zsp_writer *out, const struct setting *setting, uint64_t value)
{
    wire_write_text(out, setting->name);
    if (setting->words) {
        wire_write_text(out, setting->words[value]);
    } else {
        wire_write_uint(out, value);
    }
}

void topic_settings_write(struct zsp_writer *out, const struct topic_settings *settings)
{
    uint32_t count = 0;
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        count += value_of(settings, i) > 0 ? 1 : 0;
    }
    wire_write_map(out, count);
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (value_of(settings, i) > 0) {
            write_one(out, &settings_table[i], value_of(settings, i));
        }
    }
}

void topic_settings_encode(struct zsp_writer *out, const struct topic_settings *settings)
{
    zsp_write_u8(out, SETTING_COUNT);
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        zsp_write_u64(out, value_of(settings, i));
    }
}

int topic_settings_decode(struct zsp_reader *in, struct topic_settings *ret)
{
    struct topic_settings settings = {0};
    const uint8_t count = zsp_read_u8(in);
    if (in->failed || count > SETTING_COUNT) {
        return ZSP_ECORRUPT;
    }
    for (size_t i = 0; i < count; i++) {
        char *const base = (char *)&settings;
        *(uint64_t *)(void *)(base + settings_table[i].place) = zsp_read_u64(in);
    }
    const bool is_sound = settings.until_consumed <= 1 &&
                          settings.when_full <= WHEN_FULL_DROP_OLDEST &&
                          settings.cleanup <= CLEANUP_COMPACT;
    *ret = settings;
    return in->failed || !is_sound ? ZSP_ECORRUPT : 0;
}
