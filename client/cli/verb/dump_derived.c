/* SPDX-License-Identifier: MPL-2.0 */
#include "client/cli/verb/dump_derived.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/store/index/id_file.h"
#include "broker/store/index/index.h"
#include "broker/store/index/paged_file.h"
#include "broker/store/index/terms_file.h"
#include "client/cli/cli.h"
#include "client/cli/json.h"

static void print_facts(const struct index_facts *facts, uint32_t count, const char *what)
{
    if (!cli_common.json) {
        printf("segment of offsets %" PRIu64 " to %" PRIu64 ", %" PRIu64 " bytes, %" PRIu32 " %s\n",
               facts->base_offset, facts->end_offset, facts->bytes, count, what);
    }
}

/* --- .idx ----------------------------------------------------------------------------------- */

static void print_index_entry(const struct index_entry *entry)
{
    if (cli_common.json) {
        struct json json = json_begin();
        json_uint(&json, "offset", entry->offset);
        json_uint(&json, "pos", entry->pos);
        if (entry->max_before_ms == INT64_MIN) {
            json_null(&json, "max_before");
        } else {
            json_time(&json, "max_before", entry->max_before_ms);
        }
        json_end(&json);
        return;
    }
    char time[32] = "none";
    if (entry->max_before_ms != INT64_MIN) {
        cli_write_time(entry->max_before_ms, time);
    }
    printf("offset %" PRIu64 " at pos %" PRIu64 ", highest timestamp before it %s\n", entry->offset,
           entry->pos, time);
}

int dump_index(struct zsp_slice bytes, const struct batch_place *place, struct zsp_err *err)
{
    struct index_facts facts;
    struct seg_index index = {0};
    if (!index_peek(bytes, &facts)) {
        return zsp_err_set(err, ZSP_ECORRUPT, "this is no index");
    }
    const int rc = index_decode(bytes, &facts, place, &index, err);
    print_facts(&facts, index.count, "entries");
    for (size_t i = 0; i < index.count && !ferror(stdout); i++) {
        print_index_entry(&index.entries[i]);
    }
    index_fini(&index);
    return rc;
}

/* --- .ids ----------------------------------------------------------------------------------- */

static void print_id(uint64_t offset, uint64_t print)
{
    char hex[17];
    (void)snprintf(hex, sizeof hex, "%016" PRIx64, print);
    if (cli_common.json) {
        struct json json = json_begin();
        json_text(&json, "fingerprint", hex);
        json_uint(&json, "offset", offset);
        json_end(&json);
    } else {
        printf("fingerprint %s at offset %" PRIu64 "\n", hex, offset);
    }
}

int dump_ids(struct zsp_slice bytes, const struct batch_place *place, struct zsp_err *err)
{
    struct index_facts facts;
    struct id_entry *entries = NULL;
    uint32_t count = 0;
    if (!paged_peek_facts(bytes, &facts)) {
        return zsp_err_set(err, ZSP_ECORRUPT, "this is no file of ids");
    }
    const int rc = id_file_decode(bytes, &facts, place, &entries, &count, err);
    print_facts(&facts, count, "ids");
    for (uint32_t i = 0; i < count && !ferror(stdout); i++) {
        print_id(facts.base_offset + entries[i].delta, entries[i].print);
    }
    free(entries);
    return rc;
}

/* --- .pri ----------------------------------------------------------------------------------- */

static void print_terms(const struct store_terms *terms)
{
    if (cli_common.json) {
        struct json json = json_begin();
        json_uint(&json, "offset", terms->first_offset);
        json_uint(&json, "end_offset", terms->end_offset);
        json_uint(&json, "priority", terms->priority);
        if (terms->not_before_ms != 0) {
            json_time(&json, "not_before", terms->not_before_ms);
        }
        json_end(&json);
        return;
    }
    printf("offsets %" PRIu64 " to %" PRIu64 ", priority %u", terms->first_offset,
           terms->end_offset, terms->priority);
    if (terms->not_before_ms != 0) {
        char time[32];
        cli_write_time(terms->not_before_ms, time);
        printf(", not before %s", time);
    }
    putchar('\n');
}

int dump_terms(struct zsp_slice bytes, const struct batch_place *place, struct zsp_err *err)
{
    struct index_facts facts;
    struct terms_list list = {0};
    if (!paged_peek_facts(bytes, &facts)) {
        return zsp_err_set(err, ZSP_ECORRUPT, "this is no file of priorities");
    }
    const int rc = terms_file_decode(bytes, &facts, place, &list, err);
    print_facts(&facts, list.count, "stretches");
    for (uint32_t i = 0; i < list.count && !ferror(stdout); i++) {
        print_terms(&list.items[i]);
    }
    terms_list_fini(&list);
    return rc;
}
