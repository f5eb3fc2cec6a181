/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/server/config_key.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/server/quantity.h"
#include "common/limits.h"

#define PLACE(field) offsetof(struct config, field)
#define GIB          (UINT64_C(1) << 30)
#define TIB          (UINT64_C(1) << 40)

/* Grouped by section: config_print() opens a section where the name changes. */
static const struct config_key keys[] = {
    {"network", "listen", CONFIG_LISTEN, PLACE(listen), 0, 0, "tcp://127.0.0.1:7227"},
    {"network", "io_threads", CONFIG_COUNT, PLACE(io_threads), 1, 16, "1"},
    {"network", "ipc_mode", CONFIG_MODE, PLACE(ipc_mode), 0, 0, "0600"},
    {"network", "session_timeout", CONFIG_MS, PLACE(session_timeout_ms), 1000, 3600000, "60s"},
    {"security", "allow_plain", CONFIG_BOOL, PLACE(allow_plain), 0, 0, "no"},
    {"data", "directory", CONFIG_PATH, PLACE(directory), 0, 0, "/var/lib/zspool"},
    {"data", "create", CONFIG_BOOL, PLACE(create), 0, 0, "yes"},
    {"data", "segment_size", CONFIG_BYTES, PLACE(segment_bytes), ZSP_SEGMENT_BYTES_MIN, 4 * GIB,
     "256MiB"},
    {"data", "journal_file_size", CONFIG_BYTES, PLACE(journal_file_bytes), 64 * ZSP_KIB, 4 * GIB,
     "64MiB"},
    {"data", "journal_size", CONFIG_BYTES, PLACE(journal_bytes), 128 * ZSP_KIB, TIB, "256MiB"},
    {"data", "unsynced", CONFIG_BYTES, PLACE(unsynced_bytes), ZSP_FRAME_MAX, 16 * GIB, "64MiB"},
    {"data", "tail_cache", CONFIG_BYTES, PLACE(tail_bytes), ZSP_FRAME_MAX, TIB, "64MiB"},
    {"data", "min_free", CONFIG_BYTES, PLACE(min_free_bytes), 0, UINT64_MAX, "256MiB"},
    {"data", "fill_ahead", CONFIG_BYTES, PLACE(fill_bytes), 0, 64 * ZSP_MIB, "1MiB"},
    {"data", "threads", CONFIG_COUNT, PLACE(data_threads), 1, 64, "4"},
    {"data", "open_files", CONFIG_COUNT, PLACE(open_files), 0, 1000000, "0"},
    {"topics", "auto_create", CONFIG_BOOL, PLACE(auto_create_topics), 0, 0, "yes"},
    {"topics", "partitions", CONFIG_COUNT, PLACE(partitions), 1, ZSP_PARTITIONS_MAX, "1"},
    {"topics", "max", CONFIG_COUNT, PLACE(topics_max), 0, UINT32_MAX, "10000"},
    {"topics", "max_partitions", CONFIG_COUNT, PLACE(partitions_max), 0, UINT32_MAX, "100000"},
    {"groups", "auto_create", CONFIG_BOOL, PLACE(auto_create_groups), 0, 0, "yes"},
    {"groups", "max", CONFIG_COUNT, PLACE(groups_max), 0, UINT32_MAX, "10000"},
    {"limits", "requests", CONFIG_COUNT, PLACE(requests), 2, 65536, "1024"},
    {"limits", "all_requests", CONFIG_COUNT, PLACE(all_requests), 1, 10000000, "65536"},
    {"limits", "request_bytes", CONFIG_BYTES, PLACE(request_bytes), ZSP_FRAME_MAX, GIB, "32MiB"},
    {"limits", "publish_bytes", CONFIG_BYTES, PLACE(publish_bytes), ZSP_FRAME_MAX, TIB, "256MiB"},
    {"limits", "reply_bytes", CONFIG_BYTES, PLACE(reply_bytes), ZSP_REPLY_MAX, TIB, "64MiB"},
    {"limits", "all_reply_bytes", CONFIG_BYTES, PLACE(all_reply_bytes), 2 * ZSP_REPLY_MAX, TIB,
     "256MiB"},
    {"limits", "sessions", CONFIG_COUNT, PLACE(sessions), 1, 1000000, "16384"},
    {"diag", "level", CONFIG_LEVEL, PLACE(level), 0, 0, "info"},
};

#define KEY_COUNT (sizeof keys / sizeof keys[0])
_Static_assert(KEY_COUNT <= CONFIG_KEYS_MAX, "every key has room for its origin");

const struct config_key *config_key_at(size_t index)
{
    return index < KEY_COUNT ? &keys[index] : NULL;
}

/* The field of a key, to be read or written with the type that the table says. */
static void *field_of(const struct config_key *self, struct config *config)
{
    return (char *)config + self->place;
}

static const void *field_in(const struct config_key *self, const struct config *config)
{
    return (const char *)config + self->place;
}

static int parse_bool(const char *text, bool *ret, struct zsp_err *err)
{
    if (strcmp(text, "yes") != 0 && strcmp(text, "no") != 0) {
        return zsp_err_set(err, ZSP_EBAD_VALUE, "'%.40s' is neither yes nor no", text);
    }
    *ret = text[0] == 'y';
    return ZSP_OK;
}

static int parse_mode(const char *text, uint64_t *ret, struct zsp_err *err)
{
    const size_t len = strlen(text);
    if (len < 3 || len > 4 || strspn(text, "01234567") != len || (len == 4 && text[0] != '0')) {
        return zsp_err_set(err, ZSP_EBAD_VALUE, "'%.40s' is no octal mode, as in 0660", text);
    }
    *ret = strtoul(text, NULL, 8);
    return ZSP_OK;
}

