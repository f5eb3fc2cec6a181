/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/group/group_settings.h"

#include <stddef.h>

#include "broker/engine/topic/settings_map.h"
#include "common/limits.h"

/* A bound that no group reaches; sums of figures stay far from wrapping. */
#define COUNT_MAX UINT32_MAX

const struct group_settings group_settings_default = {
    .lease_ms = ZSP_LEASE_MS,
    .max_leased = ZSP_MAX_LEASED,
    .max_failures = ZSP_MAX_FAILURES,
    .backoff_ms = ZSP_BACKOFF_MS,
    .backoff_factor = ZSP_BACKOFF_FACTOR,
    .backoff_max_ms = ZSP_BACKOFF_MS_MAX,
    .look_ahead = ZSP_LOOK_AHEAD,
};

struct setting {
    const char *name;
    size_t place; /* in struct group_settings */
    uint64_t min, max;
    const char *const *words; /* told as one of these; the value is its index. NULL = a number */
};

static const char *const on_dead_words[] = {"skip", "hold"};
static const char *const expired_words[] = {"drop", "dead"};
static const char *const priority_words[] = {"strict", "weighted"};

#define PLACE(field) offsetof(struct group_settings, field)

static const struct setting settings_table[] = {
    {"lease_ms", PLACE(lease_ms), ZSP_LEASE_MS_MIN, ZSP_LEASE_MS_MAX, NULL},
    {"max_leased", PLACE(max_leased), 1, COUNT_MAX, NULL},
    {"max_failures", PLACE(max_failures), 0, COUNT_MAX, NULL},
    {"backoff_ms", PLACE(backoff_ms), 0, ZSP_DELAY_MS_MAX, NULL},
    {"backoff_max_ms", PLACE(backoff_max_ms), 0, ZSP_DELAY_MS_MAX, NULL},
    {"on_dead", PLACE(on_dead), ON_DEAD_SKIP, ON_DEAD_HOLD, on_dead_words},
    {"expired", PLACE(expired), EXPIRED_DROP, EXPIRED_DEAD, expired_words},
    {"priority", PLACE(priority), PRIORITY_STRICT, PRIORITY_WEIGHTED, priority_words},
    {"backoff_factor", PLACE(backoff_factor), 1, ZSP_BACKOFF_FACTOR_MAX, NULL},
    {"backoff_jitter", PLACE(backoff_jitter), 0, 100, NULL},
    {"dead_retention_ms", PLACE(dead_retention_ms), 0, ZSP_DELAY_MS_MAX, NULL},
    {"dead_retention_bytes", PLACE(dead_retention_bytes), 0, INT64_MAX, NULL},
    {"look_ahead", PLACE(look_ahead), 1, ZSP_LOOK_AHEAD_MAX, NULL},
};
#define SETTING_COUNT (sizeof settings_table / sizeof settings_table[0])

static uint64_t *place_of(const struct setting *setting, struct group_settings *settings)
{
    return (uint64_t *)(void *)((char *)settings + setting->place);
}

static uint64_t value_of(const struct setting *setting, const struct group_settings *settings)
{
    return *(const uint64_t *)(const void *)((const char *)settings + setting->place);
}

static uint64_t default_of(const struct setting *setting)
{
    return value_of(setting, &group_settings_default);
}

bool group_settings_are_default(const struct group_settings *self)
{
    bool same = !setting_texts_any(&self->texts);
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        same = same && value_of(&settings_table[i], self) == default_of(&settings_table[i]);
    }
    return same;
}

/* --- As the protocol tells them -------------------------------------------------------------- */

static int apply_one(const msgpack_object_kv *pair, struct group_settings *settings,
                     struct zsp_err *err)
{
    if (pair->key.type != MSGPACK_OBJECT_STR) {
        return zsp_err_set_about(err, ZSP_EBAD_TYPE, "settings",
                                 "settings: a name is not a string");
    }
    const struct zsp_slice name = settings_name(pair);
    if (setting_texts_has(name)) {
        return setting_texts_apply(name, &pair->val, &settings->texts, err);
    }
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &settings_table[i];
        if (!zsp_slice_equal_str(name, setting->name)) {
            continue;
        }
        if (pair->val.type == MSGPACK_OBJECT_NIL) {
            *place_of(setting, settings) = default_of(setting);
            return 0;
        }
        uint64_t *const place = place_of(setting, settings);
        return setting->words ? settings_read_word(&pair->val, setting->name, setting->words,
                                                   setting->min, setting->max, place, err)
                              : settings_read_number(&pair->val, setting->name, setting->min,
                                                     setting->max, place, err);
    }
    return settings_refuse(ZSP_EUNKNOWN_ARGUMENT, name, "there is no such setting", err);
}

