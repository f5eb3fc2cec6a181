/* SPDX-License-Identifier: MPL-2.0 */
#include "common/diag.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#define LINE_MAX_BYTES 1024u /* longer lines are cut */

void zsp_diag(const struct zsp_diag *self, enum zsp_level level, const char *format, ...)
{
    if (!self || !self->sink_fn || level < self->least) {
        return;
    }
    char line[LINE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    const int len = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (len < 0) {
        return;
    }
    /* One call is one line: foreign text must not forge a second one. */
    for (char *p = line; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            *p = '?';
        }
    }
    self->sink_fn(self->arg, level, line);
}

const char *zsp_level_name(enum zsp_level level)
{
    switch (level) {
    case ZSP_DEBUG:
        return "debug";
    case ZSP_INFO:
        return "info";
    case ZSP_WARNING:
        return "warning";
    case ZSP_ERROR:
        return "error";
    }
    return "error";
}
