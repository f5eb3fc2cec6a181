/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/sim/sim_reach.h"

#include <stdio.h>

#include "common/limits.h"

/* Below the usual, as usual, above. */
static unsigned class_of(unsigned priority)
{
    return priority < ZSP_PRIORITY ? 0 : priority == ZSP_PRIORITY ? 1 : 2;
}

void reach_note(struct reach *self, const struct reach_case *met)
{
    unsigned at = (unsigned)met->mode;
    at = at * REACH_PRIORITIES + class_of(met->priority);
    at = at * 2 + (met->is_delayed ? 1 : 0);
    at = at * REACH_RETURNS + (unsigned)met->how;
    at = at * 2 + (met->was_moved ? 1 : 0);
    at = at * REACH_CRASHES + (unsigned)met->crash;
    self->counts[at]++;
}

void reach_add(struct reach *self, const struct reach *other)
{
    for (unsigned i = 0; i < REACH_CASES; i++) {
        self->counts[i] += other->counts[i];
    }
}

static void tell(unsigned at)
{
    static const char *const modes[] = {"shared", "ordered", "keyed"};
    static const char *const priorities[] = {"less urgent", "usual", "more urgent"};
    static const char *const returns[] = {"handed out for the first time", "again",
                                          "after a failure"};
    static const char *const crashes[] = {"no crash", "a crash of the process", "a power cut"};
    const unsigned crash = at % REACH_CRASHES;
    const bool was_moved = (at /= REACH_CRASHES) % 2 != 0;
    const unsigned how = (at /= 2) % REACH_RETURNS;
    const bool is_delayed = (at /= REACH_RETURNS) % 2 != 0;
    const unsigned priority = (at /= 2) % REACH_PRIORITIES;
    (void)printf("never met: %s, %s%s, %s, behind %s%s\n", modes[at / REACH_PRIORITIES],
                 priorities[priority], is_delayed ? ", delayed" : "", returns[how], crashes[crash],
                 was_moved ? " and a seek" : "");
}

void reach_tell(const struct reach *self)
{
    for (unsigned i = 0; i < REACH_CASES; i++) {
        if (self->counts[i] == 0) {
            tell(i);
        }
    }
}
