/* SPDX-License-Identifier: MPL-2.0
 *
 * The settings of a topic as the protocol tells them: a map. nil takes a setting back to
 * its default.
 */
#ifndef ZSP_ENGINE_TOPIC_SETTINGS_H
#define ZSP_ENGINE_TOPIC_SETTINGS_H

#include "broker/engine/topic.h"
#include "common/wire.h"

/* Change what the map names. Errors (nothing changed): ZSP_EUNKNOWN_ARGUMENT, ZSP_EUNSUPPORTED,
 *         ZSP_EBAD_TYPE, ZSP_EBAD_VALUE; each names the setting. */
int topic_settings_apply(const msgpack_object *map, struct topic_settings *settings,
                         struct zsp_err *err);

/* Write the map of the settings that differ from their defaults. */
void topic_settings_write(struct zsp_writer *out, const struct topic_settings *settings);

#endif
