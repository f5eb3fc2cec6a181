/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/group_rules.h"

#include <stdlib.h>

#include "broker/engine/fair.h"
#include "broker/engine/group.h"
#include "broker/engine/pull.h"

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

static bool is_new(const struct group *group, const struct group_settings *settings,
                   enum setting_text which)
{
    return group_settings_of(group)->texts.of[which] != settings->texts.of[which];
}

int group_rules_make(const struct group *group, const struct group_settings *settings,
                     struct group_rules *ret, struct zsp_err *err)
{
    const struct zsp_slice filter = setting_text(&settings->texts, TEXT_FILTER);
    const struct zsp_slice fair_by = setting_text(&settings->texts, TEXT_FAIR_BY);
    struct group_rules made = {.has_filter = is_new(group, settings, TEXT_FILTER),
                               .has_fair = is_new(group, settings, TEXT_FAIR_BY)};
    int rc = group_settings_keep(settings, &made.settings);
    if (rc == 0 && made.has_filter && filter.data) {
        made.filter = make_filter(filter);
        rc = made.filter ? 0 : ZSP_ENOMEM;
    }
    if (rc == 0 && made.has_fair && fair_by.data) {
        made.fair = group_fair_new(fair_by);
        rc = made.fair ? 0 : ZSP_ENOMEM;
    }
    if (rc < 0) {
        group_rules_fini(&made);
        return zsp_err_set(err, rc, "%s: out of memory", group->object);
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

void group_rules_swap(struct group *group, struct group_rules *rules)
{
    struct group_settings *const settings = group->settings;
    group->settings = rules->settings;
    rules->settings = settings;
    if (rules->has_filter) {
        struct group_filter *const filter = group->filter;
        group->filter = rules->filter;
        rules->filter = filter;
    }
    if (rules->has_fair) {
        struct group_fair *const fair = group->fair;
        drop_windows(group);
        group->fair = rules->fair;
        rules->fair = fair;
    }
}

void group_rules_fini(struct group_rules *self)
{
    group_settings_forget(&self->settings);
    destroy_filter(&self->filter);
    group_fair_destroy(&self->fair);
}

void group_rules_drop(struct group *group)
{
    group_settings_forget(&group->settings);
    destroy_filter(&group->filter);
    group_fair_destroy(&group->fair);
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
