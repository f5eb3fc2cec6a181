/* SPDX-License-Identifier: MPL-2.0
 *
 * Settings of topics and groups: from flags, and printed.
 */
#ifndef ZSP_CLI_SETTINGS_H
#define ZSP_CLI_SETTINGS_H

#include "client/cli/cli.h"
#include "client/cli/json.h"

struct cli_named_setting {
    const char *name; /* the protocol's */
    const struct cli_setting *setting;
};

/* Fill `ret` with those that were given; returns how many. */
size_t cli_collect_settings(const struct cli_named_setting *named, size_t count,
                            zspool_figure_t *ret);
void cli_print_settings(const zspool_figure_t *settings, size_t count);
void cli_json_settings(struct json *json, const zspool_figure_t *settings, size_t count);

#endif
