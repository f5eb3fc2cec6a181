/* SPDX-License-Identifier: MPL-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "broker/engine/dead/letters.h"
#include "common/limits.h"
#include "common/record.h"

/* Headers that tell where a copy is from. */
enum origin_header {
    TOPIC,
    PARTITION,
    OFFSET,
    GROUP,
    DELIVERIES,
    FAILURES,
    DIED,
    REASON,
    COPIES,
    HEADERS
};

static const char *const names[HEADERS] = {"zspool-topic", "zspool-partition",  "zspool-offset",
                                           "zspool-group", "zspool-deliveries", "zspool-failures",
                                           "zspool-died",  "zspool-reason",     "zspool-copies"};

static bool is_ours(struct zsp_slice name)
{
    for (int i = 0; i < HEADERS; i++) {
        if (zsp_slice_equal_str(name, names[i])) {
            return true;
        }
    }
    return false;
}

static void write_number(struct zsp_writer *out, enum origin_header which, uint64_t number)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, number);
    zsp_record_write_header(out, zsp_slice_str(names[which]), zsp_slice_str(text), true);
}

/* Headers of the message that stay: a copy of a copy tells of the last way. */
static uint32_t count_kept(const struct zsp_record *record)
{
    struct zsp_slice rest = zsp_record_headers(record);
    struct zsp_slice name, value;
    bool is_text = false;
    uint32_t count = 0;
    while (zsp_record_header_next(&rest, &name, &value, &is_text) == 0) {
        count += is_ours(name) ? 0 : 1;
    }
    return count;
}

static void write_kept(struct zsp_writer *out, const struct zsp_record *record)
{
    struct zsp_slice rest = zsp_record_headers(record);
    struct zsp_slice name, value;
    bool is_text = false;
    while (zsp_record_header_next(&rest, &name, &value, &is_text) == 0) {
        if (!is_ours(name)) {
            zsp_record_write_header(out, name, value, is_text);
        }
    }
}

static void write_origin(struct zsp_writer *out, const struct letter_origin *origin,
                         uint64_t offset)
{
    const struct run *const run = origin->run;
    zsp_record_write_header(out, zsp_slice_str(names[TOPIC]), origin->topic, true);
    write_number(out, PARTITION, origin->partition);
    write_number(out, OFFSET, offset);
    zsp_record_write_header(out, zsp_slice_str(names[GROUP]), origin->group, true);
    write_number(out, DELIVERIES, run->deliveries);
    write_number(out, FAILURES, run->failures);
    write_number(out, DIED, (uint64_t)run->due_ms);
    if (reasons_count(origin->reasons, run->reasons) > 0) {
        zsp_record_write_header(out, zsp_slice_str(names[REASON]),
                                reasons_text(origin->reasons, run->reasons, 0), true);
    }
}

/* How often the message was copied on its way here. The first copy does not tell. */
static uint32_t copies_of(const struct zsp_record *record)
{
    struct zsp_slice rest = zsp_record_headers(record);
    struct zsp_slice name, value;
    bool is_text = false;
    bool is_copy = false;
    uint32_t told = 0;
    while (zsp_record_header_next(&rest, &name, &value, &is_text) == 0) {
        is_copy = is_copy || zsp_slice_equal_str(name, names[GROUP]);
        if (!zsp_slice_equal_str(name, names[COPIES])) {
            continue;
        }
        for (size_t i = 0; i < value.len && i < 4; i++) {
            const uint8_t digit = (uint8_t)(value.data[i] - '0');
            told = told * 10 + (digit <= 9 ? digit : 0);
        }
    }
    return told > 0 ? told : is_copy;
}

/* False = it has no room for the headers, or goes in circles. */
static bool write_copy(struct zsp_writer *out, const struct letter_origin *origin,
                       const struct zsp_record *record, uint64_t offset)
{
    const bool has_reason = reasons_count(origin->reasons, origin->run->reasons) > 0;
    const uint32_t copies = copies_of(record) + 1;
    const uint32_t own = HEADERS - (has_reason ? 0u : 1u) - (copies > 1 ? 0u : 1u);
    const uint32_t kept = count_kept(record);
    struct zsp_writer headers = {0};
    struct zsp_record copy = *record;
    const size_t before = out->len;
    if (kept + own > ZSP_HEADERS_MAX || copies > LETTER_COPIES_MAX) {
        return false;
    }
    zsp_record_write_headers_begin(&headers, kept + own);
    write_kept(&headers, record);
    write_origin(&headers, origin, offset);
    if (copies > 1) {
        write_number(&headers, COPIES, copies);
    }
    copy.headers = zsp_writer_slice(&headers);
    copy.header_count = kept + own;
    zsp_record_write(out, &copy);
    out->failed = out->failed || headers.failed;
    zsp_writer_fini(&headers);
    if (!out->failed && out->len - before > ZSP_RECORD_MAX) {
        out->len = before;
        return false;
    }
    return true;
}

int letter_write(struct zsp_writer *out, const struct letter_origin *origin, struct zsp_slice body,
                 uint64_t first, uint32_t *ret_count, struct zsp_err *err)
{
    uint32_t count = 0;
    struct zsp_record record;
    int rc = 0;
    while ((rc = zsp_record_take(&body, &record)) == 0) {
        const size_t before = out->len;
        if (!write_copy(out, origin, &record, first + count)) {
            break;
        }
        if (out->len > ZSP_FRAME_MAX && count > 0) {
            out->len = before;
            break;
        }
        count++;
    }
    if (rc < 0) {
        return zsp_err_set(err, ZSP_EBAD_RECORD, "a stored record cannot be read");
    }
    *ret_count = count;
    return out->failed ? zsp_err_set(err, ZSP_ENOMEM, "dead letter: out of memory") : 0;
}
