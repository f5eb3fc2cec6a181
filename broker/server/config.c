/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/server/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/server/config_key.h"
#include "broker/server/zpl.h"
#include "common/assert.h"

static const char environment_prefix[] = "ZSPOOL_";

/* Index of a key, or of no key: then *ret_section tells whether the section exists. */
static bool find_key(const char *section, const char *name, size_t *ret_index, bool *ret_section)
{
    *ret_section = false;
    for (size_t i = 0; config_key_at(i); i++) {
        const struct config_key *const key = config_key_at(i);
        if (strcmp(key->section, section) != 0) {
            continue;
        }
        *ret_section = true;
        if (strcmp(key->name, name) == 0) {
            *ret_index = i;
            return true;
        }
    }
    return false;
}

/* Set key `index` from `source`. A list begins anew with each weightier source;
 * anything else is given once a source. */
static int assign(struct config *self, size_t index, const char *value,
                  const struct config_origin *origin, struct zsp_err *err)
{
    const struct config_key *const key = config_key_at(index);
    struct config_origin *const before = &self->origins[index];
    const bool again = before->source == origin->source && origin->source != CONFIG_DEFAULT;
    if (key->type == CONFIG_LISTEN && !again) {
        self->listen_count = 0;
    }
    if (key->type != CONFIG_LISTEN && again && origin->source != CONFIG_COMMAND_LINE) {
        return zsp_err_set(err, ZSP_EBAD_CONFIG, "%s.%s is given twice, first at %s", key->section,
                           key->name, before->text);
    }
    const int rc = config_key_set(key, self, value, err);
    if (rc == ZSP_OK) {
        *before = *origin;
    }
    return rc;
}

void config_init(struct config *self)
{
    const struct config_origin origin = {.source = CONFIG_DEFAULT, .text = "default"};
    memset(self, 0, sizeof *self);
    for (size_t i = 0; config_key_at(i); i++) {
        const int rc = assign(self, i, config_key_at(i)->standard, &origin, NULL);
        zsp_assert(rc == ZSP_OK);
    }
}

/* A text being read. */
struct text_reader {
    struct config *config;
    const char *file;
};

static int take_setting(void *arg, const struct zpl_setting *setting, struct zsp_err *err)
{
    const struct text_reader *const reader = arg;
    size_t index = 0;
    bool known_section = false;
    if (!find_key(setting->section, setting->key, &index, &known_section)) {
        return zsp_err_set(err, ZSP_EBAD_CONFIG, "unknown %s '%s'",
                           known_section ? "key" : "section",
                           known_section ? setting->key : setting->section);
    }
    struct config_origin origin = {.source = CONFIG_FILE};
    (void)snprintf(origin.text, sizeof origin.text, "%.140s:%u", reader->file, setting->line);
    return assign(reader->config, index, setting->value, &origin, err);
}

int config_read_text(struct config *self, const char *file, struct zsp_slice text,
                     struct zsp_err *err)
{
    struct text_reader reader = {.config = self, .file = file};
    return zpl_walk(file, text, take_setting, &reader, err);
}

static int read_stream(struct config *self, const char *path, FILE *file, struct zsp_err *err)
{
    uint8_t *const text = malloc(ZPL_TEXT_MAX + 1);
    if (!text) {
        return zsp_err_set(err, ZSP_ENOMEM, "configuration file %s: out of memory", path);
    }
    int rc = ZSP_OK;
    const size_t len = fread(text, 1, ZPL_TEXT_MAX + 1, file);
    if (ferror(file)) {
        rc = zsp_err_set_errno(err, ZSP_EBAD_CONFIG, errno, "read configuration file %s", path);
    } else {
        rc = config_read_text(self, path, (struct zsp_slice){text, len}, err);
    }
    free(text);
    return rc;
}

int config_read_file(struct config *self, const char *path, struct zsp_err *err)
{
    FILE *const file = fopen(path, "rb");
    if (!file) {
        return zsp_err_set_errno(err, ZSP_EBAD_CONFIG, errno, "configuration file %s", path);
    }
    const int rc = read_stream(self, path, file, err);
    (void)fclose(file); /* only read from: nothing to lose */
    return rc;
}

