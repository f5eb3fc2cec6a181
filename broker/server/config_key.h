/* SPDX-License-Identifier: MPL-2.0
 *
 * The keys of a configuration: one table of section, name, type, place and
 * bounds, and reading and printing of a single value. Used by config.c.
 */
#ifndef ZSP_SERVER_CONFIG_KEY_H
#define ZSP_SERVER_CONFIG_KEY_H

#include <stddef.h>
#include <stdint.h>

#include "broker/server/config.h"

enum config_type {
    CONFIG_BOOL,  /* bool: yes, no */
    CONFIG_BYTES, /* uint64_t, with a unit */
    CONFIG_MS,    /* uint64_t, with a unit */
    CONFIG_COUNT, /* uint64_t */
    CONFIG_MODE,  /* uint64_t: octal permission bits */
    CONFIG_LEVEL, /* enum zsp_level */
    CONFIG_PATH,  /* char[CONFIG_TEXT_MAX] */
    CONFIG_LISTEN /* listen and listen_count: adds one */
};

struct config_key {
    const char *section;
    const char *name;
    enum config_type type;
    size_t place;         /* offsetof in struct config */
    uint64_t min, max;    /* of BYTES, MS and COUNT */
    const char *standard; /* the default, as text */
};

/* Key `index` of the table, NULL behind the last one. */
const struct config_key *config_key_at(size_t index);

/* Parse `text` into the key's place. Errors: ZSP_EBAD_CONFIG, naming the key and
 * what was wanted. */
int config_key_set(const struct config_key *self, struct config *config, const char *text,
                   struct zsp_err *err);

/* Append the key's value as text; of a list its item `item`. */
void config_key_print(const struct config_key *self, const struct config *config, uint32_t item,
                      struct zsp_writer *out);

#endif
