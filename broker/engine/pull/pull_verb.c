/* SPDX-License-Identifier: MPL-2.0
 *
 * PULL: the request, and the wait that ends from outside.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/engine/pull/pull.h"
#include "broker/engine/replay/side_replay.h"
#include "broker/engine/verb.h"
#include "common/container.h"
#include "common/name.h"

#define MESSAGES_DEFAULT 1000u
#define BYTES_DEFAULT    (1u * ZSP_MIB)
/* A session is remembered as a member at least this long. */
#define MEMBER_MS ((int64_t)ZSP_SESSION_MS)

/* The client takes it back: answered empty, at once unless its outcomes are not durable yet. */
static void cancel(struct engine *engine, struct pull *self)
{
    self->waits = false;
    self->ending = "cancelled";
    if (self->outcomes.settle) {
        self->is_cancelled = true;
        if (self->state == PULL_PARKED) {
            pull_rest(self);
        }
        return;
    }
    pull_answer_empty(engine, self, self->ending);
    self->abandoned = true;
    if (self->state == PULL_PARKED) {
        pull_free(engine, self);
    }
}

/* The time is over. What it asked for may still have to be made durable: its group, a topic of it. */
static void end_wait(struct engine *engine, struct pull *self, const char *why, bool is_served)
{
    self->waits = false;
    self->ending = why;
    if (self->state != PULL_PARKED) {
        return;
    }
    if (is_served || !pull_is_bound(self)) {
        group_wake(engine->groups, self->group);
    } else {
        pull_answer(engine, self);
    }
}

/* The wait ends from outside. */
static void wait_ends(struct engine *engine, struct parked *parked, enum parked_end why)
{
    struct pull *self = CONTAINER_OF(parked, struct pull, parked);
    const bool is_parked = self->state == PULL_PARKED;
    switch (why) {
    case PARKED_TIMEOUT:
        if (is_parked && !self->is_resent && pull_is_bound(self) && pull_hurry(self)) {
            self->waits = false;
            group_wake(engine->groups, self->group);
            break;
        }
        /* The lease that it got earlier comes all the same. */
        end_wait(engine, self, "timeout", self->is_resent);
        break;
    case PARKED_DRAIN:
        end_wait(engine, self, "shutting_down", false);
        break;
    case PARKED_CANCELLED:
        cancel(engine, self);
        break;
    case PARKED_ABANDONED:
        self->abandoned = true;
        if (is_parked) {
            pull_free(engine, self);
        }
        break;
    case PARKED_FAILED:
        break; /* freed with the group side: no completion will come */
    }
}

/* Its outcomes are durable: from now on it waits for nothing else. */
static void settled(struct engine *engine, struct settle_guest *guest, const struct zsp_err *error)
{
    struct pull *self = CONTAINER_OF(guest, struct pull, outcomes);
    if (error->code != 0) {
        pull_tell_error(engine, self, error);
        self->abandoned = true;
    }
    self->waits = false;
    if (self->state != PULL_PARKED) {
        if (self->is_ready) {
            pull_hand_over(engine, self);
        }
    } else if (self->abandoned) {
        pull_free(engine, self);
    } else if (self->is_cancelled || (self->ending && pull_is_bound(self))) {
        pull_answer(engine, self);
    } else {
        group_wake(engine->groups, self->group);
    }
}

/* --- The request ---------------------------------------------------------------------------------- */

struct pull_args {
    struct zsp_slice group, mode;
    const msgpack_object *topics, *settle, *accept;
    struct wire_uint parts;
    bool accepts_zstd;
    struct wire_uint max_messages, max_bytes, wait_ms;
    struct wire_position start;
};

#define PLACE(field) offsetof(struct pull_args, field)
static const struct wire_arg pull_table[] = {
    {"group", WIRE_NAME, PLACE(group), true, 0, 0},
    {"topics", WIRE_PATTERNS, PLACE(topics), false, 1, ZSP_GROUP_TOPICS_MAX},
    {"max_messages", WIRE_UINT, PLACE(max_messages), false, 1, UINT32_MAX},
    {"max_bytes", WIRE_UINT, PLACE(max_bytes), false, 1, ZSP_REPLY_MAX},
    {"wait_ms", WIRE_UINT, PLACE(wait_ms), false, 0, ZSP_WAIT_MS_MAX},
    {"mode", WIRE_STR, PLACE(mode), false, 0, 0},
    {"start", WIRE_POSITION, PLACE(start), false, 0, 0},
    {"accept", WIRE_ARRAY, PLACE(accept), false, 0, ZSP_CODECS_MAX},
    {"parts", WIRE_BOOL, PLACE(parts), false, 0, 0},
    {"settle", WIRE_ARRAY, PLACE(settle), false, 1, ZSP_RUNS_MAX},
};
#undef PLACE

