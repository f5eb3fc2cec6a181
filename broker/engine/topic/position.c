/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/topic/position.h"

#include <inttypes.h>
#include <stdio.h>

#include "broker/engine/publish/dedup.h"
#include "common/assert.h"

uint64_t position_clamp(const struct partition *partition, uint64_t offset)
{
    if (offset < partition->start_offset) {
        return partition->start_offset;
    }
    return offset > partition->synced_offset ? partition->synced_offset : offset;
}

static int check_offset(const struct partition *partition, uint64_t offset, struct zsp_err *err)
{
    if (offset >= partition->start_offset && offset <= partition->synced_offset) {
        return 0;
    }
    char wanted[64];
    char got[32];
    (void)snprintf(wanted, sizeof wanted, "%" PRIu64 "..%" PRIu64, partition->start_offset,
                   partition->synced_offset);
    (void)snprintf(got, sizeof got, "%" PRIu64, offset);
    zsp_err_set(err, ZSP_EOUT_OF_RANGE, "%s: partition %u: offset %s is not in %s",
                partition->topic->object, partition->index, got, wanted);
    zsp_err_detail(err, partition->topic->object, wanted, got);
    return ZSP_EOUT_OF_RANGE;
}

/* `value` as a time that fits; beyond is the far future, which clamps to the mark. */
static int64_t clamp_time(uint64_t value)
{
    return value > (uint64_t)INT64_MAX ? INT64_MAX : (int64_t)value;
}

int position_resolve(const struct engine *engine, const struct partition *partition,
                     const struct wire_position *position, struct position_place *ret,
                     struct zsp_err *err)
{
    const uint64_t kept = partition->synced_offset - partition->start_offset;
    struct position_place place = {0};
    switch (position->kind) {
    case WIRE_POSITION_NONE:
    case WIRE_POSITION_EARLIEST:
        place.offset = partition->start_offset;
        break;
    case WIRE_POSITION_LATEST:
        place.offset = partition->synced_offset;
        break;
    case WIRE_POSITION_OFFSET:
        place.offset = position->value;
        if (check_offset(partition, position->value, err)) {
            return ZSP_EOUT_OF_RANGE;
        }
        break;
    case WIRE_POSITION_LAST:
        place.offset = partition->synced_offset - (position->value < kept ? position->value : kept);
        break;
    case WIRE_POSITION_TIME:
        place.ask_time = true;
        place.time_ms = clamp_time(position->value);
        break;
    case WIRE_POSITION_AGO:
        place.ask_time = true;
        place.time_ms = engine->now.wall_ms - clamp_time(position->value);
        if (place.time_ms < 0) {
            place.time_ms = 0;
        }
        break;
    case WIRE_POSITION_ID:
        if (dedup_require(engine, partition->topic, err)) {
            return ZSP_EUNSUPPORTED;
        }
        place.ask_id = true;
        break;
    }
    *ret = place;
    return 0;
}
