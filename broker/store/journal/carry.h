/* SPDX-License-Identifier: MPL-2.0
 *
 * Carry-forward: which object's last image lies in which journal file, and the
 * slow copying of old images to the end, so that the oldest file can go.
 *
 *   - Every live object is in a list by the record of its last image.
 *   - When the journal is larger than max(journal_bytes_min, 3 x live images), objects whose
 *     image lies in the oldest file are imaged anew: the store's own at once, the
 *     engine's by STORE_IMAGE_WANTED; 2 bytes per byte appended, at most 256 KiB a turn.
 *   - When no live object has its image there, and no segment waits to be synced for what it
 *     holds of it (redo.h), the fact "oldest file = next" is put and
 *     synced (and with it everything before), then the file is unlinked.
 *
 * An object that is gone needs nothing carried: whatever was known of it lies in
 * files not younger than the record that ended it.
 */
#ifndef ZSP_STORE_CARRY_H
#define ZSP_STORE_CARRY_H

#include <sys/queue.h>

#include "broker/store/journal/fact.h"
#include "broker/store/store.h"
#include "common/limits.h"
#include "common/table.h"

struct log_store;

/* What is known of one live object. */
struct carry_object {
    TAILQ_ENTRY(carry_object) link;
    uint64_t image_record;
    uint32_t image_bytes;  /* of the entry of its last image */
    uint32_t wanted_until; /* STORE_IMAGE_WANTED was told, and is not again until then: in whole
                            * seconds of the monotonic clock; 0 = it was not */
    uint16_t key_len : 15;
    bool asked : 1;  /* own, at a start: somebody opened what it speaks of */
    uint8_t bytes[]; /* the key, and of the store's own the value; they live as long as the
                      * object is in the table */
};

_Static_assert(ZSP_STATE_KEY_MAX <= UINT16_MAX / 2, "a key's length fits");
_Static_assert(ZSP_JOURNAL_RECORD_MAX < UINT32_MAX / 2, "an image's bytes fit");

struct carry {
    struct zsp_table table;             /* key -> object; only for look-ups */
    TAILQ_HEAD(, carry_object) objects; /* by record of the last image */
    uint64_t live_bytes;                /* of all last images */
    int64_t budget;                     /* bytes that may be carried now */
    bool dropping;                      /* the oldest file is on its way out */
};

void carry_init(struct carry *self, uint64_t seed);
void carry_fini(struct carry *self);

/* A record with this entry was put (or replayed) under this number.
 * Errors: ZSP_ENOMEM */
int carry_note(struct carry *self, const struct store_entry *entry, uint64_t record);
/* The object of a key, NULL if it is not live. */
struct carry_object *carry_find(const struct carry *self, struct zsp_slice key);
struct zsp_slice carry_key(const struct carry_object *object);
/* Of the store's own objects; empty when it is too long to be one of ours. */
struct zsp_slice carry_value(const struct carry_object *object);

/* The number that an own object holds; *ret stays as it is when there is no such object. False =
 * its value is malformed. */
bool carry_number(const struct carry *self, const struct fact *key, uint64_t *ret);
/* Is the topic being removed? */
bool carry_is_dropping(const struct carry *self, uint64_t topic_id);

/* Bytes of records were written: so much more may be carried. */
void carry_earn(struct carry *self, uint64_t bytes);
/* The size up to which the journal is fine as it is. */
uint64_t carry_fine_bytes(const struct log_store *store);
/* Is the journal larger than it need be? Then its oldest file, whose records are below *ret_end,
 * is to go. */
bool carry_wants_room(const struct log_store *store, uint64_t *ret_end);
/* Carry a little, or let the oldest file go, if there is reason to. */
void carry_step(struct log_store *store);
/* When carry_step() wants to be called by time. */
int64_t carry_deadline_ms(const struct log_store *store);

#endif
