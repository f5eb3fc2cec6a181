/* SPDX-License-Identifier: MPL-2.0
 *
 * The settings of a group that are texts, beside the numbers of group_settings.h:
 *
 *   backoff            delays in ms, divided by commas: "1000,10000,60000"; "" = the backoff grows
 *   dead_letter_topic  see letters.h; "" = none
 *   filter             which messages the group takes, see group_rules.h
 *   fair_by            who takes turns, see fair.h
 *
 * A text that is there is good: it was looked at when it was set. Each is a buffer with a count of
 * references: whoever makes or keeps settings holds one, and drops it. A copy of the struct has none
 * of its own.
 */
#ifndef ZSP_ENGINE_SETTING_TEXTS_H
#define ZSP_ENGINE_SETTING_TEXTS_H

#include <msgpack.h>
#include <stdbool.h>

#include "common/buf.h"
#include "common/bytes.h"
#include "common/err.h"

enum setting_text {
    TEXT_BACKOFF,
    TEXT_DEAD_LETTER_TOPIC,
    TEXT_FILTER,
    TEXT_FAIR_BY,
    SETTING_TEXTS
};

struct setting_texts {
    struct zsp_buf *of[SETTING_TEXTS]; /* NULL = not set */
};

/* One reference more for a copy of them; and one less. */
void setting_texts_hold(struct setting_texts *self);
void setting_texts_drop(struct setting_texts *self);
bool setting_texts_any(const struct setting_texts *self);
/* Without data when it is not set. */
struct zsp_slice setting_text(const struct setting_texts *self, enum setting_text which);

bool setting_texts_has(struct zsp_slice name);
/* Set the one of that name; nil = to its default.
 * Errors: ZSP_EBAD_TYPE, ZSP_EBAD_VALUE, ZSP_EBAD_NAME, ZSP_ENOMEM (nothing changed) */
int setting_texts_apply(struct zsp_slice name, const msgpack_object *value,
                        struct setting_texts *self, struct zsp_err *err);
/* `object` has, or is about to have, the dead letter topic as one of its topics.
 * Returns ZSP_EBAD_VALUE */
int setting_texts_refuse_loop(const char *object, const struct setting_texts *self,
                              struct zsp_err *err);
/* The delay before the retry after `failures` failures (>= 1). False = there is no backoff. */
bool setting_texts_delay(const struct setting_texts *self, uint32_t failures, uint64_t *ret_ms);

/* So many pairs of a map; and write them. */
uint32_t setting_texts_told(const struct setting_texts *self);
void setting_texts_write(struct zsp_writer *out, const struct setting_texts *self);

/* The durable form has two lists. The first: how many (u8), then backoff and dead_letter_topic as short
 * texts. The rules: how many (u8), then each as what it is (u8, 1 filter, 2 fair_by) and a short
 * text. What is not told is at its default. Errors: ZSP_ECORRUPT, ZSP_ENOMEM */
void setting_texts_encode(struct zsp_writer *out, const struct setting_texts *self);
int setting_texts_decode(struct zsp_reader *in, struct setting_texts *self);
void setting_texts_encode_rules(struct zsp_writer *out, const struct setting_texts *self);
int setting_texts_decode_rules(struct zsp_reader *in, struct setting_texts *self);

#endif
