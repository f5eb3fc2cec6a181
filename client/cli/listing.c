/* SPDX-License-Identifier: MPL-2.0 */
#include "client/cli/listing.h"

#include <stdio.h>

#include "client/cli/json.h"

static void print_names(const struct listing *self, const zspool_names_t *names)
{
    for (size_t i = 0; i < names->count; i++) {
        if (cli_common.json) {
            struct json json = json_begin();
            json_text(&json, self->kind, names->items[i]);
            json_end(&json);
        } else {
            printf("%s\n", names->items[i]);
        }
    }
}

static int print_table(const struct listing *self, zspool_client_t *client,
                       const zspool_names_t *names)
{
    zspool_error_t err = {0};
    struct columns columns;
    int rc = 0;
    columns_init(&columns, self->headings);
    for (size_t i = 0; i < names->count && rc == 0 && !cli_stopped(); i++) {
        rc = self->one_fn(client, names->items[i], &columns, &err);
        if (rc == ZSPOOL_ENOT_FOUND) {
            rc = 0; /* deleted meanwhile */
        }
    }
    int code = rc == 0 ? CLI_OK : cli_fail(&err);
    if (code == CLI_OK && !cli_common.json && !columns_print(&columns)) {
        code = CLI_ERROR;
    }
    columns_fini(&columns);
    return code;
}

int listing_print(const struct listing *self, zspool_client_t *client, const char *match,
                  bool is_long)
{
    zspool_error_t err = {0};
    zspool_names_t *names;
    int code = CLI_OK;
    if (self->names_fn(client, match, cli_timeout(), &names, &err) != 0) {
        return cli_fail(&err);
    }
    if (is_long) {
        code = print_table(self, client, names);
    } else {
        print_names(self, names);
    }
    zspool_free(names);
    return code;
}
