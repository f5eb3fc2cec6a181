/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/topic/settings_map.h"

#include <stdio.h>
#include <string.h>

int settings_refuse(int code, struct zsp_slice name, const char *why, struct zsp_err *err)
{
    char object[128]; /* a foreign name: zsp_err_detail cuts it where a character ends */
    (void)snprintf(object, sizeof object, "%.*s", (int)name.len, (const char *)name.data);
    (void)zsp_err_set(err, code, "settings: %s: %s", object, why);
    zsp_err_detail(err, object, code == ZSP_EBAD_VALUE ? why : NULL, NULL);
    return code;
}

int settings_read_word(const msgpack_object *value, const char *name, const char *const *words,
                       uint64_t first, uint64_t last, uint64_t *ret, struct zsp_err *err)
{
    struct zsp_slice word = {0};
    char wanted[64] = "";
    char got[64];
    const int rc = wire_get_str(value, name, &word, err);
    if (rc < 0) {
        return zsp_err_wrap(err, "settings");
    }
    for (uint64_t i = first; i <= last; i++) {
        if (zsp_slice_equal_str(word, words[i])) {
            *ret = i;
            return 0;
        }
        const size_t len = strlen(wanted);
        (void)snprintf(wanted + len, sizeof wanted - len, "%s%s", i > first ? " or " : "",
                       words[i]);
    }
    (void)snprintf(got, sizeof got, "%.*s", (int)word.len, (const char *)word.data);
    (void)zsp_err_set(err, ZSP_EBAD_VALUE, "settings: %s must be %s, not %s", name, wanted, got);
    zsp_err_detail(err, name, wanted, got);
    return ZSP_EBAD_VALUE;
}

int settings_read_number(const msgpack_object *value, const char *name, uint64_t min, uint64_t max,
                         uint64_t *ret, struct zsp_err *err)
{
    const int rc = wire_get_ranged(value, name, min, max, ret, err);
    return rc < 0 ? zsp_err_wrap(err, "settings") : 0;
}
