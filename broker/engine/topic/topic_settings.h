/* SPDX-License-Identifier: MPL-2.0
 *
 * The settings of a topic as the protocol tells them: a map. nil takes a setting back to
 * its default.
 */
#ifndef ZSP_ENGINE_TOPIC_SETTINGS_H
#define ZSP_ENGINE_TOPIC_SETTINGS_H

#include "broker/engine/topic/topic.h"
#include "common/wire.h"

bool topic_settings_are_default(const struct topic_settings *settings);

/* Change what the map names. Errors (nothing changed): ZSP_EUNKNOWN_ARGUMENT, ZSP_EUNSUPPORTED,
 *         ZSP_EBAD_TYPE, ZSP_EBAD_VALUE; each names the setting. */
int topic_settings_apply(const msgpack_object *map, struct topic_settings *settings,
                         struct zsp_err *err);

/* Write the map of the settings that differ from their defaults. */
void topic_settings_write(struct zsp_writer *out, const struct topic_settings *settings);

/* The durable form: how many (u8), then each as u64, in the order of the table. What is not told is
 * at its default, so that a later version may have more. */
void topic_settings_encode(struct zsp_writer *out, const struct topic_settings *settings);
/* Errors: ZSP_ECORRUPT (more of them than are known here, or cut off) */
int topic_settings_decode(struct zsp_reader *in, struct topic_settings *ret);

#endif
