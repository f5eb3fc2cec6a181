/* SPDX-License-Identifier: MPL-2.0
 *
 * The verbs of the command, one file cmd_NAME.c each.
 */
#ifndef ZSP_CLI_VERBS_H
#define ZSP_CLI_VERBS_H

#include "client/cli/cli.h"

extern const struct cli_verb cli_pub;
extern const struct cli_verb cli_pull;
extern const struct cli_verb cli_read;
extern const struct cli_verb cli_settle;
extern const struct cli_verb cli_topic;
extern const struct cli_verb cli_group;
extern const struct cli_verb cli_savepoint;
extern const struct cli_verb cli_dead;
extern const struct cli_verb cli_producer;
extern const struct cli_verb cli_ping;
extern const struct cli_verb cli_info;
extern const struct cli_verb cli_stat;
extern const struct cli_verb cli_work;
extern const struct cli_verb cli_bench;
extern const struct cli_verb cli_fsck;
extern const struct cli_verb cli_dump;

#endif