static int parse_level(const char *text, enum zsp_level *ret, struct zsp_err *err)
{
    static const enum zsp_level levels[] = {ZSP_DEBUG, ZSP_INFO, ZSP_WARNING, ZSP_ERROR};
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        if (strcmp(text, zsp_level_name(levels[i])) == 0) {
            *ret = levels[i];
            return ZSP_OK;
        }
    }
    return zsp_err_set(err, ZSP_EBAD_VALUE, "'%.40s' is not debug, info, warning or error", text);
}

static int parse_path(const char *text, char *ret, struct zsp_err *err)
{
    const size_t len = strlen(text);
    if (len == 0) {
        return zsp_err_set(err, ZSP_EBAD_VALUE, "the path is empty");
    }
    if (len >= CONFIG_TEXT_MAX) {
        return zsp_err_set(err, ZSP_EBAD_VALUE, "the path has %zu bytes, at most %u are read", len,
                           CONFIG_TEXT_MAX - 1);
    }
    if (strpbrk(text, "\"'")) {
        return zsp_err_set(err, ZSP_EBAD_VALUE, "the path holds a quote, which ZPL cannot say");
    }
    memcpy(ret, text, len + 1);
    return ZSP_OK;
}

static int add_endpoint(const char *text, struct config *config, struct zsp_err *err)
{
    const int rc = endpoint_check(text, config->embedded, err);
    if (rc < 0) {
        return rc;
    }
    if (config->listen_count == CONFIG_ENDPOINTS_MAX) {
        return zsp_err_set(err, ZSP_EBAD_VALUE, "more than %u endpoints", CONFIG_ENDPOINTS_MAX);
    }
    (void)snprintf(config->listen[config->listen_count], ENDPOINT_MAX, "%s", text);
    config->listen_count++;
    return ZSP_OK;
}

static void print_number(enum config_type type, uint64_t number, char ret[QUANTITY_TEXT_MAX])
{
    if (type == CONFIG_BYTES) {
        quantity_print_bytes(ret, number);
    } else if (type == CONFIG_MS) {
        quantity_print_ms(ret, number);
    } else {
        (void)snprintf(ret, QUANTITY_TEXT_MAX, "%" PRIu64, number);
    }
}

/* A quantity within the key's bounds. */
static int parse_number(const struct config_key *self, const char *text, uint64_t *ret,
                        struct zsp_err *err)
{
    uint64_t number = 0;
    int rc = ZSP_OK;
    if (self->type == CONFIG_BYTES) {
        rc = quantity_parse_bytes(text, &number, err);
    } else if (self->type == CONFIG_MS) {
        rc = quantity_parse_ms(text, &number, err);
    } else {
        rc = quantity_parse_count(text, &number, err);
    }
    if (rc < 0) {
        return rc;
    }
    if (number < self->min || number > self->max) {
        char low[QUANTITY_TEXT_MAX];
        char high[QUANTITY_TEXT_MAX];
        print_number(self->type, self->min, low);
        print_number(self->type, self->max, high);
        return zsp_err_set(err, ZSP_EBAD_VALUE, "'%.40s' is not within %s to %s", text, low, high);
    }
    *ret = number;
    return ZSP_OK;
}

int config_key_set(const struct config_key *self, struct config *config, const char *text,
                   struct zsp_err *err)
{
    void *const field = field_of(self, config);
    int rc = ZSP_OK;
    switch (self->type) {
    case CONFIG_BOOL:
        rc = parse_bool(text, field, err);
        break;
    case CONFIG_BYTES:
    case CONFIG_MS:
    case CONFIG_COUNT:
        rc = parse_number(self, text, field, err);
        break;
    case CONFIG_MODE:
        rc = parse_mode(text, field, err);
        break;
    case CONFIG_LEVEL:
        rc = parse_level(text, field, err);
        break;
    case CONFIG_PATH:
        rc = parse_path(text, field, err);
        break;
    case CONFIG_LISTEN:
        rc = add_endpoint(text, config, err);
        break;
    }
    if (rc < 0) {
        if (err) {
            err->code = ZSP_EBAD_CONFIG;
        }
        (void)zsp_err_wrap(err, "%s.%s", self->section, self->name);
        return ZSP_EBAD_CONFIG;
    }
    return ZSP_OK;
}

static void write_text(struct zsp_writer *out, const char *text)
{
    zsp_write_bytes(out, zsp_slice_str(text));
}

void config_key_print(const struct config_key *self, const struct config *config, uint32_t item,
                      struct zsp_writer *out)
{
    const void *const field = field_in(self, config);
    char text[QUANTITY_TEXT_MAX];
    switch (self->type) {
    case CONFIG_BOOL:
        write_text(out, *(const bool *)field ? "yes" : "no");
        break;
    case CONFIG_BYTES:
    case CONFIG_MS:
    case CONFIG_COUNT:
        print_number(self->type, *(const uint64_t *)field, text);
        write_text(out, text);
        break;
    case CONFIG_MODE:
        (void)snprintf(text, sizeof text, "%04" PRIo64, *(const uint64_t *)field);
        write_text(out, text);
        break;
    case CONFIG_LEVEL:
        write_text(out, zsp_level_name(*(const enum zsp_level *)field));
        break;
    case CONFIG_PATH:
        write_text(out, field);
        break;
    case CONFIG_LISTEN:
        write_text(out, config->listen[item]);
        break;
    }
}
