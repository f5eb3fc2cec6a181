/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/group_texts.h"

#include <stdlib.h>

#include "broker/engine/fair.h"
#include "broker/engine/group.h"
#include "broker/engine/pull.h"

#define REACH_MAX 16u

/* In images. */
enum text_kind { TEXT_FILTER = 1, TEXT_FAIR_BY = 2 };

static void destroy_filter(struct group_filter **filter_p)
{
    if (*filter_p) {
        zsp_filter_destroy(&(*filter_p)->program);
        free(*filter_p);
        *filter_p = NULL;
    }
}

static int make_filter(struct zsp_slice text, struct group_filter **ret, struct zsp_err *err)
{
    struct zsp_filter *program = NULL;
    int rc = zsp_filter_new(text, &program, err);
    if (rc < 0) {
        return rc;
    }
    struct group_filter *made = calloc(1, sizeof *made);
    if (!made) {
        zsp_filter_destroy(&program);
        return zsp_err_set(err, ZSP_ENOMEM, "filter: out of memory");
    }
    made->program = program;
    *ret = made;
    return 0;
}

/* --- Settings -------------------------------------------------------------------------------------- */

bool group_texts_has(struct zsp_slice name)
{
    return zsp_slice_equal_str(name, "filter") || zsp_slice_equal_str(name, "fair_by");
}

/* A text of the map. False in *ret_has: it is not named; *ret_text without data: it is nil. */
static int read_text(const msgpack_object *settings, const char *name, bool *ret_has,
                     struct zsp_slice *ret_text, struct zsp_err *err)
{
    const msgpack_object *value = settings ? wire_map_find(settings, name) : NULL;
    *ret_has = value != NULL;
    if (!value || value->type == MSGPACK_OBJECT_NIL) {
        return 0;
    }
    if (value->type != MSGPACK_OBJECT_STR) {
        (void)zsp_err_set(err, ZSP_EBAD_TYPE, "settings: %s: a text, or nil", name);
        zsp_err_detail(err, name, "a text, or nil", NULL);
        return ZSP_EBAD_TYPE;
    }
    *ret_text = (struct zsp_slice){(const uint8_t *)value->via.str.ptr, value->via.str.size};
    return 0;
}

int group_texts_read(const msgpack_object *settings, struct group_texts *ret, struct zsp_err *err)
{
    struct zsp_slice filter = {0};
    struct zsp_slice fair_by = {0};
    int rc = read_text(settings, "filter", &ret->has_filter, &filter, err);
    if (rc == 0) {
        rc = read_text(settings, "fair_by", &ret->has_fair, &fair_by, err);
    }
    if (rc == 0 && filter.data) {
        rc = make_filter(filter, &ret->filter, err);
    }
    if (rc == 0 && fair_by.data) {
        rc = group_fair_new(fair_by, &ret->fair, err);
    }
    return rc;
}

int group_texts_fit(const struct group_texts *self, enum group_mode mode, struct zsp_err *err)
{
    if (!self->fair || mode == GROUP_SHARED) {
        return 0;
    }
    (void)zsp_err_set(err, ZSP_EBAD_VALUE,
                      "settings: fair_by: only in shared groups, order has none");
    zsp_err_detail(err, "fair_by", "a group of mode shared", group_mode_name(mode));
    return ZSP_EBAD_VALUE;
}

/* Windows know tenants by the setting. */
static void drop_windows(struct group *group)
{
    for (size_t i = 0; i < group->bindings.count; i++) {
        const struct binding *binding = group->bindings.slots[i].value;
        for (uint32_t k = 0; binding->topic && k < binding->topic->partition_count; k++) {
            fair_drop(binding->ledgers[k]);
        }
    }
}

void group_texts_swap(struct group *group, struct group_texts *texts)
{
    if (texts->has_filter) {
        struct group_filter *const before = group->filter;
        group->filter = texts->filter;
        texts->filter = before;
    }
    if (texts->has_fair) {
        struct group_fair *const before = group->fair;
        drop_windows(group);
        group->fair = texts->fair;
        texts->fair = before;
    }
}

void group_texts_fini(struct group_texts *self)
{
    destroy_filter(&self->filter);
    group_fair_destroy(&self->fair);
}

void group_texts_drop(struct group *group)
{
    destroy_filter(&group->filter);
    group_fair_destroy(&group->fair);
}

uint32_t group_texts_count(const struct group *group)
{
    return (group->filter ? 1u : 0u) + (group->fair ? 1u : 0u);
}

void group_texts_write(struct zsp_writer *out, const struct group *group)
{
    if (group->filter) {
        wire_write_text_str(out, "filter", zsp_filter_text(group->filter->program));
    }
    if (group->fair) {
        wire_write_text_str(out, "fair_by", group_fair_text(group->fair));
    }
}

/* --- Durable form ------------------------------------------------------------------------------------ */

void group_texts_encode(struct zsp_writer *out, const struct group *group)
{
    zsp_write_u8(out, (uint8_t)group_texts_count(group));
    if (group->filter) {
        zsp_write_u8(out, TEXT_FILTER);
        zsp_write_short(out, zsp_filter_text(group->filter->program));
    }
    if (group->fair) {
        zsp_write_u8(out, TEXT_FAIR_BY);
        zsp_write_short(out, group_fair_text(group->fair));
    }
}

static int decode_text(uint8_t kind, struct zsp_slice text, struct group *group)
{
    int rc = ZSP_ECORRUPT;
    if (kind == TEXT_FILTER && !group->filter) {
        rc = make_filter(text, &group->filter, NULL);
    } else if (kind == TEXT_FAIR_BY && !group->fair) {
        rc = group_fair_new(text, &group->fair, NULL);
    }
    return rc == ZSP_EBAD_VALUE ? ZSP_ECORRUPT : rc;
}

int group_texts_decode(struct zsp_reader *in, struct group *group)
{
    int rc = 0;
    group_texts_drop(group);
    for (uint8_t left = zsp_read_u8(in); left > 0 && rc == 0; left--) {
        const uint8_t kind = zsp_read_u8(in);
        const struct zsp_slice text = zsp_read_short(in);
        rc = in->failed ? ZSP_ECORRUPT : decode_text(kind, text, group);
    }
    return in->failed ? ZSP_ECORRUPT : rc;
}

/* --- At work --------------------------------------------------------------------------------------- */

uint64_t group_filter_reach(const struct group *group, uint64_t wanted)
{
    const uint64_t reach = wanted << group->filter->reach; /* at most 65,536 wanted */
    return reach < PULL_MESSAGES_MAX ? reach : PULL_MESSAGES_MAX;
}

void group_filter_counted(struct pull *pull)
{
    struct group_filter *const filter = pull->group->filter;
    uint64_t filtered = 0;
    for (size_t i = 0; i < pull->absent_count; i++) {
        const struct pull_run *run = &pull->absent[i];
        filtered += run->why == ABSENT_FILTERED && run->ledger ? run->end - run->first : 0;
    }
    filter->filtered += filtered;
    if (filtered > 0 && pull->messages < pull->most) {
        filter->reach += filter->reach < REACH_MAX ? 1 : 0;
    } else if (filter->reach > 0 && filtered + pull->messages <= pull->most
                                                                     << (filter->reach - 1)) {
        filter->reach--;
    }
}
