/* SPDX-License-Identifier: MPL-2.0 */
#include "client/cli/format.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"

#define DIRECTIVES "tpokKsSThiydflP"

/* A directive, or the bytes between two. */
struct piece {
    char directive; /* one of DIRECTIVES; 0 = bytes */
    size_t first, len;
};

struct format {
    struct piece *pieces;
    size_t count;
    char *bytes; /* of all pieces that are bytes */
    size_t byte_count;
};

static void add_byte(struct format *self, char byte)
{
    if (self->count == 0 || self->pieces[self->count - 1].directive != 0) {
        self->pieces[self->count++] = (struct piece){.first = self->byte_count};
    }
    self->pieces[self->count - 1].len++;
    self->bytes[self->byte_count++] = byte;
}

/* NULL when all of it was good, else the place that was not. */
static const char *parse(struct format *self, const char *text)
{
    for (const char *p = text; *p;) {
        char byte;
        if (*p == '%' && p[1] != '%') {
            if (p[1] == '\0' || !strchr(DIRECTIVES, p[1])) {
                return p;
            }
            self->pieces[self->count++] = (struct piece){.directive = p[1]};
            p += 2;
            continue;
        }
        if (*p == '%') {
            p++;
        }
        if (!cli_read_escaped(&p, &byte)) {
            return p;
        }
        add_byte(self, byte);
    }
    return NULL;
}

struct format *format_new(const char *text, char *why, size_t size)
{
    const size_t most = strlen(text) + 1; /* pieces, and bytes */
    struct format *self = calloc(1, sizeof *self);
    if (self) {
        self->pieces = calloc(most, sizeof *self->pieces);
        self->bytes = malloc(most);
    }
    if (!self || !self->pieces || !self->bytes) {
        (void)snprintf(why, size, "no memory");
        format_destroy(&self);
        return NULL;
    }
    const char *wrong = parse(self, text);
    if (!wrong) {
        return self;
    }
    (void)snprintf(
        why, size, "there is no %.2s (byte %zu of it); want %s", wrong, (size_t)(wrong - text) + 1,
        *wrong == '%' ? "% and one of " DIRECTIVES "%" : "\\n \\t \\r \\0 \\\\ or \\xNN");
    format_destroy(&self);
    return NULL;
}

void format_destroy(struct format **self_p)
{
    struct format *self = *self_p;
    if (self) {
        free(self->pieces);
        free(self->bytes);
        free(self);
        *self_p = NULL;
    }
}

static void write_bytes(zspool_bytes_t bytes, FILE *to)
{
    if (bytes.len > 0) {
        (void)fwrite(bytes.data, 1, bytes.len, to); /* the stream keeps the error */
    }
}

static void write_len(zspool_bytes_t bytes, FILE *to)
{
    if (bytes.data) {
        fprintf(to, "%zu", bytes.len);
    } else {
        fputs("-1", to);
    }
}

static void write_headers(const zspool_message_t *message, FILE *to)
{
    for (size_t i = 0; i < message->header_count; i++) {
        zspool_header_t header;
        if (zspool_message_header(message, i, &header) != 0) {
            return;
        }
        if (i > 0) {
            putc(',', to);
        }
        write_bytes(header.name, to);
        putc('=', to);
        write_bytes(header.value, to);
    }
}

static void write_directive(char directive, const zspool_message_t *message, FILE *to)
{
    switch (directive) {
    case 't':
        fputs(message->topic, to);
        break;
    case 'p':
        fprintf(to, "%" PRIu32, message->partition);
        break;
    case 'o':
        fprintf(to, "%" PRIu64, message->offset);
        break;
    case 'k':
        write_bytes(message->key, to);
        break;
    case 'K':
        write_len(message->key, to);
        break;
    case 's':
        write_bytes(message->payload, to);
        break;
    case 'S':
        write_len(message->payload, to);
        break;
    case 'T':
        fprintf(to, "%" PRId64, message->timestamp_ms);
        break;
    case 'h':
        write_headers(message, to);
        break;
    case 'i':
        write_bytes(message->id, to);
        break;
    case 'y':
        write_bytes(message->type, to);
        break;
    case 'd':
        fprintf(to, "%" PRIu32, message->deliveries);
        break;
    case 'f':
        fprintf(to, "%" PRIu32, message->failures);
        break;
    case 'l':
        fprintf(to, "%" PRIu64, message->lease);
        break;
    case 'P':
        fprintf(to, "%u", (unsigned)message->priority);
        break;
    default: /* parse() lets no other in */
        break;
    }
}

void format_write(const struct format *self, const zspool_message_t *message, FILE *to)
{
    for (size_t i = 0; i < self->count; i++) {
        const struct piece *piece = &self->pieces[i];
        if (piece->directive != 0) {
            write_directive(piece->directive, message, to);
        } else {
            (void)fwrite(self->bytes + piece->first, 1, piece->len, to);
        }
    }
}