static char lowered(char c)
{
    return (char)tolower((unsigned char)c);
}

/* Split SECTION_KEY, lower it, and find the key. */
static bool find_variable(const char *name, size_t name_len, size_t *ret_index, bool *ret_section)
{
    char section[ZPL_NAME_MAX + 1];
    if (name_len > ZPL_NAME_MAX) {
        *ret_section = false;
        return false;
    }
    for (size_t i = 0; i < name_len; i++) {
        section[i] = lowered(name[i]);
    }
    section[name_len] = '\0';
    char *const underscore = strchr(section, '_');
    if (!underscore) {
        *ret_section = false;
        return false;
    }
    *underscore = '\0';
    return find_key(section, underscore + 1, ret_index, ret_section);
}

/* Assign each item of a comma-separated list; other keys take the whole value. */
static int assign_variable(struct config *self, size_t index, const char *value,
                           const struct config_origin *origin, struct zsp_err *err)
{
    if (config_key_at(index)->type != CONFIG_LISTEN) {
        return assign(self, index, value, origin, err);
    }
    int rc = ZSP_OK;
    while (rc == ZSP_OK) {
        char item[ENDPOINT_MAX];
        const size_t len = strcspn(value, ",");
        /* A cut item is too long in any case and refused as such. */
        (void)snprintf(item, sizeof item, "%.*s", (int)(len < sizeof item ? len : sizeof item),
                       value);
        rc = assign(self, index, item, origin, err);
        if (value[len] == '\0') {
            break;
        }
        value += len + 1;
    }
    return rc;
}

int config_read_environment(struct config *self, char *const *environment, struct zsp_err *err)
{
    const size_t prefix_len = sizeof environment_prefix - 1;
    for (; *environment; environment++) {
        const char *const entry = *environment;
        const char *const equals = strchr(entry, '=');
        if (!equals || strncmp(entry, environment_prefix, prefix_len) != 0) {
            continue;
        }
        const char *const name = entry + prefix_len;
        struct config_origin origin = {.source = CONFIG_ENVIRONMENT};
        (void)snprintf(origin.text, sizeof origin.text, "environment %.*s",
                       (int)(equals - entry < 100 ? equals - entry : 100), entry);
        size_t index = 0;
        bool known_section = false;
        int rc = ZSP_OK;
        if (find_variable(name, (size_t)(equals - name), &index, &known_section)) {
            rc = assign_variable(self, index, equals + 1, &origin, err);
        } else if (known_section) {
            rc = zsp_err_set(err, ZSP_EBAD_CONFIG, "no such key");
        }
        if (rc < 0) {
            (void)zsp_err_wrap(err, "%s", origin.text);
            return rc;
        }
    }
    return ZSP_OK;
}

int config_set(struct config *self, const char *section, const char *key, const char *value,
               const char *option, struct zsp_err *err)
{
    size_t index = 0;
    bool known_section = false;
    const bool known = find_key(section, key, &index, &known_section);
    zsp_assert(known);
    struct config_origin origin = {.source = CONFIG_COMMAND_LINE};
    (void)snprintf(origin.text, sizeof origin.text, "option %s", option);
    const int rc = assign(self, index, value, &origin, err);
    if (rc < 0) {
        (void)zsp_err_wrap(err, "option %s", option);
    }
    return rc;
}

/* A copy without the blanks around it; false: it does not fit. */
static bool copy_trimmed(char *to, size_t to_size, const char *from, size_t len)
{
    while (len > 0 && isblank((unsigned char)from[0])) {
        from++;
        len--;
    }
    while (len > 0 && isblank((unsigned char)from[len - 1])) {
        len--;
    }
    if (len >= to_size) {
        return false;
    }
    memcpy(to, from, len);
    to[len] = '\0';
    return true;
}

