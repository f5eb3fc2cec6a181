/* SPDX-License-Identifier: MPL-2.0
 *
 * Why a group does not move, and how a message stands in it, read into the structs of zspool.h.
 */
#ifndef ZSP_CLIENT_WHY_RESULT_H
#define ZSP_CLIENT_WHY_RESULT_H

#include "client/src/result.h"
#include <zspool.h>

/* What a GROUP.INFO tells of it; older brokers tell nothing. Memory that runs out is found in the
 * arena. */
void zsp_read_why(struct zsp_arena *arena, const msgpack_object *map, zspool_group_info_t *info);
/* A zsp_call_read_fn, as those of result.h. */
int zsp_read_trace(const struct zsp_answer *answer, void *arg, struct zsp_err *err);

#endif
