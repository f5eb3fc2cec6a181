/* SPDX-License-Identifier: MPL-2.0
 *
 * STATS: every counter of the engine, of the store and of the host, by name.
 */
#include "broker/engine/engine_priv.h"
#include "broker/engine/verb.h"

struct figure {
    const char *name;
    size_t place;
};

#define ENGINE(field)                                \
    {                                                \
#field, offsetof(struct engine_stats, field) \
    }
static const struct figure engine_figures[] = {
    ENGINE(published_messages), ENGINE(published_bytes),  ENGINE(duplicate_messages),
    ENGINE(delivered_messages), ENGINE(settled_messages), ENGINE(redelivered_messages),
    ENGINE(dead_messages),      ENGINE(topic_count),      ENGINE(group_count),
    ENGINE(partition_count),    ENGINE(lease_count),      ENGINE(parked_count),
    ENGINE(producer_count),     ENGINE(stored_bytes),     ENGINE(expired_messages),
};

#define STORE(field)                                \
    {                                               \
#field, offsetof(struct store_stats, field) \
    }
static const struct figure store_figures[] = {
    STORE(appended_batches),   STORE(appended_bytes),   STORE(commit_cycles),
    STORE(synced_files),       STORE(read_requests),    STORE(tail_reads),
    STORE(shared_reads),       STORE(read_cache_bytes), STORE(cold_reads),
    STORE(journal_records),    STORE(journal_bytes),    STORE(unsynced_bytes),
    STORE(journal_file_count), STORE(waiting_bytes),    STORE(tail_bytes),
    STORE(free_bytes),         STORE(cut_bytes),        STORE(open_file_count),
};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static void write_figures(struct zsp_writer *out, const struct figure *table, size_t count,
                          const void *figures)
{
    for (size_t i = 0; i < count; i++) {
        const void *const place = (const char *)figures + table[i].place;
        wire_write_text_uint(out, table[i].name, *(const uint64_t *)place);
    }
}

int verb_stats(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    const int rc = wire_args(request->args, NULL, 0, NULL, err);
    if (rc != 0) {
        return rc;
    }
    struct engine_stats engine_stats_now = {0};
    struct store_stats store_stats_now = {0};
    engine_stats(engine, &engine_stats_now);
    engine->store->ops->stats(engine->store, &store_stats_now);
    struct engine_figure host[ENGINE_FIGURES_MAX];
    const struct engine_options *const options = &engine->options;
    const size_t host_count =
        options->figures_fn ? options->figures_fn(options->figures_arg, host, ENGINE_FIGURES_MAX)
                            : 0;
    struct zsp_writer *const out = reply_begin(engine, &request->to);
    wire_write_map(out, (uint32_t)(COUNT(engine_figures) + COUNT(store_figures) + host_count));
    write_figures(out, engine_figures, COUNT(engine_figures), &engine_stats_now);
    write_figures(out, store_figures, COUNT(store_figures), &store_stats_now);
    for (size_t i = 0; i < host_count; i++) {
        wire_write_text_uint(out, host[i].name, host[i].value);
    }
    reply_end(engine);
    return 0;
}
