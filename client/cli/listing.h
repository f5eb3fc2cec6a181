/* SPDX-License-Identifier: MPL-2.0
 *
 * The action `ls` of topics and groups: their names, or with --long a table with a
 * row for each.
 */
#ifndef ZSP_CLI_LISTING_H
#define ZSP_CLI_LISTING_H

#include "client/cli/cli.h"
#include "client/cli/columns.h"

struct listing {
    const char *kind;     /* "topic": what JSON calls a name */
    const char *headings; /* of the table, see columns_init() */
    /* The names that match: zspool_topic_list() ... */
    int (*names_fn)(zspool_client_t *client, const char *match, int timeout_ms,
                    zspool_names_t **ret_names, zspool_error_t *err);
    /* Ask for one of them, then add its row, or with --json print it. Returns 0 or the error. */
    int (*one_fn)(zspool_client_t *client, const char *name, struct columns *columns,
                  zspool_error_t *err);
};

/* List what matches a glob (NULL = all). Returns the exit code. */
int listing_print(const struct listing *self, zspool_client_t *client, const char *match,
                  bool is_long);

#endif
