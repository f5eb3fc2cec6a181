/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/group_texts.h"

#include <stdlib.h>

#include "broker/engine/group.h"
#include "broker/engine/pull.h"

#define REACH_MAX 16u

/* In images. */
enum text_kind { TEXT_FILTER = 1 };

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
    return zsp_slice_equal_str(name, "filter");
}

int group_texts_read(const msgpack_object *settings, struct group_texts *ret, struct zsp_err *err)
{
    const msgpack_object *value = settings ? wire_map_find(settings, "filter") : NULL;
    if (!value) {
        return 0;
    }
    ret->has_filter = true;
    if (value->type == MSGPACK_OBJECT_NIL) {
        return 0;
    }
    if (value->type != MSGPACK_OBJECT_STR) {
        (void)zsp_err_set(err, ZSP_EBAD_TYPE, "settings: filter: a text, or nil");
        zsp_err_detail(err, "filter", "a text, or nil", NULL);
        return ZSP_EBAD_TYPE;
    }
    const struct zsp_slice text = {(const uint8_t *)value->via.str.ptr, value->via.str.size};
    return make_filter(text, &ret->filter, err);
}

void group_texts_swap(struct group *group, struct group_texts *texts)
{
    if (texts->has_filter) {
        struct group_filter *const before = group->filter;
        group->filter = texts->filter;
        texts->filter = before;
    }
}

void group_texts_fini(struct group_texts *self)
{
    destroy_filter(&self->filter);
}

void group_texts_drop(struct group *group)
{
    destroy_filter(&group->filter);
}

uint32_t group_texts_count(const struct group *group)
{
    return group->filter ? 1 : 0;
}

void group_texts_write(struct zsp_writer *out, const struct group *group)
{
    if (group->filter) {
        wire_write_text_str(out, "filter", zsp_filter_text(group->filter->program));
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
}

static int decode_text(uint8_t kind, struct zsp_slice text, struct group *group)
{
    int rc = ZSP_ECORRUPT;
    if (kind == TEXT_FILTER && !group->filter) {
        rc = make_filter(text, &group->filter, NULL);
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
