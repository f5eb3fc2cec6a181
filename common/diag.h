/* SPDX-License-Identifier: MPL-2.0
 *
 * Diagnostic lines for operators, through a sink that the host replaces.
 * Nothing else in zspool prints, except main programs. The sink hangs off an
 * object that is handed down, so there is no global; NULL drops every line.
 */
#ifndef ZSP_DIAG_H
#define ZSP_DIAG_H

#include "common/compiler.h"

enum zsp_level { ZSP_DEBUG, ZSP_INFO, ZSP_WARNING, ZSP_ERROR };

struct zsp_diag {
    /* One line without a newline, NUL-terminated, valid for the call. Must be
     * callable from every thread that the owner of the object uses. */
    void (*sink_fn)(void *arg, enum zsp_level level, const char *line);
    void *arg;
    enum zsp_level least; /* lines below are not formatted */
};

void zsp_diag(const struct zsp_diag *self, enum zsp_level level, const char *format, ...)
    ZSP_PRINTF(3, 4);

/* "debug", "info", "warning" or "error". */
const char *zsp_level_name(enum zsp_level level);

#endif
