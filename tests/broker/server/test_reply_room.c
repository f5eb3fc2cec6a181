/* SPDX-License-Identifier: MPL-2.0
 *
 * Room for replies: what a connection may hold, and all together. Numbers are MiB.
 */
#include "tests/common/testing.h"

#include "broker/server/reply_room.h"
#include "common/assert.h"
#include "common/limits.h"

#define ROOMS      24u
#define FRAMES_MAX 512u

/* A frame that nobody reads. */
struct frame {
    struct outflow *flow;
    uint64_t bytes;
};

struct hall {
    struct reply_pool pool;
    struct reply_room rooms[ROOMS];
    uint64_t shares[ROOMS]; /* one reply of each */
    struct frame frames[FRAMES_MAX];
    size_t frame_count;
};

static int setup(void **state)
{
    struct hall *const self = calloc(1, sizeof *self);
    assert_non_null(self);
    assert_int_equal(reply_pool_init(&self->pool, 64 * ZSP_MIB, 256 * ZSP_MIB), ZSP_OK);
    for (size_t i = 0; i < ROOMS; i++) {
        assert_int_equal(reply_room_init(&self->rooms[i], &self->pool), ZSP_OK);
    }
    *state = self;
    return 0;
}

static int teardown(void **state)
{
    struct hall *const self = *state;
    for (size_t i = 0; i < self->frame_count; i++) {
        outflow_remove(self->frames[i].flow, self->frames[i].bytes);
    }
    for (size_t i = 0; i < ROOMS; i++) {
        reply_room_release(&self->rooms[i], &self->pool, &self->shares[i]);
        reply_room_fini(&self->rooms[i]);
    }
    reply_pool_fini(&self->pool);
    free(self);
    return 0;
}

static enum engine_room reserve(struct hall *self, size_t index, uint64_t mib)
{
    return reply_room_reserve(&self->rooms[index], &self->pool, &self->shares[index],
                              mib * ZSP_MIB);
}

/* Reserve, then send all of it as one frame that stays unread. */
static bool send_unread(struct hall *self, size_t index, uint64_t mib)
{
    if (reserve(self, index, mib) != ENGINE_ROOM) {
        return false;
    }
    reply_room_release(&self->rooms[index], &self->pool, &self->shares[index]);
    outflow_add(self->rooms[index].outflow, mib * ZSP_MIB);
    zsp_assert(self->frame_count < FRAMES_MAX);
    self->frames[self->frame_count++] = (struct frame){self->rooms[index].outflow, mib * ZSP_MIB};
    return true;
}

static void a_connection_holds_no_more_than_its_limit(void **state)
{
    struct hall *const self = *state;
    for (int i = 0; i < 4; i++) {
        assert_true(send_unread(self, 0, 16));
    }
    assert_int_equal(reserve(self, 0, 1), ENGINE_NO_ROOM);
    assert_int_equal(reserve(self, 1, 16), ENGINE_ROOM);
    assert_false(reply_room_fits(&self->rooms[0], &self->pool, 1));
}

/* Eight that read nothing leave room for those who come after them. */
static void hogs_leave_room_for_a_newcomer(void **state)
{
    struct hall *const self = *state;
    uint64_t held = 0;
    for (size_t round = 0; round < 64; round++) {
        for (size_t i = 0; i < 8; i++) {
            held += send_unread(self, i, 1) ? 1 : 0;
        }
    }
    assert_int_equal(outflow_bytes(self->pool.outflow), held * ZSP_MIB);
    assert_in_range(held, 200, 232);
    for (size_t i = 8; i < ROOMS; i++) {
        assert_true(send_unread(self, i, 1));
    }
    assert_true(outflow_bytes(self->pool.outflow) <= 256 * ZSP_MIB);
}

