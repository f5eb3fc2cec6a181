/* SPDX-License-Identifier: MPL-2.0
 *
 * The check of the files of ids and of priorities. They are derived, and one that is missing is no
 * damage: most segments have none.
 */
#include "broker/store/check/check_priv.h"
#include "broker/store/index/id_file.h"
#include "broker/store/index/terms_file.h"
#include "broker/store/partition/part_facts.h"

#include <stdlib.h>

static void tell_bad(struct check *self, const char *path, const char *why)
{
    const struct check_finding finding = {
        .severity = CHECK_DAMAGE,
        .path = path,
        .pos = CHECK_NO_POS,
        .end_pos = CHECK_NO_POS,
        .remedy = {.kind = CHECK_REMOVE_IDS},
    };
    check_tell(self, &finding, "%s", why);
}

/* Is it a valid file of a segment with these facts? Errors: ZSP_ECORRUPT, ZSP_ENOMEM */
typedef int valid_fn(struct zsp_slice bytes, const struct index_facts *want,
                     const struct batch_place *place, struct zsp_err *err);

static int valid_ids(struct zsp_slice bytes, const struct index_facts *want,
                     const struct batch_place *place, struct zsp_err *err)
{
    struct id_entry *entries = NULL;
    uint32_t count;
    const int rc = id_file_decode(bytes, want, place, &entries, &count, err);
    if (rc == 0) {
        free(entries);
    }
    return rc;
}

static int valid_terms(struct zsp_slice bytes, const struct index_facts *want,
                       const struct batch_place *place, struct zsp_err *err)
{
    return terms_file_decode(bytes, want, place, NULL, err);
}

static int check_derived(struct check *self, const char *path, uint64_t bytes_max, valid_fn *valid,
                         const struct batch_place *place, const struct sealed_fact *fact,
                         struct zsp_err *err)
{
    const struct index_facts want = {fact->base_offset, fact->end_offset, fact->bytes,
                                     fact->max_timestamp_ms};
    struct zsp_writer bytes = {0};
    struct zsp_err why = {0};
    int rc = layout_read_file(self->fs, path, bytes_max, &bytes, &why);
    if (rc == 0) {
        self->summary.read_bytes += bytes.len;
        rc = valid(zsp_writer_slice(&bytes), &want, place, &why);
    }
    zsp_writer_fini(&bytes);
    if (rc == ZSP_ENOMEM) {
        return zsp_err_set(err, rc, "%s", path);
    }
    if (rc < 0 && rc != ZSP_ENOT_FOUND) {
        tell_bad(self, path, why.msg);
    }
    return 0;
}

int check_ids(struct check *self, const char *directory, const struct batch_place *place,
              const struct sealed_fact *fact, struct zsp_err *err)
{
    char path[LAYOUT_PATH_MAX];
    layout_generation_path(path, directory, fact->number, fact->generation, ".ids");
    const uint64_t max = id_file_bytes_max(fact->end_offset - fact->base_offset);
    return check_derived(self, path, max, valid_ids, place, fact, err);
}

int check_terms(struct check *self, const char *directory, const struct batch_place *place,
                const struct sealed_fact *fact, struct zsp_err *err)
{
    char path[LAYOUT_PATH_MAX];
    layout_generation_path(path, directory, fact->number, fact->generation, ".pri");
    const uint64_t max = terms_file_bytes_max(fact->end_offset - fact->base_offset);
    return check_derived(self, path, max, valid_terms, place, fact, err);
}
