/* SPDX-License-Identifier: MPL-2.0
 *
 * Where a reader is in each partition: told to the host, and taken from one that was there before.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/src/base/range_check.h"
#include "client/src/reader/reader_priv.h"
#include "client/src/result.h"

/* --- Taken ---------------------------------------------------------------------------- */

static int check_place(const zspool_reader_options_t *options, size_t index, struct zsp_err *err)
{
    const zspool_reader_place_t *places = options->places;
    const uint32_t partition = places[index].partition;
    const int rc =
        zsp_range_check(ZSP_EINVAL, "partition", partition, 0, ZSP_PARTITIONS_MAX - 1, err);
    if (rc != 0) {
        return rc;
    }
    if (options->partition != ZSPOOL_PARTITION_ALL && partition != (uint32_t)options->partition) {
        return zsp_err_set_about(err, ZSP_EINVAL, "places",
                                 "a place in partition %u, and partition %d alone is read",
                                 (unsigned)partition, (int)options->partition);
    }
    for (size_t i = 0; i < index; i++) {
        if (places[i].partition == partition) {
            return zsp_err_set_about(err, ZSP_EINVAL, "places", "two places in partition %u",
                                     (unsigned)partition);
        }
    }
    return 0;
}

int zsp_reader_take_places(struct zspool_reader *self, struct zsp_err *err)
{
    zspool_reader_options_t *options = &self->options;
    const size_t count = options->place_count;
    int rc =
        zsp_list_check(ZSP_EINVAL, "place_count", options->places, count, ZSP_PARTITIONS_MAX, err);
    if (rc == 0 && count > 0 && options->from.kind == ZSPOOL_POSITION_ID) {
        rc = zsp_err_set_about(err, ZSP_EINVAL, "places", "a reader begins at places, or at an id");
    }
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = check_place(options, i, err);
    }
    if (rc == 0 && count > 0) {
        self->places = calloc(count, sizeof *self->places);
        if (!self->places) {
            return zsp_err_set(err, ZSP_ENOMEM, "no memory for a reader");
        }
        memcpy(self->places, options->places, count * sizeof *self->places);
        self->place_count = count;
    }
    options->places = NULL;
    return rc;
}

/* Is the place one that a partition has had? Its row in TOPIC.INFO is [partition, start, end, ...]. */
static int check_in_log(const struct zspool_reader *self, const zspool_reader_place_t *place,
                        const msgpack_object_array *rows, struct zsp_err *err)
{
    char object[ZSP_NAME_MAX + 32];
    (void)snprintf(object, sizeof object, "topic %s", self->topic);
    if (place->partition >= rows->size) {
        zsp_err_set(err, ZSP_ENOT_FOUND, "%s: no partition %u, it has %u", object,
                    (unsigned)place->partition, (unsigned)rows->size);
        zsp_err_detail_range(err, object, 0, rows->size - 1, place->partition);
        return ZSP_ENOT_FOUND;
    }
    uint64_t log[2] = {0};
    if (!zsp_reply_numbers(&rows->ptr[place->partition], 1, log, 2)) {
        return zsp_err_set_about(err, ZSP_EBAD_REQUEST, object,
                                 "%s: the broker's answer cannot be read", object);
    }
    const uint64_t start = log[0];
    const uint64_t end = log[1];
    if (place->offset > end) {
        zsp_err_set(err, ZSP_EOUT_OF_RANGE, "%s: partition %u: offset %llu is beyond the end %llu",
                    object, (unsigned)place->partition, (unsigned long long)place->offset,
                    (unsigned long long)end);
        zsp_err_detail_range(err, object, start, end, place->offset);
        return ZSP_EOUT_OF_RANGE;
    }
    return 0;
}

int zsp_reader_check_places(const struct zspool_reader *self, const msgpack_object_array *rows,
                            struct zsp_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < self->place_count && rc == 0; i++) {
        rc = check_in_log(self, &self->places[i], rows, err);
    }
    return rc;
}

void zsp_reader_place_shelves(struct zspool_reader *self)
{
    for (uint32_t i = 0; i < self->shelf_count && self->place_count > 0; i++) {
        self->shelves[i]->is_later = true; /* unless it has a place */
    }
    for (size_t i = 0; i < self->place_count; i++) {
        const zspool_reader_place_t *place = &self->places[i];
        const bool all = self->options.partition == ZSPOOL_PARTITION_ALL;
        struct zsp_shelf *shelf = self->shelves[all ? place->partition : 0];
        shelf->is_later = false;
        shelf->placed = true;
        shelf->next_offset = place->offset;
    }
}

/* --- Told ------------------------------------------------------------------------------ */

/* Is it known what the host gets next from there? */
static bool is_known(const struct zsp_shelf *shelf)
{
    return shelf->begun || shelf->placed;
}

int zspool_reader_places(zspool_reader_t *self, zspool_reader_place_t *ret_places, size_t max)
{
    if (!self || !zsp_client_usable(self->client) || (!ret_places && max > 0)) {
        return ZSPOOL_EINVAL;
    }
    int count = 0;
    zsp_link_lock(self->client->link);
    for (uint32_t i = 0; i < self->shelf_count; i++) {
        const struct zsp_shelf *shelf = self->shelves[i];
        const struct zsp_parcel *next = TAILQ_FIRST(&shelf->parcels);
        if (!is_known(shelf) && !shelf->is_later && !shelf->finished) {
            count = 0; /* the others alone would look as if this one had come later */
            break;
        }
        if (is_known(shelf) && (size_t)count < max) {
            ret_places[count] = (zspool_reader_place_t){
                .partition = shelf->partition,
                .offset = next ? zsp_parcel_offset(next) : shelf->next_offset,
            };
        }
        count += is_known(shelf);
    }
    zsp_link_unlock(self->client->link);
    return count;
}