/* Copy the names into one block. */
static int copy_names(struct pull *self, const msgpack_object *topics)
{
    const size_t count = topics->via.array.size;
    size_t bytes = count * sizeof *self->names;
    for (size_t i = 0; i < count; i++) {
        bytes += topics->via.array.ptr[i].via.str.size;
    }
    self->names = malloc(bytes);
    if (!self->names) {
        return ZSP_ENOMEM;
    }
    uint8_t *copy = (uint8_t *)(self->names + count);
    for (size_t i = 0; i < count; i++) {
        const msgpack_object_str *name = &topics->via.array.ptr[i].via.str;
        memcpy(copy, name->ptr, name->size);
        self->names[self->name_count++] = (struct zsp_slice){copy, name->size};
        copy += name->size;
    }
    return 0;
}

static bool is_kept(const struct topic *topic)
{
    return topic && topic->state == TOPIC_LIVE && topic_settings_of(topic)->until_consumed != 0;
}

/* A topic of that name, or that the pattern matches, which keeps messages until they are consumed. */
static const struct topic *find_kept(const struct engine *engine, struct zsp_slice name)
{
    const struct name_index *topics = &engine->catalog.topics;
    if (!zsp_name_is_pattern(name)) {
        const struct topic *topic = topic_find(engine, name);
        return is_kept(topic) ? topic : NULL;
    }
    for (size_t i = 0; i < topics->count; i++) {
        if (zsp_name_match(name, topics->slots[i].name) && is_kept(topics->slots[i].value)) {
            return topics->slots[i].value;
        }
    }
    return NULL;
}

/* A topic that keeps messages until they are consumed is consumed by groups that were made to do so:
 * one that a slip of the pen makes would keep its messages for ever. */
static int check_may_make(const struct engine *engine, const struct pull_args *args,
                          struct zsp_err *err)
{
    for (uint32_t i = 0; i < args->topics->via.array.size; i++) {
        const msgpack_object_str *name = &args->topics->via.array.ptr[i].via.str;
        const struct topic *topic =
            find_kept(engine, (struct zsp_slice){(const uint8_t *)name->ptr, name->size});
        if (topic) {
            (void)zsp_err_set(err, ZSP_ENOT_FOUND,
                              "group %.*s does not exist, and %s keeps messages until they are "
                              "consumed: create the group first",
                              (int)args->group.len, (const char *)args->group.data, topic->object);
            zsp_err_detail(err, topic->object, NULL, NULL);
            return ZSP_ENOT_FOUND;
        }
    }
    return 0;
}

/* The group of the request, which may have to be made; *ret_made tells. */
static int open_group(struct engine *engine, const struct pull_args *args, struct group **ret,
                      bool *ret_made, struct zsp_err *err)
{
    struct group_plan plan = {
        .name = args->group, .start = args->start, .settings = group_settings_default};
    int rc = group_read_mode(args->mode, &plan.mode, err);
    if (rc < 0) {
        return rc;
    }
    struct group *group = name_index_find(&engine->catalog.groups, args->group);
    *ret_made = !group;
    if (group) {
        *ret = group;
        rc = group_check_mode(group, args->mode, err);
        return rc < 0 ? rc : group_check_start(group, &args->start, err);
    }
    if (!engine->options.auto_create_groups || !args->topics || args->settle ||
        side_replay_is_name(args->group)) {
        return group_require(engine, args->group, ret, err);
    }
    rc = group_check_position(&args->start, err);
    if (rc == 0) {
        rc = check_may_make(engine, args, err);
    }
    return rc < 0 ? rc : group_new(engine, &plan, ret, err);
}

