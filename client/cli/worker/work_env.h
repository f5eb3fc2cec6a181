/* SPDX-License-Identifier: MPL-2.0
 *
 * The environment of a command that works on a message: ours, with the message's
 * parts in variables of their own.
 *
 *   ZSPOOL_SERVER ZSPOOL_GROUP ZSPOOL_TOPIC ZSPOOL_PARTITION ZSPOOL_OFFSET
 *   ZSPOOL_TIMESTAMP ZSPOOL_PRIORITY ZSPOOL_DELIVERIES ZSPOOL_FAILURES
 *   ZSPOOL_KEY ZSPOOL_TYPE ZSPOOL_ID    unset when the message has none
 *   ZSPOOL_HEADER_name                  each header whose name is letters, digits and _
 *   ZSPOOL_OMITTED                      names of parts and headers that do not fit in here
 *
 * What comes from a message may be hostile: a value with a NUL byte, one longer
 * than 32 KiB, or what goes beyond 256 KiB and 300 variables in all, is left out
 * and named in ZSPOOL_OMITTED. Variables of these names that we inherited do not
 * reach the command.
 */
#ifndef ZSP_CLI_WORK_ENV_H
#define ZSP_CLI_WORK_ENV_H

#include <stdbool.h>
#include <zspool.h>

struct work_env;

/* `environ` and the strings in it are borrowed until work_env_destroy(). NULL = no memory. */
struct work_env *work_env_new(char *const *environ, const char *server, const char *group);
void work_env_destroy(struct work_env **self_p);

/* The environment for a message, for execve(): lent until the next call. NULL = no memory. */
char *const *work_env_of(struct work_env *self, const zspool_message_t *message);

#endif
