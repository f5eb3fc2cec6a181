/* SPDX-License-Identifier: MPL-2.0
 *
 * Why a run that takes messages for a group ended without any: said to people, and the exit code.
 */
#ifndef ZSP_CLI_NOTHING_H
#define ZSP_CLI_NOTHING_H

#include "client/cli/cli.h"
#include <zspool.h>

/* Ask the broker why `group` had nothing of these topics and patterns, and tell it: a topic that is not
 * there as an error, the rest as a remark. CLI_NOT_FOUND when none of the topics exists, else
 * CLI_TIMEOUT; also when the broker does not answer, which is told. */
int nothing_for_group(zspool_client_t *client, const char *group, const char *const *topics,
                      size_t topic_count);

#endif
