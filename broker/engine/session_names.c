/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/session_names.h"

#include <stdlib.h>
#include <string.h>

struct session_name {
    uint8_t key[8]; /* session */
    size_t len;
    uint8_t bytes[];
};

static struct zsp_slice key_of(const uint8_t *key)
{
    return (struct zsp_slice){key, 8};
}

static struct session_name *find(const struct session_names *self, uint64_t session)
{
    uint8_t key[8];
    zsp_put_u64(key, session);
    return zsp_table_find(&self->by_session, key_of(key));
}

void session_names_init(struct session_names *self, uint64_t seed)
{
    zsp_table_init(&self->by_session, seed);
}

void session_names_fini(struct session_names *self)
{
    size_t cursor = 0;
    void *name = NULL;
    while ((name = zsp_table_next(&self->by_session, &cursor))) {
        free(name);
    }
    zsp_table_fini(&self->by_session);
}

void session_names_forget(struct session_names *self, uint64_t session)
{
    struct session_name *const name = find(self, session);
    if (name) {
        (void)zsp_table_remove(&self->by_session, key_of(name->key));
        free(name);
    }
}

void session_names_set(struct session_names *self, uint64_t session, struct zsp_slice name)
{
    session_names_forget(self, session);
    struct session_name *const made = name.data ? malloc(sizeof *made + name.len) : NULL;
    if (!made) {
        return;
    }
    zsp_put_u64(made->key, session);
    made->len = name.len;
    memcpy(made->bytes, name.data, name.len);
    if (zsp_table_add(&self->by_session, key_of(made->key), made) < 0) {
        free(made);
    }
}

struct zsp_slice session_names_find(const struct session_names *self, uint64_t session)
{
    const struct session_name *const name = find(self, session);
    return name ? (struct zsp_slice){name->bytes, name->len} : (struct zsp_slice){0};
}
