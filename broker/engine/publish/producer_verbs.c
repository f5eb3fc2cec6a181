/* SPDX-License-Identifier: MPL-2.0
 *
 * PRODUCER.OPEN and PRODUCER.INFO.
 */
#include <stdio.h>

#include "broker/engine/engine_priv.h"
#include "broker/engine/publish/producer.h"
#include "broker/engine/verb.h"

struct producer_args {
    struct zsp_slice producer, topic;
    struct wire_uint ephemeral;
};
#define PLACE(field) offsetof(struct producer_args, field)

static const struct wire_arg open_table[] = {
    {"producer", WIRE_NAME, PLACE(producer), true, 0, 0},
    {"ephemeral", WIRE_BOOL, PLACE(ephemeral), false, 0, 0},
};

static const struct wire_arg info_table[] = {
    {"producer", WIRE_NAME, PLACE(producer), true, 0, 0},
    {"topic", WIRE_NAME, PLACE(topic), false, 0, 0},
};

int verb_producer_open(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    struct producer_args args = {0};
    const int rc =
        wire_args(request->args, open_table, sizeof open_table / sizeof open_table[0], &args, err);
    if (rc != 0) {
        return rc;
    }
    return producer_open(engine, args.producer, args.ephemeral.value != 0, &request->to, err);
}

int verb_producer_info(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    struct producer_args args = {0};
    const int rc =
        wire_args(request->args, info_table, sizeof info_table / sizeof info_table[0], &args, err);
    if (rc != 0) {
        return rc;
    }
    const struct producer *const producer = producer_find(engine, args.producer);
    if (!producer || producer->epoch == 0) {
        char object[ZSP_NAME_MAX + 12];
        (void)snprintf(object, sizeof object, "producer %.*s", (int)args.producer.len,
                       (const char *)args.producer.data);
        zsp_err_set(err, ZSP_ENOT_FOUND, "%s: unknown, or expired", object);
        zsp_err_detail(err, object, NULL, NULL);
        return ZSP_ENOT_FOUND;
    }
    producer_reply(engine, producer, args.topic, &request->to);
    return 0;
}
