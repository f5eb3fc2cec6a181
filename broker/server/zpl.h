/* SPDX-License-Identifier: MPL-2.0
 *
 * ZPL text (ZeroMQ RFC 4, the format of czmq's zconfig) as a flat walk over its
 * settings, each with its line number. Two levels only: a section at the left
 * margin, its settings indented by four spaces:
 *
 *     section
 *         key = value          # comment
 *         other = "quoted # value"
 *
 * Stricter than zconfig, which reads every text that passes here in the same
 * way: it keeps no line numbers and reports on stdout.
 */
#ifndef ZSP_SERVER_ZPL_H
#define ZSP_SERVER_ZPL_H

#include "common/bytes.h"
#include "common/err.h"

#define ZPL_TEXT_MAX (256u * 1024u) /* a configuration is written by people */
#define ZPL_LINE_MAX 1023u          /* bytes of one line; zconfig's own buffer is 1024 */
#define ZPL_NAME_MAX 63u            /* bytes of a section's or key's name */

/* One `key = value` line. */
struct zpl_setting {
    const char *section; /* NUL-terminated, valid for the call */
    const char *key;     /* likewise */
    const char *value;   /* likewise; "" when empty */
    unsigned line;       /* from 1 */
};

/* Tells one setting; a nonzero return ends the walk and is returned. */
typedef int (*zpl_setting_fn)(void *arg, const struct zpl_setting *setting, struct zsp_err *err);

/* Call `setting_fn` for each setting in the order of the text. `file` names the
 * text in messages, which begin "file:line: " (those of setting_fn as well).
 *
 * Errors: ZSP_EBAD_CONFIG  bad syntax, bytes that are not text, too long
 */
int zpl_walk(const char *file, struct zsp_slice text, zpl_setting_fn setting_fn, void *arg,
             struct zsp_err *err);

#endif
