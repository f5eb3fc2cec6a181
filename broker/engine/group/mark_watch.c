/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/group/mark_watch.h"

#include <stddef.h>

#include "broker/engine/group/group.h"
#include "broker/engine/group/group_hooks.h"
#include "broker/engine/ledger/agenda.h"
#include "common/assert.h"

static struct ledger_list *list_of(const struct ledger *ledger)
{
    return ledger->watch == WATCH_LISTENING ? &ledger->partition->listeners : &ledger->group->stale;
}

static void put(struct ledger *ledger, enum mark_watch watch)
{
    zsp_assert(ledger->watch == WATCH_NONE);
    ledger->watch = watch;
    struct ledger_list *const list = list_of(ledger);
    ledger->watch_next = NULL;
    ledger->watch_prev = list->last;
    *(list->last ? &list->last->watch_next : &list->first) = ledger;
    list->last = ledger;
}

void mark_watch_end(struct ledger *ledger)
{
    if (ledger->watch == WATCH_NONE) {
        return;
    }
    struct ledger_list *const list = list_of(ledger);
    *(ledger->watch_prev ? &ledger->watch_prev->watch_next : &list->first) = ledger->watch_next;
    *(ledger->watch_next ? &ledger->watch_next->watch_prev : &list->last) = ledger->watch_prev;
    ledger->watch_next = ledger->watch_prev = NULL;
    ledger->watch = WATCH_NONE;
}

void mark_watch_begin(struct ledger *ledger)
{
    put(ledger, group_is_awaited(ledger->group) ? WATCH_LISTENING : WATCH_STALE);
}

void mark_watch_refresh(struct groups *groups, struct group *group)
{
    while (group->stale.first) {
        struct ledger *const ledger = group->stale.first;
        mark_watch_end(ledger);
        put(ledger, WATCH_LISTENING);
        agenda_tell(groups, ledger);
        group_ledger_changed(groups, ledger);
    }
}

void group_partition_advanced(struct engine *engine, struct partition *partition)
{
    struct ledger *next = NULL;
    for (struct ledger *ledger = partition->listeners.first; ledger; ledger = next) {
        next = ledger->watch_next;
        if (!group_is_awaited(ledger->group)) {
            mark_watch_end(ledger);
            put(ledger, WATCH_STALE);
            continue;
        }
        agenda_tell(engine->groups, ledger);
        group_ledger_changed(engine->groups, ledger);
    }
}
