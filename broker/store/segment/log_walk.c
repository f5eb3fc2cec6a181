/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/segment/log_walk.h"

/* Does a header behind the place prove a mark above it? Raises `proven`. */
static int search_proof(struct log_walk *self, uint64_t end, struct zsp_err *err)
{
    struct scan *scan = &self->scan;
    if (end - scan->place.pos > self->search_bytes) {
        end = scan->place.pos + self->search_bytes;
    }
    uint64_t pos = scan->place.pos;
    for (;;) {
        struct batch_header header;
        const int rc = scan_find(scan, pos + BATCH_ALIGN, end, &header, &pos, err);
        if (rc != SCAN_BATCH) {
            return rc < 0 ? rc : 0;
        }
        if (header.synced_to > self->proven) {
            self->proven = header.synced_to;
        }
    }
}

/* The check failed below the proven mark: go on behind the damage, if anything good follows. */
static int find_resume(struct log_walk *self, struct walk_gap *gap, struct zsp_err *err)
{
    struct scan *scan = &self->scan;
    gap->first_offset = scan->offset;
    gap->end_offset = self->proven;
    gap->end_pos = scan->file_bytes;
    uint64_t pos = scan->place.pos;
    struct batch_header header;
    int rc;
    do {
        rc = scan_find(scan, pos + BATCH_ALIGN, scan->file_bytes, &header, &pos, err);
    } while (rc == SCAN_BATCH && header.batch.first_offset <= scan->offset);
    if (rc < 0) {
        return rc;
    }
    if (rc == SCAN_BATCH) {
        gap->end_offset = header.batch.first_offset;
        gap->end_pos = pos;
        gap->resumed = true;
        scan->place.pos = pos;
        scan->offset = header.batch.first_offset;
        scan->epoch = header.epoch;
    }
    return WALK_DAMAGE;
}

/* The walk met something else than a batch. */
static int judge_gap(struct log_walk *self, struct walk_gap *gap, struct zsp_err *err)
{
    struct scan *scan = &self->scan;
    uint64_t end;
    int rc = scan_nonzero_end(scan, scan->place.pos, &end, err);
    if (rc == 0 && end > scan->place.pos) {
        rc = search_proof(self, end, err);
    }
    if (rc < 0) {
        return rc;
    }
    gap->pos = scan->place.pos;
    gap->end_pos = end;
    if (self->proven > scan->offset) {
        return find_resume(self, gap, err);
    }
    return end > scan->place.pos ? WALK_TORN : WALK_END;
}

int log_walk_next(struct log_walk *self, bool body, struct batch_header *ret,
                  struct walk_gap *ret_gap, struct zsp_err *err)
{
    *ret_gap = (struct walk_gap){0};
    const int rc = scan_next(&self->scan, body, ret, &ret_gap->what);
    if (rc == SCAN_BATCH) {
        if (ret->synced_to > self->proven) {
            self->proven = ret->synced_to;
        }
        return WALK_BATCH;
    }
    if (rc < 0) {
        if (err) {
            *err = ret_gap->what;
        }
        return rc;
    }
    if (rc == SCAN_END) {
        ret_gap->what = (struct zsp_err){0};
    }
    return judge_gap(self, ret_gap, err);
}
