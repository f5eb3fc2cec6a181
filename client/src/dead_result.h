/* SPDX-License-Identifier: MPL-2.0
 *
 * Replies about dead letters, read into the structs of zspool.h, as result.h does.
 */
#ifndef ZSP_CLIENT_DEAD_RESULT_H
#define ZSP_CLIENT_DEAD_RESULT_H

#include "client/src/result.h"

int zsp_read_dead_list(const struct zsp_answer *answer, void *arg, struct zsp_err *err);
int zsp_read_dead_messages(const struct zsp_answer *answer, void *arg, struct zsp_err *err);
int zsp_read_dead_result(const struct zsp_answer *answer, void *arg, struct zsp_err *err);

#endif
