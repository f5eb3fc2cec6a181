/* SPDX-License-Identifier: MPL-2.0
 *
 * The dead messages that keep a lane back, by offset: what lies before the first of them passes.
 * Most lanes have none, and take a pointer. Adding behind the last and removing the first are O(1).
 */
#ifndef ZSP_ENGINE_LANE_HOLDS_H
#define ZSP_ENGINE_LANE_HOLDS_H

#include <stdint.h>

#include "common/compiler.h"

struct lane_holds; /* NULL = there are none */

/* An offset that is not among them. Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int lane_holds_add(struct lane_holds **self_p, uint64_t offset);
/* One that is. */
void lane_holds_remove(struct lane_holds **self_p, uint64_t offset);
/* UINT64_MAX = there are none. */
uint64_t lane_holds_first(const struct lane_holds *self);
void lane_holds_free(struct lane_holds **self_p);

#endif
