/* SPDX-License-Identifier: MPL-2.0
 *
 * A store whose sealed segments are written anew, for tests of compaction and islands: messages with a
 * serial number as their id, some of them packed, and which of them are there.
 */
#ifndef ZSP_TESTS_REWRITING_WORLD_H
#define ZSP_TESTS_REWRITING_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/codec.h"
#include "common/record.h"
#include "tests/broker/store/log_case.h"

#define REWRITING_MESSAGES_MAX 6000

/* Embedded, as the first member. */
struct rewriting_world {
    struct log_case *store;
    uint64_t random;
    uint64_t serial;                       /* of the next message */
    bool is_there[REWRITING_MESSAGES_MAX]; /* at the last look, by offset; of partition 0 */
    uint64_t end;                          /* of what was seen */
    struct zsp_packer *packer;
    /* The look sees a message. */
    void (*seen_fn)(struct rewriting_world *self, uint64_t offset, uint64_t serial,
                    const struct zsp_record *record);
};

/* The rest of the struct is zero. */
void rewriting_world_set_up(struct rewriting_world *self, uint64_t seed);
void rewriting_world_tear_down(struct rewriting_world *self);
uint64_t rewriting_world_draw(struct rewriting_world *self, uint64_t below);

/* Append `count` records, encoded, as a batch, one of `packed_one_of` packed, and run. */
void rewriting_world_append(struct rewriting_world *self, uint32_t partition,
                            struct zsp_slice records, uint32_t count, uint64_t packed_one_of);
/* Read partition 0 from `from` to its mark. */
void rewriting_world_look(struct rewriting_world *self, uint64_t from);
/* Drive the store until the partition is not being rewritten any more. */
void rewriting_world_wait(struct rewriting_world *self, uint32_t partition);

/* The process ends, with the power or alone; the files are clean, and the store opens again. False: no
 * call had met crash_fs_freeze_at(). */
bool rewriting_world_crash(struct rewriting_world *self, bool power, uint64_t seed);
/* `crash_at` is called with each call of the file system, from the first on, until it says false:
 * that is no call any more. */
void rewriting_crash_everywhere(bool (*crash_at)(uint64_t call, bool power), bool power);

#endif
