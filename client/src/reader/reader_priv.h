/* SPDX-License-Identifier: MPL-2.0
 *
 * A reader: one shelf per partition, each read ahead by READ requests; messages
 * are taken from the shelf whose next one is the oldest.
 *   reader.c        the public functions: which message comes next, and what is in hand
 *   reader_fetch.c  requests: the partitions, and the shelves filled
 *   reader_places.c where it is in each partition
 *
 * All of it is used with the link locked, except the message lent to the host and what is in hand:
 * the run it is of, to its last message but one. All of a run have one time, so nothing is to be
 * chosen before its end. Meanwhile the first parcel of that shelf belongs to the thread that reads;
 * others look at its run and its neighbours only.
 */
#ifndef ZSP_CLIENT_READER_PRIV_H
#define ZSP_CLIENT_READER_PRIV_H

#include "client/src/base/halt.h"
#include "client/src/client_priv.h"
#include "client/src/link/wire_out.h"
#include "client/src/parcel.h"
#include "common/limits.h"

struct zsp_shelf {
    struct zspool_reader *reader;
    uint32_t partition;
    bool is_later; /* the topic got it while we followed: it is read from its beginning */
    struct zsp_request request;
    struct zsp_writer args;
    bool out;
    int64_t at_ms;  /* not before, after a refusal that passes */
    bool begun;     /* next_offset is known */
    bool placed;    /* so it is before that: by a place that the host gave */
    bool finished;  /* nothing will come any more */
    bool caught_up; /* the last reply held all there was */
    bool
        overtaken; /* by retention, and the host knows: next_offset is no more, go on at the start */
    uint64_t next_offset;
    zspool_position_t to; /* pinned when begun */
    struct zsp_parcel_list parcels;
    uint32_t parcel_count;
    size_t bytes; /* of them */
};

struct zspool_reader {
    struct zspool_client *client;
    struct zsp_port port;
    struct zsp_ready ready;
    zspool_reader_options_t options; /* defaults filled in; topic unset */
    char topic[ZSP_NAME_MAX + 1];
    char *filter;                  /* NULL = all */
    zspool_reader_place_t *places; /* to begin at; NULL = at options.from */
    size_t place_count;
    struct zsp_parcel_owner parcels;
    bool positions_fixed; /* `ago` became a time */
    struct zsp_request info;
    struct zsp_writer info_args;
    bool info_out;
    int64_t info_at_ms;
    struct zsp_shelf **shelves; /* by partition, each a block of its own: requests point to it */
    uint32_t shelf_count;
    struct zsp_shelf *current;             /* the one chosen last; NULL = look anew */
    const struct zsp_shelf *others_oldest; /* of the other shelves; NULL = they have nothing */
    struct zsp_halt halt;
    struct zsp_shelf *behind; /* overtaken, as `halt` tells; NULL = it tells another thing */
    bool unwanted;            /* the host is not to be woken, see zspool_reader_want() */
    bool end_told;            /* the host knows of the end: no reason to wake it again */

    /* Of the thread that reads, not locked. */
    zspool_message_t view;
    struct zsp_parcel *lent; /* holds the bytes of `view`, off its shelf */
    struct zsp_shelf *hand;  /* with hand_count: what is in hand is the head of this one */
    uint64_t hand_count;     /* so many messages */
};

/* --- reader.c, locked --- */

void zsp_reader_update_ready(struct zspool_reader *self);

/* --- reader_fetch.c, locked --- */

/* Have shelves for partitions `first` to before `end`, behind those there are. Errors: ZSP_ENOMEM
 * (nothing changed) */
int zsp_reader_add_shelves(struct zspool_reader *self, uint32_t first, uint32_t end);
/* pump_fn of the reader's port. */
void zsp_reader_pump(struct zsp_port *port, int64_t now_ms);

/* --- reader_places.c --- */

/* Keep the places of the options. Errors: ZSP_EINVAL, ZSP_ENOMEM */
int zsp_reader_take_places(struct zspool_reader *self, struct zsp_err *err);
/* Can they be, by the rows of TOPIC.INFO? Errors: ZSP_ENOT_FOUND, ZSP_EOUT_OF_RANGE (beyond the end) */
int zsp_reader_check_places(const struct zspool_reader *self, const msgpack_object_array *rows,
                            struct zsp_err *err);
/* The shelves of all partitions to be read are new: have them begin at the places. Locked. */
void zsp_reader_place_shelves(struct zspool_reader *self);

#endif