static int apply_all(const msgpack_object *map, struct group_settings *changed, struct zsp_err *err)
{
    for (uint32_t i = 0; i < map->via.map.size; i++) {
        int rc = apply_one(&map->via.map.ptr[i], changed, err);
        if (rc < 0) {
            return rc;
        }
        if (settings_repeated(map, i)) {
            return settings_refuse(ZSP_EBAD_VALUE, settings_name(&map->via.map.ptr[i]),
                                   "given twice", err);
        }
    }
    if (changed->backoff_ms > changed->backoff_max_ms) {
        return settings_refuse(ZSP_EBAD_VALUE, zsp_slice_str("backoff_ms"),
                               "must be at most backoff_max_ms", err);
    }
    return 0;
}

int group_settings_apply(const msgpack_object *map, struct group_settings *settings,
                         struct zsp_err *err)
{
    struct group_settings changed = *settings;
    setting_texts_hold(&changed.texts);
    const int rc = apply_all(map, &changed, err);
    setting_texts_drop(rc == 0 ? &settings->texts : &changed.texts);
    if (rc == 0) {
        *settings = changed;
    }
    return rc;
}

int group_settings_fit(const struct group_settings *settings, enum group_mode mode,
                       struct zsp_err *err)
{
    if (mode == GROUP_SHARED && settings->on_dead != ON_DEAD_SKIP) {
        return settings_refuse(ZSP_EBAD_VALUE, zsp_slice_str("on_dead"),
                               "must be skip in a shared group: nothing is in order there", err);
    }
    if (mode == GROUP_ORDERED && settings->priority != PRIORITY_STRICT) {
        return settings_refuse(ZSP_EBAD_VALUE, zsp_slice_str("priority"),
                               "must be strict in an ordered group: no priority is heeded there",
                               err);
    }
    if (mode != GROUP_KEYED && settings->look_ahead != ZSP_LOOK_AHEAD) {
        return settings_refuse(ZSP_EBAD_VALUE, zsp_slice_str("look_ahead"),
                               "is for keyed groups only", err);
    }
    if (mode != GROUP_SHARED && settings->texts.of[TEXT_FAIR_BY]) {
        return settings_refuse(ZSP_EBAD_VALUE, zsp_slice_str("fair_by"),
                               "is for shared groups only: order leaves no turns to take", err);
    }
    return 0;
}

void group_settings_write(struct zsp_writer *out, const struct group_settings *settings)
{
    wire_write_map(out, (uint32_t)SETTING_COUNT + setting_texts_told(&settings->texts));
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &settings_table[i];
        const uint64_t value = value_of(setting, settings);
        wire_write_text(out, setting->name);
        if (setting->words) {
            wire_write_text(out, setting->words[value]);
        } else {
            wire_write_uint(out, value);
        }
    }
    setting_texts_write(out, &settings->texts);
}

void group_settings_encode(struct zsp_writer *out, const struct group_settings *settings)
{
    zsp_write_u8(out, SETTING_COUNT);
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        zsp_write_u64(out, value_of(&settings_table[i], settings));
    }
}

int group_settings_decode(struct zsp_reader *in, struct group_settings *ret)
{
    struct group_settings settings = group_settings_default;
    const uint8_t count = zsp_read_u8(in);
    if (in->failed || count > SETTING_COUNT) {
        return ZSP_ECORRUPT;
    }
    for (size_t i = 0; i < count; i++) {
        const uint64_t value = zsp_read_u64(in);
        if (settings_table[i].words && value > settings_table[i].max) {
            return ZSP_ECORRUPT;
        }
        *place_of(&settings_table[i], &settings) = value;
    }
    *ret = settings;
    return in->failed ? ZSP_ECORRUPT : 0;
}
