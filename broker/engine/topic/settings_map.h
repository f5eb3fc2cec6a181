/* SPDX-License-Identifier: MPL-2.0
 *
 * What the settings of topics and of groups have in common: a map of names, and values that are
 * numbers or words. An error names the setting, what it must be, and what it was.
 */
#ifndef ZSP_ENGINE_SETTINGS_MAP_H
#define ZSP_ENGINE_SETTINGS_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/wire.h"

static inline struct zsp_slice settings_name(const msgpack_object_kv *pair)
{
    return (struct zsp_slice){(const uint8_t *)pair->key.via.str.ptr, pair->key.via.str.size};
}

/* Is the name of pair `index` that of an earlier one? Those are all strings, and so is this. The
 * caller refuses unknown names and repeats, so that few are compared. */
static inline bool settings_repeated(const msgpack_object *map, uint32_t index)
{
    const struct zsp_slice name = settings_name(&map->via.map.ptr[index]);
    for (uint32_t i = 0; i < index; i++) {
        if (zsp_slice_equal(name, settings_name(&map->via.map.ptr[i]))) {
            return true;
        }
    }
    return false;
}

/* Refuse a setting with `code`, which is returned: "settings: NAME: WHY". */
int settings_refuse(int code, struct zsp_slice name, const char *why, struct zsp_err *err);

/* One of `words`: *ret is its index from `first` to `last`. Errors: ZSP_EBAD_TYPE, ZSP_EBAD_VALUE */
int settings_read_word(const msgpack_object *value, const char *name, const char *const *words,
                       uint64_t first, uint64_t last, uint64_t *ret, struct zsp_err *err);

/* A number from `min` to `max`. Errors: ZSP_EBAD_TYPE, ZSP_EBAD_VALUE */
int settings_read_number(const msgpack_object *value, const char *name, uint64_t min, uint64_t max,
                         uint64_t *ret, struct zsp_err *err);

#endif
