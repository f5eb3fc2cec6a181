/* SPDX-License-Identifier: MPL-2.0
 *
 * Replies to administrative requests, read into the structs of zspool.h. Each
 * function is a zsp_call_read_fn; its `arg` is a struct zsp_result.
 */
#ifndef ZSP_CLIENT_RESULT_H
#define ZSP_CLIENT_RESULT_H

#include "client/src/base/arena.h"
#include "client/src/client_call.h"

struct zsp_result {
    struct zsp_arena *arena; /* made by the reading function; whoever called owns it */
    const char *name;        /* of what was asked about, where the reply does not tell */
};

int zsp_read_topic_info(const struct zsp_answer *answer, void *arg, struct zsp_err *err);
int zsp_read_group_info(const struct zsp_answer *answer, void *arg, struct zsp_err *err);
int zsp_read_seek(const struct zsp_answer *answer, void *arg, struct zsp_err *err);
int zsp_read_purge(const struct zsp_answer *answer, void *arg, struct zsp_err *err);
int zsp_read_savepoints(const struct zsp_answer *answer, void *arg, struct zsp_err *err);
int zsp_read_restore(const struct zsp_answer *answer, void *arg, struct zsp_err *err);
int zsp_read_producer_info(const struct zsp_answer *answer, void *arg, struct zsp_err *err);
int zsp_read_stats(const struct zsp_answer *answer, void *arg, struct zsp_err *err);
int zsp_read_reply(const struct zsp_answer *answer, void *arg, struct zsp_err *err);

/* A LIST reply: `arg` is a struct zsp_listing, which gathers page after page. */
struct zsp_listing {
    const char *key; /* the name's key when items are maps: "topic" or "group" */
    char **items;
    size_t count, capacity;
    bool more;
};
int zsp_read_listing(const struct zsp_answer *answer, void *arg, struct zsp_err *err);
void zsp_listing_fini(struct zsp_listing *self);

/* The text of a reply's value, or of nothing: {NULL, 0}. */
struct zsp_slice zsp_reply_text(const msgpack_object *map, const char *key);
/* The number of a reply's value, `fallback` if it is not there or not a number. */
uint64_t zsp_reply_uint(const msgpack_object *map, const char *key, uint64_t fallback);
/* Is the reply's value there and true? */
bool zsp_reply_bool(const msgpack_object *map, const char *key);
/* The array of that key; NULL if it is not there or not an array. */
const msgpack_object_array *zsp_reply_array(const msgpack_object *map, const char *key);
/* `count` numbers of an array, from element `first` on. False: they are not there, or no numbers. */
bool zsp_reply_numbers(const msgpack_object *row, uint32_t first, uint64_t *ret, uint32_t count);

#endif