static int read_line(struct config *self, const char *line, const struct config_origin *origin,
                     struct zsp_err *err)
{
    char section[ZPL_NAME_MAX + 1];
    char key[ZPL_NAME_MAX + 1];
    char value[ZPL_LINE_MAX + 1];
    const char *const slash = strchr(line, '/');
    const char *const equals = strchr(line, '=');
    if (!slash || !equals || slash > equals ||
        !copy_trimmed(section, sizeof section, line, (size_t)(slash - line)) ||
        !copy_trimmed(key, sizeof key, slash + 1, (size_t)(equals - slash - 1)) ||
        !copy_trimmed(value, sizeof value, equals + 1, strlen(equals + 1))) {
        return zsp_err_set(err, ZSP_EBAD_CONFIG, "'%.60s': wanted section/key = value", line);
    }
    size_t index = 0;
    bool known_section = false;
    if (!find_key(section, key, &index, &known_section)) {
        return zsp_err_set(err, ZSP_EBAD_CONFIG, "unknown %s '%s'",
                           known_section ? "key" : "section", known_section ? key : section);
    }
    return assign(self, index, value, origin, err);
}

int config_set_line(struct config *self, const char *name, const char *line, struct zsp_err *err)
{
    struct config_origin origin = {.source = CONFIG_LINE};
    (void)snprintf(origin.text, sizeof origin.text, "%.150s", name);
    const int rc = read_line(self, line, &origin, err);
    if (rc < 0) {
        (void)zsp_err_wrap(err, "%s", name);
    }
    return rc;
}

bool config_given(const struct config *self, const char *section, const char *key)
{
    size_t index = 0;
    bool known_section = false;
    const bool known = find_key(section, key, &index, &known_section);
    zsp_assert(known);
    return self->origins[index].source != CONFIG_DEFAULT;
}

int config_check(const struct config *self, struct zsp_err *err)
{
    for (uint32_t i = 0; i < self->listen_count; i++) {
        if (!self->allow_plain && !endpoint_local(self->listen[i])) {
            return zsp_err_set(err, ZSP_EBAD_CONFIG,
                               "%s can be reached from other machines and nothing is encrypted: "
                               "listen on 127.0.0.1, or set security.allow_plain = yes",
                               self->listen[i]);
        }
        for (uint32_t k = 0; k < i; k++) {
            if (strcmp(self->listen[i], self->listen[k]) == 0 && !strchr(self->listen[i], '*')) {
                return zsp_err_set(err, ZSP_EBAD_CONFIG, "network.listen: %s is given twice",
                                   self->listen[i]);
            }
        }
    }
    if (self->journal_bytes < 2 * self->journal_file_bytes) {
        return zsp_err_set(err, ZSP_EBAD_CONFIG,
                           "data.journal_size must be at least twice data.journal_file_size");
    }
    if (self->publish_bytes < self->request_bytes) {
        return zsp_err_set(err, ZSP_EBAD_CONFIG,
                           "limits.publish_bytes must be at least limits.request_bytes");
    }
    return ZSP_OK;
}

static void print_setting(const struct config *self, size_t index, uint32_t item,
                          struct zsp_writer *out)
{
    const struct config_key *const key = config_key_at(index);
    zsp_write_bytes(out, zsp_slice_str("    "));
    zsp_write_bytes(out, zsp_slice_str(key->name));
    zsp_write_bytes(out, zsp_slice_str(" = \""));
    config_key_print(key, self, item, out);
    zsp_write_bytes(out, zsp_slice_str("\" # "));
    zsp_write_bytes(out, zsp_slice_str(self->origins[index].text));
    zsp_write_u8(out, '\n');
}

void config_print(const struct config *self, struct zsp_writer *out)
{
    const char *section = "";
    for (size_t i = 0; config_key_at(i); i++) {
        const struct config_key *const key = config_key_at(i);
        if (strcmp(section, key->section) != 0) {
            section = key->section;
            zsp_write_bytes(out, zsp_slice_str(section));
            zsp_write_u8(out, '\n');
        }
        const uint32_t items = key->type == CONFIG_LISTEN ? self->listen_count : 1;
        for (uint32_t item = 0; item < items; item++) {
            print_setting(self, i, item, out);
        }
    }
}
