/* SPDX-License-Identifier: MPL-2.0
 *
 * What an engine has of partitions where something expires; see expiry.h.
 */
#ifndef ZSP_ENGINE_EXPIRY_SET_H
#define ZSP_ENGINE_EXPIRY_SET_H

#include <stdint.h>
#include <sys/queue.h>

#include "broker/engine/base/runmap.h"

struct expiry;
struct expiry_load;
struct expiry_read;

/* All of an engine. */
struct expiry_set {
    struct run_slab slab;
    struct expiry **items; /* by expiry_slot - 1; NULL = free */
    uint32_t count, capacity, used;
    LIST_HEAD(, expiry_load) load_list; /* all that the store has, of use or not */
    uint32_t loads;                     /* so many */
    LIST_HEAD(, expiry_read) read_list; /* likewise, of groups with a filter */
    uint32_t reads;
};

#endif
