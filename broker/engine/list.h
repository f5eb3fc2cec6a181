/* SPDX-License-Identifier: MPL-2.0
 *
 * The LIST verbs: names in byte order, a page at a time.
 *   {match?: glob, after?: name, limit = 1000} -> {items: [name], more}
 */
#ifndef ZSP_ENGINE_LIST_H
#define ZSP_ENGINE_LIST_H

#include <stdbool.h>

#include "broker/engine/base/name_index.h"
#include "broker/engine/verb.h"

/* Answer a LIST request from an index. `is_listed_fn` NULL = every object.
 * Errors: those of wire_args */
int list_answer(struct engine *engine, const struct request *request,
                const struct name_index *index, bool (*is_listed_fn)(const void *object),
                struct zsp_err *err);

#endif
