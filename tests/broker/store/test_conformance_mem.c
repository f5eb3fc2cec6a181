/* SPDX-License-Identifier: MPL-2.0
 *
 * The conformance suite over the store in memory.
 */
#include <stdlib.h>

#include "common/assert.h"
#include "tests/broker/store/conformance.h"
#include "tests/support/mem_store.h"

struct subject {
    struct mem_store *mem;
    unsigned steps;
};

static void *create(void)
{
    struct subject *self = calloc(1, sizeof *self);
    zsp_assert(self);
    self->mem = mem_store_new();
    mem_store_hold(self->mem, MEM_ALL);
    return self;
}

static struct store *base(void *arg)
{
    const struct subject *self = arg;
    return mem_store_base(self->mem);
}

static void destroy(void *arg)
{
    struct store *store = base(arg);
    store->ops->destroy(store);
    free(arg);
}

/* One kind of work a step, in turn, so that syncs come later than writes. */
static void step(void *arg)
{
    struct subject *self = arg;
    self->steps++;
    mem_store_release(self->mem, self->steps % 3 == 0 ? MEM_SYNCS : MEM_WRITES | MEM_TOPICS);
    if (self->steps % 2 == 0) {
        mem_store_read_all(self->mem);
    }
}

static void restart(void *arg, enum conf_crash crash, uint64_t seed)
{
    (void)seed;
    const struct subject *self = arg;
    mem_store_restart(self->mem, crash == CONF_PROCESS ? MEM_KEEP_WRITTEN : MEM_KEEP_SYNCED);
    mem_store_hold(self->mem, MEM_ALL);
}

static void fail_sync(void *arg)
{
    const struct subject *self = arg;
    mem_store_fail_next_sync(self->mem);
}

int main(void)
{
    const struct conf_subject subject = {
        .name = "mem",
        .create_fn = create,
        .destroy_fn = destroy,
        .store_fn = base,
        .step_fn = step,
        .restart_fn = restart,
        .fail_sync_fn = fail_sync,
    };
    return conformance_run(&subject);
}
