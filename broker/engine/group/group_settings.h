/* SPDX-License-Identifier: MPL-2.0
 *
 * The settings of a group, and how the protocol tells them: a map. nil takes a setting back to its
 * default. Most groups leave all at their defaults and keep none, see group_rules.h.
 */
#ifndef ZSP_ENGINE_GROUP_SETTINGS_H
#define ZSP_ENGINE_GROUP_SETTINGS_H

#include "broker/engine/group/group_mode.h"
#include "broker/engine/group/setting_texts.h"
#include "common/wire.h"

struct group_settings {
    uint64_t lease_ms;
    uint64_t max_leased;     /* messages out at once */
    uint64_t max_failures;   /* then dead; 0 = never */
    uint64_t backoff_ms;     /* before the first retry; */
    uint64_t backoff_factor; /* so many times the one before with each failure, */
    uint64_t backoff_max_ms; /* up to here */
    uint64_t backoff_jitter; /* per cent of a delay that are drawn and come on top */
    uint64_t on_dead;        /* enum on_dead; of ordered and keyed groups */
    uint64_t expired;        /* enum on_expired */
    uint64_t priority;       /* enum on_priority */
    uint64_t look_ahead;     /* of keyed groups: messages past the first unfinished one */

    uint64_t dead_retention_ms;    /* so long retention passes by no dead message; 0 = at all */
    uint64_t dead_retention_bytes; /* nor keeps more of a partition for it; 0 = any */
    struct setting_texts texts;
};

/* What becomes of messages whose time to live is over. */
enum on_expired {
    EXPIRED_DROP, /* they are done, and counted */
    EXPIRED_DEAD
};

/* What a dead message does to what its group's order puts behind it. */
enum on_dead {
    ON_DEAD_SKIP, /* nothing: it counts as done */
    ON_DEAD_HOLD  /* keeps it back */
};

/* Who comes before whom. */
enum on_priority {
    PRIORITY_STRICT,  /* the most urgent, as long as there are any */
    PRIORITY_WEIGHTED /* the less urgent have turns, see pull_take.h */
};

/* All at their defaults. */
extern const struct group_settings group_settings_default;
bool group_settings_are_default(const struct group_settings *self);

/* Change what the map names. Errors (nothing changed): ZSP_EUNKNOWN_ARGUMENT, ZSP_EUNSUPPORTED,
 *         ZSP_EBAD_TYPE, ZSP_EBAD_VALUE; each names the setting. */
int group_settings_apply(const msgpack_object *map, struct group_settings *settings,
                         struct zsp_err *err);

/* Do they fit the mode? Errors: ZSP_EBAD_VALUE */
int group_settings_fit(const struct group_settings *settings, enum group_mode mode,
                       struct zsp_err *err);

/* Write the map of all settings. */
void group_settings_write(struct zsp_writer *out, const struct group_settings *settings);

/* The durable form: how many (u8), then each as u64, in the order of the table. What is not told is
 * at its default, so that a later version may have more. Those that are texts: setting_texts.h. */
void group_settings_encode(struct zsp_writer *out, const struct group_settings *settings);
/* Errors: ZSP_ECORRUPT (more of them than are known here, or cut off) */
int group_settings_decode(struct zsp_reader *in, struct group_settings *ret);

#endif
