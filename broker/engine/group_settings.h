/* SPDX-License-Identifier: MPL-2.0
 *
 * The settings of a group as the protocol tells them: a map. nil takes a setting back to its
 * default.
 */
#ifndef ZSP_ENGINE_GROUP_SETTINGS_H
#define ZSP_ENGINE_GROUP_SETTINGS_H

#include "broker/engine/group_mode.h"
#include "broker/engine/outcome.h"
#include "common/wire.h"

void group_settings_default(struct group_settings *self);

/* Change what the map names, but for what group_texts.h knows. Errors (nothing changed): ZSP_EUNKNOWN_ARGUMENT, ZSP_EUNSUPPORTED,
 *         ZSP_EBAD_TYPE, ZSP_EBAD_VALUE; each names the setting. */
int group_settings_apply(const msgpack_object *map, struct group_settings *settings,
                         struct zsp_err *err);

/* Do they fit the mode? Errors: ZSP_EBAD_VALUE */
int group_settings_fit(const struct group_settings *settings, enum group_mode mode,
                       struct zsp_err *err);

/* Write the map of all settings, and leave it open for `more` pairs. */
void group_settings_write(struct zsp_writer *out, const struct group_settings *settings,
                          uint32_t more);

/* The durable form: how many (u8), then each as u64, in the order of the table. What is not told is
 * at its default, so that a later version may have more. Those that are texts: setting_texts.h. */
void group_settings_encode(struct zsp_writer *out, const struct group_settings *settings);
/* Errors: ZSP_ECORRUPT (more of them than are known here, or cut off) */
int group_settings_decode(struct zsp_reader *in, struct group_settings *ret);

#endif
