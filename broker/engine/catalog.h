/* SPDX-License-Identifier: MPL-2.0
 *
 * The catalogue: every named object of the broker, and the ids that are never
 * used again. Durable objects have keys whose first byte tells the kind:
 *
 *   'C'                                 the counters (ids taken so far)
 *   'B'                                 broker time
 *   'T' topic id u64                    a topic: name, partitions, settings
 *   'P' producer id u64                 a producer's name and epoch
 *   'Q' topic u64, partition u32, producer u64     sequences of one producer in one partition
 *   'R' topic u64, partition u32        up to where the 'Q' of a partition are complete
 *   'K' producer id u64                 the last commits of a producer, see commit_log.h
 *   'a'..'z'                            all kinds of the group side, see group.h
 *
 * Numbers in keys and values are little-endian (bytes.h). Images come back at
 * start oldest first; because a living object is imaged anew now and then, an
 * entry may come before the image of an object that it names. So entries are
 * only taken in when they are replayed, and brought together afterwards.
 */
#ifndef ZSP_ENGINE_CATALOG_H
#define ZSP_ENGINE_CATALOG_H

#include "broker/engine/base/name_index.h"
#include "broker/store/store.h"
#include "common/table.h"

struct engine;
struct topic;

enum catalog_id { CATALOG_TOPIC_ID, CATALOG_PRODUCER_ID, CATALOG_GROUP_ID, CATALOG_IDS };

struct catalog {
    struct name_index topics;    /* struct topic, LIVE and CREATING and DELETING */
    uint64_t partition_count;    /* of these, with those that are being added */
    struct name_index groups;    /* struct group */
    struct name_index producers; /* struct producer */
    struct zsp_table topic_ids;  /* struct topic by id */
    struct zsp_table producer_ids;
    uint64_t next_id[CATALOG_IDS]; /* the first is 1 */
    uint64_t topic_ids_reserved;   /* ids below are taken, used or not, in the next image */
    uint64_t topic_ids_durable;    /* ids below are so in a durable image */
    uint8_t counters[64];          /* the counters' image, see catalog_counters_entry */
};

/* `what` (the group, the topic) went while its request waited for something; `object` is what that is
 * about. Returns ZSP_ENOT_FOUND. */
int catalog_went_meanwhile(struct zsp_err *err, const char *object, const char *what);

void catalog_init(struct catalog *self, uint64_t seed);
void catalog_fini(struct catalog *self);

/* The next id of a kind. For producers and groups: put catalog_counters_entry() in the same
 * record as the object that got it. */
uint64_t catalog_take_id(struct catalog *self, enum catalog_id kind);
/* The entry that makes the ids taken so far durable. Lent until the next call. */
struct store_entry catalog_counters_entry(struct catalog *self);
/* Take a replayed image of the counters in. Errors: ZSP_ECORRUPT */
int catalog_counters_replay(struct catalog *self, struct zsp_slice value, struct zsp_err *err);

#endif
