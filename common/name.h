/* SPDX-License-Identifier: MPL-2.0
 *
 * What a legal topic, group, producer or client name is: one rule, used by
 * both sides: [A-Za-z0-9_-][A-Za-z0-9._-]{0,199}.
 */
#ifndef ZSP_NAME_H
#define ZSP_NAME_H

#include <stdbool.h>

#include "common/bytes.h"
#include "common/err.h"

bool zsp_name_valid(struct zsp_slice name);

/* Check a name. `what` names its role in the message ("topic"). Foreign bytes
 * are shown escaped and cut.
 *
 * Errors: ZSP_EBAD_NAME  with the first offending position, or the length
 */
int zsp_name_check(const char *what, struct zsp_slice name, struct zsp_err *err);

/* Does it have a `*` or a `?`, so that it stands for topics rather than being one? */
bool zsp_name_is_pattern(struct zsp_slice name);
/* A legal name, or a pattern: the same characters and `*` and `?`. */
bool zsp_pattern_valid(struct zsp_slice pattern);
/* Check either, as zsp_name_check(). Errors: ZSP_EBAD_NAME */
int zsp_pattern_check(const char *what, struct zsp_slice pattern, struct zsp_err *err);

/* Glob match with `*` and `?` over bytes, no character classes; linear memory,
 * no recursion, so that a hostile pattern costs at most pattern x name steps. */
bool zsp_name_match(struct zsp_slice pattern, struct zsp_slice name);

#endif
