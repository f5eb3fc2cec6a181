/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/group/group_rules.h"

#include <stdlib.h>

#include "broker/engine/group/group.h"
#include "broker/engine/order/fair.h"
#include "broker/engine/pull/pull.h"

#define REACH_MAX 16u

static void destroy_filter(struct group_filter **filter_p)
{
    if (*filter_p) {
        zsp_filter_destroy(&(*filter_p)->program);
        free(*filter_p);
        *filter_p = NULL;
    }
}

/* The text is good. NULL = out of memory. */
static struct group_filter *make_filter(struct zsp_slice text)
{
    struct group_filter *made = calloc(1, sizeof *made);
    if (made && zsp_filter_new(text, &made->program, NULL) < 0) {
        free(made);
        made = NULL;
    }
    return made;
}

static const struct zsp_buf *text_of(const struct group_rules *rules, enum setting_text which)
{
    return rules ? rules->settings.texts.of[which] : NULL;
}

/* Is the text another one than that of the group? */
static bool is_new(const struct group *group, const struct group_rules *rules,
                   enum setting_text which)
{
    return text_of(group->rules, which) != text_of(rules, which);
}

static int make_parts(const struct group *group, struct group_rules *self)
{
    const struct zsp_slice filter = setting_text(&self->settings.texts, TEXT_FILTER);
    const struct zsp_slice fair_by = setting_text(&self->settings.texts, TEXT_FAIR_BY);
    int rc = 0;
    if (is_new(group, self, TEXT_FILTER) && filter.data) {
        self->filter = make_filter(filter);
        rc = self->filter ? 0 : ZSP_ENOMEM;
    }
    if (rc == 0 && is_new(group, self, TEXT_FAIR_BY) && fair_by.data) {
        self->fair = group_fair_new(fair_by);
        rc = self->fair ? 0 : ZSP_ENOMEM;
    }
    return rc;
}

int group_rules_make(const struct group *group, const struct group_settings *settings,
                     struct group_rules **ret, struct zsp_err *err)
{
    struct group_rules *made = NULL;
    if (!group_settings_are_default(settings)) {
        made = calloc(1, sizeof *made);
        if (made) {
            made->settings = *settings;
            setting_texts_hold(&made->settings.texts);
        }
        if (!made || make_parts(group, made) < 0) {
            group_rules_destroy(&made);
            return zsp_err_set(err, ZSP_ENOMEM, "%s: out of memory", group->object);
        }
    }
    *ret = made;
    return 0;
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

void group_rules_destroy(struct group_rules **self_p)
{
    struct group_rules *const self = *self_p;
    if (self) {
        setting_texts_drop(&self->settings.texts);
        destroy_filter(&self->filter);
        group_fair_destroy(&self->fair);
        free(self);
        *self_p = NULL;
    }
}

void group_rules_swap(struct group *group, struct group_rules **rules)
{
    struct group_rules *const before = group->rules;
    struct group_rules *const after = *rules;
    if (before && after && !is_new(group, after, TEXT_FILTER)) {
        after->filter = before->filter; /* with what it has counted */
        before->filter = NULL;
    }
    if (is_new(group, after, TEXT_FAIR_BY)) {
        drop_windows(group);
    } else if (before && after) {
        after->fair = before->fair;
        before->fair = NULL;
    }
    group->rules = after;
    *rules = before;
}

/* --- At work --------------------------------------------------------------------------------------- */

uint64_t group_filter_reach(const struct group *group, uint64_t wanted)
{
    const uint64_t reach = wanted << group->rules->filter->reach; /* at most 65,536 wanted */
    return reach < PULL_MESSAGES_MAX ? reach : PULL_MESSAGES_MAX;
}

void group_filter_counted(struct pull *pull)
{
    struct group_filter *const filter = pull->group->rules->filter;
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
