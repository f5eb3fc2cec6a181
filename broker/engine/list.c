/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/list.h"

#include "broker/engine/engine_priv.h"
#include "common/limits.h"
#include "common/name.h"

struct list_args {
    struct zsp_slice match, after;
    struct wire_uint limit;
};

#define PLACE(field) offsetof(struct list_args, field)
static const struct wire_arg list_table[] = {
    {"match", WIRE_STR, PLACE(match), false, 1, ZSP_NAME_MAX},
    {"after", WIRE_STR, PLACE(after), false, 0, ZSP_NAME_MAX},
    {"limit", WIRE_UINT, PLACE(limit), false, 1, ZSP_LIST_MAX},
};
#undef PLACE

struct page {
    const struct list_args *args;
    bool (*is_listed_fn)(const void *object);
    size_t limit;
};

static bool is_listed(const struct page *page, const struct name_slot *slot)
{
    return (!page->is_listed_fn || page->is_listed_fn(slot->value)) &&
           (!page->args->match.data || zsp_name_match(page->args->match, slot->name));
}

/* The slots that belong to the page end before the returned one. */
static size_t find_end(const struct page *page, const struct name_index *index, size_t begin,
                       uint32_t *ret_count)
{
    uint32_t count = 0;
    size_t slot = begin;
    while (slot < index->count && count < page->limit) {
        count += is_listed(page, &index->slots[slot]) ? 1 : 0;
        slot++;
    }
    *ret_count = count;
    return slot;
}

static bool is_any_left(const struct page *page, const struct name_index *index, size_t begin)
{
    for (size_t slot = begin; slot < index->count; slot++) {
        if (is_listed(page, &index->slots[slot])) {
            return true;
        }
    }
    return false;
}

int list_answer(struct engine *engine, const struct request *request,
                const struct name_index *index, bool (*is_listed_fn)(const void *object),
                struct zsp_err *err)
{
    struct list_args args = {0};
    const int rc =
        wire_args(request->args, list_table, sizeof list_table / sizeof list_table[0], &args, err);
    if (rc != 0) {
        return rc;
    }
    const struct page page = {
        .args = &args,
        .is_listed_fn = is_listed_fn,
        .limit = args.limit.set ? args.limit.value : ZSP_LIST_MAX,
    };
    const size_t begin = name_index_after(index, args.after);
    uint32_t count = 0;
    const size_t end = find_end(&page, index, begin, &count);
    struct zsp_writer *const out = reply_begin(engine, &request->to);
    wire_write_map(out, 2);
    wire_write_text(out, "items");
    wire_write_array(out, count);
    for (size_t slot = begin; slot < end; slot++) {
        if (is_listed(&page, &index->slots[slot])) {
            wire_write_str(out, index->slots[slot].name);
        }
    }
    wire_write_text_bool(out, "more", is_any_left(&page, index, end));
    reply_end(engine);
    return 0;
}
