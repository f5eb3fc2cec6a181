/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/group_hooks.h"
#include "broker/engine/verb.h"

int group_init(struct engine *engine, struct zsp_err *err)
{
    (void)engine;
    (void)err;
    return 0;
}

void group_fini(struct engine *engine)
{
    (void)engine;
}

int group_entry(struct engine *engine, const struct store_entry *entry, struct zsp_err *err)
{
    (void)engine;
    (void)entry;
    (void)err;
    return 0;
}

int group_start(struct engine *engine, struct zsp_err *err)
{
    (void)engine;
    (void)err;
    return 0;
}

void group_topic_created(struct engine *engine, struct topic *topic)
{
    (void)engine;
    (void)topic;
}

void group_topic_deleted(struct engine *engine, struct topic *topic)
{
    (void)engine;
    (void)topic;
}

void group_partition_advanced(struct engine *engine, struct partition *partition)
{
    (void)engine;
    (void)partition;
}

void group_partition_trimmed(struct engine *engine, struct partition *partition)
{
    (void)engine;
    (void)partition;
}

void group_session_gone(struct engine *engine, uint64_t session, bool release)
{
    (void)engine;
    (void)session;
    (void)release;
}

void group_undelivered(struct engine *engine, uint64_t lease)
{
    (void)engine;
    (void)lease;
}

void group_pump(struct engine *engine)
{
    (void)engine;
}

int group_image(struct engine *engine, struct zsp_slice key, struct zsp_err *err)
{
    (void)engine;
    (void)key;
    (void)err;
    return 0;
}

void group_stats(const struct engine *engine, struct engine_stats *ret)
{
    (void)engine;
    (void)ret;
}

int verb_pull(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    (void)engine;
    (void)request;
    return zsp_err_set(err, ZSP_EUNSUPPORTED, "no groups");
}

int verb_settle(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    (void)engine;
    (void)request;
    return zsp_err_set(err, ZSP_EUNSUPPORTED, "no groups");
}

int verb_seek(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    (void)engine;
    (void)request;
    return zsp_err_set(err, ZSP_EUNSUPPORTED, "no groups");
}

int verb_group_create(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    (void)engine;
    (void)request;
    return zsp_err_set(err, ZSP_EUNSUPPORTED, "no groups");
}

int verb_group_set(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    (void)engine;
    (void)request;
    return zsp_err_set(err, ZSP_EUNSUPPORTED, "no groups");
}

int verb_group_info(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    (void)engine;
    (void)request;
    return zsp_err_set(err, ZSP_EUNSUPPORTED, "no groups");
}

int verb_group_list(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    (void)engine;
    (void)request;
    return zsp_err_set(err, ZSP_EUNSUPPORTED, "no groups");
}

int verb_group_delete(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    (void)engine;
    (void)request;
    return zsp_err_set(err, ZSP_EUNSUPPORTED, "no groups");
}
