/* SPDX-License-Identifier: MPL-2.0
 *
 * What the engine's files share among themselves: the engine's state and the
 * way a store completion finds who waits for it. Included by broker/engine/
 * only.
 */
#ifndef ZSP_ENGINE_ENGINE_PRIV_H
#define ZSP_ENGINE_ENGINE_PRIV_H

#include "broker/engine/engine.h"

/* Something that waits for one completion of the store; the first member of
 * whatever waits. Its address is the tag of the call. */
struct engine_op {
    /* Called once. Takes nothing: the engine releases the completion afterwards. */
    void (*done_fn)(struct engine *engine, struct engine_op *self,
                    const struct store_completion *completion);
};

static inline uint64_t engine_op_tag(const struct engine_op *op)
{
    return (uint64_t)(uintptr_t)op;
}

struct engine {
    struct engine_options options;
    struct store *store;
    struct instant now; /* of the event being handled */
    bool draining;
    bool failed;
};

#endif
