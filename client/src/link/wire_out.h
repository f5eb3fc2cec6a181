/* SPDX-License-Identifier: MPL-2.0
 *
 * The public types of zspool.h as they go over the wire.
 */
#ifndef ZSP_CLIENT_WIRE_OUT_H
#define ZSP_CLIENT_WIRE_OUT_H

#include <zspool.h>

#include "common/bytes.h"
#include "common/err.h"

#define ZSP_MODE_LEN_MAX     31u   /* the longest name of a group mode that we send */
#define ZSP_VERB_LEN_MAX     63u   /* bytes */
#define ZSP_MATCH_LEN_MAX    255u  /* a glob */
#define ZSP_SETTINGS_MAX     64u   /* in one request; there are not half as many */
#define ZSP_SETTING_NAME_MAX 63u   /* bytes */
#define ZSP_SETTING_TEXT_MAX 4096u /* bytes */

/* Is the kind one that exists? NONE is fine. Errors: ZSP_EINVAL */
int zsp_position_check(const zspool_position_t *position, struct zsp_err *err);
/* The position's value; NONE must not get here. */
void zsp_write_position(struct zsp_writer *out, const zspool_position_t *position);

/* Can these be sent? Errors: ZSP_EINVAL */
int zsp_settings_check(const zspool_figure_t *settings, size_t count, struct zsp_err *err);
/* The pair "settings": {...}; nothing when count is 0. */
void zsp_write_settings(struct zsp_writer *out, const zspool_figure_t *settings, size_t count);
/* The pair "topics": [...]. */
void zsp_write_topics(struct zsp_writer *out, const char *const *topics, size_t count);

/* `accept`, key and value: the codecs in which messages may come. */
void zsp_write_accept(struct zsp_writer *out);

#endif
