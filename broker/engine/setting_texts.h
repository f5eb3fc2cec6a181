/* SPDX-License-Identifier: MPL-2.0
 *
 * The settings of a group that are told as texts, beside the numbers of group_settings.h:
 *
 *   backoff            delays in ms, divided by commas: "1000,10000,60000"; "" = the backoff grows
 *   dead_letter_topic  see letters.h; "" = none
 *
 * The name of a topic is a buffer with a count of references: whoever makes or keeps settings holds
 * one, and drops it. A copy of the struct has none of its own.
 */
#ifndef ZSP_ENGINE_SETTING_TEXTS_H
#define ZSP_ENGINE_SETTING_TEXTS_H

#include "broker/engine/outcome.h"
#include "common/bytes.h"
#include "common/err.h"
#include "common/wire.h"

#define SETTING_TEXTS 2u

void setting_texts_default(struct group_settings *self);
/* One reference more for a copy of settings; and one less. */
void setting_texts_hold(struct group_settings *self);
void setting_texts_drop(struct group_settings *self);
/* `object` has, or is about to have, the dead letter topic as one of its topics.
 * Returns ZSP_EBAD_VALUE */
int setting_texts_refuse_loop(const char *object, const struct group_settings *settings,
                              struct zsp_err *err);
bool setting_texts_has(struct zsp_slice name);
/* Set the one of that name; nil = to its default.
 * Errors: ZSP_EBAD_TYPE, ZSP_EBAD_VALUE, ZSP_EBAD_NAME, ZSP_ENOMEM (nothing changed) */
int setting_texts_apply(struct zsp_slice name, const msgpack_object *value,
                        struct group_settings *settings, struct zsp_err *err);
/* Write each as a pair of a map. */
void setting_texts_write(struct zsp_writer *out, const struct group_settings *settings);

/* The durable form: how many (u8), then each as a short text. What is not told is at its default.
 * Errors: ZSP_ECORRUPT */
void setting_texts_encode(struct zsp_writer *out, const struct group_settings *settings);
int setting_texts_decode(struct zsp_reader *in, struct group_settings *settings);

#endif
