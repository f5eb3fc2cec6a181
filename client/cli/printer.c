/* SPDX-License-Identifier: MPL-2.0 */
#include "client/cli/printer.h"

#include <stdio.h>
#include <stdlib.h>

#include "client/cli/cli.h"
#include "client/cli/format.h"
#include "client/cli/json.h"

#define BURST_BYTES (256u * 1024u) /* a burst ends when it has so many; one message always fits */

struct printer {
    struct format *format; /* NULL = payload lines, or JSON */
    FILE *page;            /* a stream into `bytes` */
    char *bytes;           /* of the burst; valid after a flush of the page */
    size_t len;
    size_t ends[PRINTER_BURST]; /* where each message ends in the page */
    size_t count;
};

struct printer *printer_new(const struct cli_verb *verb, const char *format, int *ret_exit)
{
    char why[160];
    if (format && cli_common.json) {
        *ret_exit = cli_usage(verb, "--format and --json exclude each other");
        return NULL;
    }
    struct printer *self = calloc(1, sizeof *self);
    if (self && format) {
        self->format = format_new(format, why, sizeof why);
        if (!self->format) {
            *ret_exit = cli_usage(verb, "--format: %s", why);
            printer_destroy(&self);
            return NULL;
        }
    }
    if (self) {
        self->page = open_memstream(&self->bytes, &self->len);
    }
    if (!self || !self->page) {
        cli_say("no memory");
        *ret_exit = CLI_ERROR;
        printer_destroy(&self);
    }
    return self;
}

void printer_destroy(struct printer **self_p)
{
    struct printer *self = *self_p;
    if (!self) {
        return;
    }
    if (self->page) {
        (void)fclose(self->page); /* memory: nothing can be lost */
    }
    format_destroy(&self->format);
    free(self->bytes);
    free(self);
    *self_p = NULL;
}

void printer_put(struct printer *self, const zspool_message_t *message)
{
    if (self->format) {
        format_write(self->format, message, self->page);
    } else if (cli_common.json) {
        json_message(self->page, message);
    } else {
        (void)fwrite(message->payload.data, 1, message->payload.len, self->page);
        putc('\n', self->page);
    }
    self->ends[self->count++] = (size_t)ftello(self->page);
}

bool printer_is_full(const struct printer *self)
{
    return self->count == PRINTER_BURST ||
           (self->count > 0 && self->ends[self->count - 1] >= BURST_BYTES);
}

size_t printer_flush(struct printer *self)
{
    const size_t count = self->count;
    self->count = 0;
    if (count == 0) {
        return 0;
    }
    if (fflush(self->page) != 0 || ferror(self->page) != 0) {
        cli_say("no memory for %zu message(s)", count);
        return 0;
    }
    const size_t wrote = cli_write_out(self->bytes, self->ends[count - 1]);
    size_t left = 0;
    while (left < count && self->ends[left] <= wrote) {
        left++;
    }
    if (fseeko(self->page, 0, SEEK_SET) != 0) {
        cli_say("cannot print any more");
        return 0;
    }
    return left;
}
