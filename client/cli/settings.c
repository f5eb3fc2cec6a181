/* SPDX-License-Identifier: MPL-2.0 */
#include "client/cli/settings.h"

#include <stdio.h>

size_t cli_collect_settings(const struct cli_named_setting *named, size_t count,
                            zspool_figure_t *ret)
{
    size_t given = 0;
    for (size_t i = 0; i < count; i++) {
        const struct cli_setting *setting = named[i].setting;
        if (setting->given) {
            ret[given++] = (zspool_figure_t){.name = named[i].name,
                                             .is_unset = setting->unset,
                                             .value = (int64_t)setting->value};
        }
    }
    return given;
}

void cli_print_settings(const zspool_figure_t *settings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (settings[i].is_text) {
            printf("%s = %s\n", settings[i].name, settings[i].text);
        } else if (!settings[i].is_unset) {
            printf("%s = %lld\n", settings[i].name, (long long)settings[i].value);
        }
    }
}

void cli_json_settings(struct json *json, const zspool_figure_t *settings, size_t count)
{
    json_open_object(json, "settings");
    for (size_t i = 0; i < count; i++) {
        json_figure(json, &settings[i]);
    }
    json_close_object(json);
}

void cli_print_names(const char *key, const zspool_names_t *names)
{
    for (size_t i = 0; i < names->count; i++) {
        if (cli_common.json) {
            struct json json = json_begin();
            json_text(&json, key, names->items[i]);
            json_end(&json);
        } else {
            printf("%s\n", names->items[i]);
        }
    }
}
