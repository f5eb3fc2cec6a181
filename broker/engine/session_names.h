/* SPDX-License-Identifier: MPL-2.0
 *
 * What sessions call themselves (the `name` of HELLO), for people who look for who has a message.
 */
#ifndef ZSP_ENGINE_SESSION_NAMES_H
#define ZSP_ENGINE_SESSION_NAMES_H

#include "common/bytes.h"
#include "common/table.h"

struct session_names {
    struct zsp_table by_session;
};

void session_names_init(struct session_names *self, uint64_t seed);
void session_names_fini(struct session_names *self);

/* Remember a legal name; one more HELLO of the session replaces it. Nothing happens when there is no
 * memory: it is for people. */
void session_names_set(struct session_names *self, uint64_t session, struct zsp_slice name);
void session_names_forget(struct session_names *self, uint64_t session);
/* data NULL = it has none. Lent until it is set or forgotten. */
struct zsp_slice session_names_find(const struct session_names *self, uint64_t session);

#endif
