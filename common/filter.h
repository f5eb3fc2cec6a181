/* SPDX-License-Identifier: MPL-2.0
 *
 * Filters: which messages somebody wants, as a line of text.
 *
 *   filter  = all *( "or" all )                  all = one *( "and" one )
 *   one     = [ "not" ] one / "(" filter ")" / term
 *   term    = field ( "=" text / "!=" text / "^=" text / "in" "(" text *( "," text ) ")" / "exists" )
 *   field   = "type" / "key" / "header." name    name = 1*( ALPHA / DIGIT / "_" / "-" / "." ) / text
 *   text    = DQUOTE bytes DQUOTE                with \" \\ \n \t and \xNN
 *
 * for example   type = "order.created" or (header.region in ("eu", "us") and not header.test exists)
 *
 * Values are compared byte by byte; `^=` asks for a beginning. A field that the message does not have is
 * equal to nothing, so that `!=` is true of it. There are no numbers: everything is bytes.
 *
 * A filter is made once, and then evaluated without memory: bounded terms, and one walk over the
 * headers for all of them.
 */
#ifndef ZSP_FILTER_H
#define ZSP_FILTER_H

#include <stdbool.h>

#include "common/bytes.h"
#include "common/err.h"
#include "common/record.h"

#define ZSP_FILTER_MAX       4096u /* bytes of its text */
#define ZSP_FILTER_TERMS_MAX 64u
#define ZSP_FILTER_TEXTS_MAX 256u /* that fields are compared with */
#define ZSP_FILTER_DEPTH_MAX 16u  /* parentheses and `not`s inside each other */

struct zsp_filter;

/* Errors: ZSP_EBAD_VALUE   with the position, what was wanted there and what was found
 *         ZSP_ENOMEM */
ZSP_MUST_CHECK int zsp_filter_new(struct zsp_slice text, struct zsp_filter **ret,
                                  struct zsp_err *err);
void zsp_filter_destroy(struct zsp_filter **self_p);
/* As it was given. */
struct zsp_slice zsp_filter_text(const struct zsp_filter *self);
bool zsp_filter_matches(const struct zsp_filter *self, const struct zsp_record *record);

#endif