/* Replies being put together end by themselves: who waits for them is not refused. */
static void work_in_hand_is_waited_for(void **state)
{
    struct hall *const self = *state;
    assert_int_equal(reserve(self, 0, 16), ENGINE_ROOM);
    assert_int_equal(reserve(self, 1, 16), ENGINE_ROOM);
    assert_int_equal(reserve(self, 2, 16), ENGINE_ROOM);
    assert_int_equal(reserve(self, 3, 16), ENGINE_ROOM);
    assert_int_equal(reserve(self, 4, 16), ENGINE_ROOM_LATER);
    reply_room_release(&self->rooms[2], &self->pool, &self->shares[2]);
    assert_int_equal(reserve(self, 4, 16), ENGINE_ROOM);
}

static void one_connection_leaves_room_to_work_beside_it(void **state)
{
    struct hall *const self = *state;
    uint64_t second = 0;
    uint64_t third = 0;
    assert_int_equal(reserve(self, 0, 16), ENGINE_ROOM);
    assert_int_equal(reply_room_reserve(&self->rooms[0], &self->pool, &second, 16 * ZSP_MIB),
                     ENGINE_ROOM);
    assert_int_equal(reply_room_reserve(&self->rooms[0], &self->pool, &third, 1),
                     ENGINE_ROOM_LATER);
    assert_int_equal(third, 0);
    assert_int_equal(reserve(self, 1, 16), ENGINE_ROOM);
    reply_room_release(&self->rooms[0], &self->pool, &second);
    assert_int_equal(self->pool.reserved, 32 * ZSP_MIB);
}

static void a_reservation_replaces_the_one_before(void **state)
{
    struct hall *const self = *state;
    assert_int_equal(reserve(self, 0, 16), ENGINE_ROOM);
    assert_int_equal(reserve(self, 0, 8), ENGINE_ROOM);
    assert_int_equal(self->pool.reserved, 8 * ZSP_MIB);
    assert_int_equal(reserve(self, 0, 0), ENGINE_ROOM);
    assert_int_equal(self->pool.reserved, 0);
    assert_int_equal(self->rooms[0].reserved, 0);
}

/* A reply without a body, for which nothing is reserved. */
static void send_bare(struct hall *self, size_t index, uint64_t mib)
{
    outflow_add(self->rooms[index].outflow, mib * ZSP_MIB);
    zsp_assert(self->frame_count < FRAMES_MAX);
    self->frames[self->frame_count++] = (struct frame){self->rooms[index].outflow, mib * ZSP_MIB};
}

/* Goal: who asks for lists and reads none is stopped, and who comes next is not. */
static void unread_replies_without_a_body_are_bounded(void **state)
{
    struct hall *const self = *state;
    for (size_t round = 0; round < 64; round++) {
        for (size_t i = 0; i < 8; i++) {
            if (reply_room_admits(&self->rooms[i], &self->pool)) {
                send_bare(self, i, 1);
            }
        }
    }
    assert_in_range(outflow_bytes(self->pool.outflow), 200 * ZSP_MIB, 256 * ZSP_MIB);
    assert_false(reply_room_admits(&self->rooms[0], &self->pool));
    assert_true(reply_room_admits(&self->rooms[8], &self->pool));
    send_bare(self, 8, 1);
    assert_true(reply_room_admits(&self->rooms[8], &self->pool));
}

static void unread_replies_of_one_are_bounded_by_its_limit(void **state)
{
    struct hall *const self = *state;
    send_bare(self, 0, 64);
    assert_true(reply_room_admits(&self->rooms[0], &self->pool));
    send_bare(self, 0, 1);
    assert_false(reply_room_admits(&self->rooms[0], &self->pool));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_connection_holds_no_more_than_its_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(hogs_leave_room_for_a_newcomer, setup, teardown),
        cmocka_unit_test_setup_teardown(work_in_hand_is_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(one_connection_leaves_room_to_work_beside_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_reservation_replaces_the_one_before, setup, teardown),
        cmocka_unit_test_setup_teardown(unread_replies_without_a_body_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(unread_replies_of_one_are_bounded_by_its_limit, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