/* Remember who pulls. */
static void count_member(struct engine *engine, struct group *group, uint64_t session)
{
    const int64_t now_ms = engine->clock.broker_ms;
    const int64_t lease_ms = (int64_t)group_settings_of(group)->lease_ms;
    const int64_t keep_ms = lease_ms > MEMBER_MS ? lease_ms : MEMBER_MS;
    group->pulled_ms = now_ms;
    if (session != 0) {
        struct member *member = members_seen(&group->members, &engine->groups->members, session,
                                             now_ms, now_ms - keep_ms); /* a figure */
        struct session_note *note = NULL;
        if (member && !member->note) {
            note = session_note_open(&engine->groups->notes, session);
        }
        if (note) {
            session_note_add_member(note, member);
        } else if (member && !member->note) {
            members_forget(
                member,
                &engine->groups->members); /* out of memory: who is not noted is no member */
        }
    }
}

/* Apply the outcomes that it brings, before anything is handed out. */
static int settle_first(struct engine *engine, struct pull *self, struct group *group,
                        const msgpack_object *runs, struct zsp_err *err)
{
    self->outcomes.settled_fn = settled;
    const int rc = settle_outcomes(engine, &self->parked.to, group, runs, &self->outcomes, err);
    if (rc < 0) {
        parked_remove(engine, &self->parked);
        pull_give(engine->groups, self);
        return rc;
    }
    self->has_outcomes = true;
    self->waits = self->waits && self->outcomes.settle;
    return 0;
}

/* A pull for a group that is there. */
static int begin_pull(struct engine *engine, const struct request *request,
                      const struct pull_args *args, struct group *group, struct zsp_err *err)
{
    struct pull *self = pull_new(engine->groups);
    if (!self) {
        return zsp_err_set(err, ZSP_ENOMEM, "pull: out of memory");
    }
    const uint64_t wait_ms = args->wait_ms.value;
    self->max_messages = args->max_messages.set ? args->max_messages.value : MESSAGES_DEFAULT;
    self->max_bytes = args->max_bytes.set ? args->max_bytes.value : BYTES_DEFAULT;
    self->accepts_zstd = args->accepts_zstd;
    self->wants_parts = args->parts.value != 0;
    self->waits = wait_ms > 0;
    self->all_topics = !args->topics;
    self->parked.end_fn = wait_ends;
    int rc = args->topics ? copy_names(self, args->topics) : 0;
    if (rc == 0 && !group_work_use(group)) {
        rc = ZSP_ENOMEM;
    } else if (rc == 0) {
        rc = parked_add(engine, &self->parked, &request->to, wait_ms);
        if (rc < 0) {
            group_work_leave(group);
        }
    }
    if (rc < 0) {
        pull_give(engine->groups, self);
        return zsp_err_set(err, rc, "pull: out of memory");
    }
    if (args->settle) {
        rc = settle_first(engine, self, group, args->settle, err);
        if (rc < 0) {
            group_work_leave(group);
            return rc;
        }
    }
    self->group = group;
    count_member(engine, group, request->to.session);
    pull_park(self);
    self->is_resent = pull_lease_lives(engine, self) != NULL;
    group_wake(engine->groups, group);
    return 0;
}

int verb_pull(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    struct pull_args args = {0};
    int rc =
        wire_args(request->args, pull_table, sizeof pull_table / sizeof pull_table[0], &args, err);
    if (rc < 0) {
        return rc;
    }
    rc = args.settle ? settle_check(args.settle, err) : 0;
    if (rc == 0 && args.accept) {
        rc = wire_get_accept(args.accept, "accept", &args.accepts_zstd, err);
    }
    if (rc < 0) {
        return rc;
    }
    struct group *group = NULL;
    bool made = false;
    rc = open_group(engine, &args, &group, &made, err);
    if (rc < 0) {
        return rc;
    }
    if (!made) {
        return begin_pull(engine, request, &args, group, err);
    }
    struct pull *self = NULL;
    rc = begin_pull(engine, request, &args, group, err);
    if (rc < 0) {
        group_destroy(engine, group);
        return rc;
    }
    self = TAILQ_LAST(&group->work->parked, pull_list);
    rc = group_join(engine, group, self->names, self->name_count, NULL, &self->join, err);
    if (rc < 0) {
        pull_free(engine, self);
        group_destroy(engine, group);
        return rc;
    }
    reply_may_apply(engine, &request->to);
    return 0;
}
