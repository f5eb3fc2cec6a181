/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/embed/embedded_config.h"

#include <stdio.h>
#include <string.h>

#define OPTIONS_SIZE_MAX 4096u /* no struct of ours will ever be larger */
#define SETTINGS_MAX     1024u

static int check_size(size_t size, struct zsp_err *err)
{
    if (size < sizeof size || size > OPTIONS_SIZE_MAX) {
        return zsp_err_set(err, ZSP_EINVAL,
                           "zspool_broker_options_t: size %zu: call its _init function", size);
    }
    return ZSP_OK;
}

int embedded_options_read(zspool_broker_options_t *to, const zspool_broker_options_t *given,
                          struct zsp_err *err)
{
    zspool_broker_options_init(to);
    if (!given) {
        return zsp_err_set(err, ZSP_EINVAL, "no options given");
    }
    const int rc = check_size(given->size, err);
    if (rc < 0) {
        return rc;
    }
    const unsigned char *const bytes = (const unsigned char *)given;
    for (size_t i = sizeof *to; i < given->size; i++) {
        if (bytes[i] != 0) {
            return zsp_err_set(err, ZSP_EINVAL,
                               "zspool_broker_options_t: made for a newer library");
        }
    }
    const size_t known = given->size < sizeof *to ? given->size : sizeof *to;
    memcpy(to, given, known);
    to->size = sizeof *to;
    return ZSP_OK;
}

static int check_list(const char *what, const char *const *list, size_t count, struct zsp_err *err)
{
    if (count > SETTINGS_MAX || (count > 0 && !list)) {
        return zsp_err_set(err, ZSP_EINVAL, "%zu %s: want 0 to %u, and where they are", count, what,
                           SETTINGS_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        if (!list[i]) {
            return zsp_err_set(err, ZSP_EINVAL, "%s: number %zu is NULL", what, i + 1);
        }
    }
    return ZSP_OK;
}

static int read_settings(struct config *config, const zspool_broker_options_t *options,
                         struct zsp_err *err)
{
    int rc = check_list("settings", options->settings, options->setting_count, err);
    for (size_t i = 0; i < options->setting_count && rc == ZSP_OK; i++) {
        char name[40];
        (void)snprintf(name, sizeof name, "setting %zu", i + 1);
        rc = config_set_line(config, name, options->settings[i], err);
    }
    return rc;
}

static int read_endpoints(struct config *config, const zspool_broker_options_t *options,
                          struct zsp_err *err)
{
    int rc = check_list("endpoints", options->endpoints, options->endpoint_count, err);
    for (size_t i = 0; i < options->endpoint_count && rc == ZSP_OK; i++) {
        rc = config_set(config, "network", "listen", options->endpoints[i], "endpoints", err);
    }
    if (rc == ZSP_OK && !config_given(config, "network", "listen")) {
        rc = config_set(config, "network", "listen", ZSPOOL_BROKER_DEFAULT_ENDPOINT, "endpoints",
                        err);
    }
    return rc;
}

int embedded_config_read(struct config *config, const zspool_broker_options_t *options,
                         struct zsp_err *err)
{
    config_init(config);
    config->embedded = true;
    int rc = ZSP_OK;
    if (options->config_file) {
        rc = config_read_file(config, options->config_file, err);
    }
    if (rc == ZSP_OK) {
        rc = read_settings(config, options, err);
    }
    if (rc == ZSP_OK && options->directory) {
        rc = config_set(config, "data", "directory", options->directory, "directory", err);
    }
    if (rc == ZSP_OK) {
        rc = read_endpoints(config, options, err);
    }
    if (rc == ZSP_OK && !config_given(config, "data", "directory")) {
        rc = zsp_err_set(err, ZSP_EBAD_CONFIG, "no data directory given");
    }
    return rc == ZSP_OK ? config_check(config, err) : rc;
}
