/* SPDX-License-Identifier: MPL-2.0
 *
 * What the histories have reached: how often a message was handed out in each combination of the group's
 * mode with the message's priority and time, with how it came back, and with what had happened since it
 * was published. Of a combination that was never met the checker has said nothing.
 */
#ifndef ZSP_SIM_REACH_H
#define ZSP_SIM_REACH_H

#include <stdbool.h>
#include <stdint.h>

#define REACH_MODES      3u
#define REACH_PRIORITIES 3u
#define REACH_RETURNS    3u
#define REACH_CRASHES    3u
#define REACH_CASES      (REACH_MODES * REACH_PRIORITIES * 2u * REACH_RETURNS * 2u * REACH_CRASHES)

enum reach_mode { REACH_SHARED, REACH_ORDERED, REACH_KEYED };
enum reach_return { REACH_FIRST, REACH_AGAIN, REACH_FAILED };
enum reach_crash { REACH_ALIVE, REACH_PROCESS, REACH_POWER };

struct reach {
    uint64_t counts[REACH_CASES];
};

struct reach_case {
    enum reach_mode mode;
    unsigned priority; /* of the message */
    bool is_delayed;   /* it had a time before which it is not handed out */
    enum reach_return how;
    bool was_moved; /* the group was, by a seek or a restore, since it was published; */
    enum reach_crash crash;
};

void reach_note(struct reach *self, const struct reach_case *met);
void reach_add(struct reach *self, const struct reach *other);
/* A line for each combination that was never met, on stdout. */
void reach_tell(const struct reach *self);

#endif
