/* SPDX-License-Identifier: MPL-2.0
 *
 * Why a group does not move, and how a message stands in it, in sentences for people.
 */
#ifndef ZSP_CLI_WHY_TEXT_H
#define ZSP_CLI_WHY_TEXT_H

#include "client/cli/cli.h"
#include "client/cli/json.h"
#include <zspool.h>

#define WHY_TEXT_SIZE 640

/* The sentence, without a dot; `now_ms` is wall time. Returns `to`. */
const char *why_text(const zspool_why_t *why, int64_t now_ms, char to[WHY_TEXT_SIZE]);

/* Lines for the group, for partitions with another reason, and for its members. */
void why_print(const zspool_group_info_t *info);
/* The same as "why", "whys" and "member_list". */
void why_json(struct json *json, const zspool_group_info_t *info);
/* What is told of a partition; NULL = nothing of its own. */
const zspool_why_t *why_of(const zspool_group_info_t *info, const zspool_group_part_t *part);

/* Wall time now, ms. */
int64_t why_now_ms(void);
/* How long ago, or how long until, in a few letters: "3m". `to` has 32 bytes. */
const char *why_span(int64_t ms, char *to);

/* `zspool read --trace`. Returns the exit code. */
int trace_run(const struct cli_verb *verb, zspool_client_t *client, const char *group,
              char *address);

#endif
