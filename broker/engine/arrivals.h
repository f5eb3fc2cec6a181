/* SPDX-License-Identifier: MPL-2.0
 *
 * What arrives from the store: each completion goes to whoever waits for it, in
 * the order of the store, but that reads, which may be much work, are set aside
 * once a pump has done enough (set_aside.h).
 */
#ifndef ZSP_ENGINE_ARRIVALS_H
#define ZSP_ENGINE_ARRIVALS_H

#include <stdbool.h>

struct engine;

/* Take completions: all there are, or until this pump has worked as much as it may. Of all, reads
 * beyond that are set aside. Returns whether there was one. */
bool arrivals_take(struct engine *self, bool all);

#endif
