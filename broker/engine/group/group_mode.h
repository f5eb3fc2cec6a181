/* SPDX-License-Identifier: MPL-2.0
 *
 * The modes of groups: who gets a message, and what order holds.
 */
#ifndef ZSP_ENGINE_GROUP_MODE_H
#define ZSP_ENGINE_GROUP_MODE_H

#include <stdbool.h>

#include "common/bytes.h"

/* As stored in a group's image; never renumber. */
enum group_mode {
    GROUP_SHARED,  /* any member; a retry holds nobody back */
    GROUP_ORDERED, /* a partition is at one member at a time; strict order, see ledger_ordered.h */
    GROUP_KEYED,   /* messages of one key are at one member at a time, in order; see lanes.h */
    GROUP_MODES
};

/* Its name in the protocol. */
const char *group_mode_name(enum group_mode mode);
/* False = there is no such mode. */
bool group_mode_find(struct zsp_slice name, enum group_mode *ret);

#endif
