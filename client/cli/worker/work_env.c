/* SPDX-License-Identifier: MPL-2.0 */
#include "client/cli/worker/work_env.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"

#define VALUE_MAX       (32u * 1024u)  /* Linux takes 128 KiB a variable */
#define TOTAL_MAX       (256u * 1024u) /* and an eighth of the stack, at least 1 MiB in all */
#define OMITTED_MAX     4096u
#define HEADER_NAME_MAX 64u /* of a header */
#define FIXED_MAX       16u /* variables that are no headers */
#define OWN_MAX         (FIXED_MAX + ZSPOOL_HEADERS_MAX)

static const char *const own_names[] = {
    "SERVER",     "GROUP",    "TOPIC", "PARTITION", "OFFSET", "TIMESTAMP", "PRIORITY",
    "DELIVERIES", "FAILURES", "KEY",   "TYPE",      "ID",     "OMITTED",
};

struct work_env {
    const char *server, *group;
    char **vars;       /* inherited ones, then ours, then NULL */
    size_t base_count; /* inherited */
    size_t own_count;  /* ours: allocated */
    size_t total;      /* bytes of ours */
    char omitted[OMITTED_MAX];
    bool out_of_memory;
};

static bool is_own(const char *variable)
{
    if (strncmp(variable, "ZSPOOL_", 7) != 0) {
        return false;
    }
    const char *name = variable + 7;
    if (strncmp(name, "HEADER_", 7) == 0) {
        return true;
    }
    for (size_t i = 0; i < sizeof own_names / sizeof own_names[0]; i++) {
        const size_t len = strlen(own_names[i]);
        if (strncmp(name, own_names[i], len) == 0 && name[len] == '=') {
            return true;
        }
    }
    return false;
}

struct work_env *work_env_new(char *const *environ, const char *server, const char *group)
{
    size_t count = 0;
    while (environ[count]) {
        count++;
    }
    struct work_env *self = calloc(1, sizeof *self);
    if (!self) {
        return NULL;
    }
    self->server = server;
    self->group = group;
    self->vars = calloc(count + OWN_MAX + 1, sizeof *self->vars);
    if (!self->vars) {
        free(self);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_own(environ[i])) {
            self->vars[self->base_count++] = environ[i];
        }
    }
    return self;
}

static void forget_message(struct work_env *self)
{
    for (size_t i = 0; i < self->own_count; i++) {
        free(self->vars[self->base_count + i]);
        self->vars[self->base_count + i] = NULL;
    }
    self->own_count = 0;
    self->total = 0;
    self->omitted[0] = '\0';
    self->out_of_memory = false;
}

void work_env_destroy(struct work_env **self_p)
{
    struct work_env *self = *self_p;
    if (self) {
        forget_message(self);
        free(self->vars);
        free(self);
    }
    *self_p = NULL;
}

/* --- Variables ----------------------------------------------------------------------- */

/* ZSPOOL_<prefix><name>=<value> */
static void set(struct work_env *self, const char *prefix, zspool_bytes_t name,
                zspool_bytes_t value)
{
    const size_t len = 7 + strlen(prefix) + name.len + 1 + value.len + 1;
    char *variable = malloc(len);
    if (!variable) {
        self->out_of_memory = true;
        return;
    }
    const int head =
        snprintf(variable, len, "ZSPOOL_%s%.*s=", prefix, (int)name.len, (const char *)name.data);
    memcpy(variable + head, value.data, value.len);
    variable[(size_t)head + value.len] = '\0';
    self->vars[self->base_count + self->own_count++] = variable;
    self->total += len;
}

static void set_text(struct work_env *self, const char *name, const char *value)
{
    set(self, "", zspool_text(name), zspool_text(value));
}

static void set_number(struct work_env *self, const char *name, uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    set_text(self, name, text);
}

/* Note a name, as text of one line; what does not fit is not noted. */
static void omit(struct work_env *self, const char *prefix, zspool_bytes_t name)
{
    const size_t at = strlen(self->omitted);
    const size_t room = sizeof self->omitted - at;
    const size_t len = name.len < HEADER_NAME_MAX ? name.len : HEADER_NAME_MAX;
    if (strlen(prefix) + len + 2 > room) {
        return;
    }
    (void)snprintf(self->omitted + at, room, "%s%s%.*s", at > 0 ? " " : "", prefix, (int)len,
                   (const char *)name.data);
    for (char *c = self->omitted + at + (at > 0); *c; c++) {
        if ((unsigned char)*c <= ' ' || *c == 0x7f) {
            *c = '?';
        }
    }
}

static bool fits(const struct work_env *self, zspool_bytes_t value)
{
    return value.len <= VALUE_MAX && self->total + value.len <= TOTAL_MAX &&
           (value.len == 0 || !memchr(value.data, '\0', value.len));
}

static void set_part(struct work_env *self, const char *name, zspool_bytes_t value)
{
    if (!value.data) {
        return;
    }
    if (fits(self, value)) {
        set(self, "", zspool_text(name), value);
    } else {
        omit(self, "", zspool_text(name));
    }
}

static bool is_variable_name(zspool_bytes_t name)
{
    static const char legal[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
    for (size_t i = 0; i < name.len; i++) {
        if (!memchr(legal, ((const char *)name.data)[i], sizeof legal - 1)) {
            return false;
        }
    }
    return name.len > 0 && name.len <= HEADER_NAME_MAX;
}

static void set_headers(struct work_env *self, const zspool_message_t *message)
{
    for (size_t i = 0; i < message->header_count; i++) {
        zspool_header_t header;
        if (zspool_message_header(message, i, &header) != 0) {
            return; /* the library checked them: there are no more */
        }
        if (is_variable_name(header.name) && fits(self, header.value) &&
            self->own_count < OWN_MAX - 1) {
            set(self, "HEADER_", header.name, header.value);
        } else {
            omit(self, "HEADER_", header.name);
        }
    }
}

char *const *work_env_of(struct work_env *self, const zspool_message_t *message)
{
    char time[32];
    forget_message(self);
    cli_write_time(message->timestamp_ms, time);
    set_text(self, "SERVER", self->server);
    set_text(self, "GROUP", self->group);
    set_text(self, "TOPIC", message->topic);
    set_number(self, "PARTITION", message->partition);
    set_number(self, "OFFSET", message->offset);
    set_text(self, "TIMESTAMP", time);
    set_number(self, "PRIORITY", message->priority);
    set_number(self, "DELIVERIES", message->deliveries);
    set_number(self, "FAILURES", message->failures);
    set_part(self, "KEY", message->key);
    set_part(self, "TYPE", message->type);
    set_part(self, "ID", message->id);
    set_headers(self, message);
    if (self->omitted[0]) {
        set_text(self, "OMITTED", self->omitted);
    }
    return self->out_of_memory ? NULL : self->vars;
}
