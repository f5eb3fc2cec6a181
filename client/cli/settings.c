/* SPDX-License-Identifier: MPL-2.0 */
#include "client/cli/settings.h"

#include <stdio.h>
#include <string.h>

#include "client/cli/terminal.h"

size_t cli_collect_settings(const struct cli_named_setting *named, size_t count,
                            zspool_figure_t *ret)
{
    size_t given = 0;
    for (size_t i = 0; i < count; i++) {
        const struct cli_setting *setting = named[i].setting;
        if (setting->given) {
            ret[given++] = (zspool_figure_t){.name = named[i].name,
                                             .is_text = setting->word != NULL,
                                             .is_unset = setting->unset,
                                             .text = setting->word,
                                             .value = (int64_t)setting->value};
        }
    }
    return given;
}

static bool ends_with(const char *name, const char *end, size_t *ret_stem)
{
    const size_t len = strlen(name);
    const size_t end_len = strlen(end);
    *ret_stem = len > end_len ? len - end_len : 0;
    return len > end_len && strcmp(name + *ret_stem, end) == 0;
}

/* On a terminal "lease = 30s" for lease_ms = 30000. */
static void print_for_people(const zspool_figure_t *figure)
{
    char text[TERMINAL_FIGURE_SIZE];
    size_t stem;
    if (ends_with(figure->name, "_ms", &stem) && figure->value >= 0) {
        printf("%.*s = %s\n", (int)stem, figure->name,
               terminal_human_ms((uint64_t)figure->value, text));
    } else if (ends_with(figure->name, "_bytes", &stem) && figure->value >= 0) {
        printf("%s = %s\n", figure->name, terminal_human_bytes((uint64_t)figure->value, text));
    } else {
        printf("%s = %lld\n", figure->name, (long long)figure->value);
    }
}

void cli_print_settings(const zspool_figure_t *settings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const bool is_unset =
            settings[i].is_text ? settings[i].text[0] == '\0' : settings[i].is_unset;
        if (is_unset) {
            continue;
        }
        if (settings[i].is_text) {
            printf("%s = %s\n", settings[i].name, settings[i].text);
        } else if (terminal_is_out()) {
            print_for_people(&settings[i]);
        } else {
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
