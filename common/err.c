/* SPDX-License-Identifier: MPL-2.0 */
#include "common/err.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Codes above this one travel in ERR replies, codes from it on never do. */
#define FIRST_LOCAL_CODE (-101)

struct err_row {
    const char *wire; /* the protocol name */
    const char *sentence;
    int code;
    bool retriable;
};

static const struct err_row err_rows[] = {
#define ERR_ROW(name, value, wire, retriable, sentence) {wire, sentence, ZSP_##name, retriable},
    ZSP_ERR_TABLE(ERR_ROW)
#undef ERR_ROW
};

static const struct err_row *row_of(int code)
{
    for (size_t i = 0; i < sizeof err_rows / sizeof err_rows[0]; i++) {
        if (err_rows[i].code == code) {
            return &err_rows[i];
        }
    }
    return NULL;
}

/* The longest length <= `len` that does not end inside a UTF-8 sequence. The
 * text may hold anything; at most three bytes are given up. */
static size_t utf8_floor(const char *text, size_t len)
{
    size_t start = len;
    while (start > 0 && len - start < 3 && ((unsigned char)text[start - 1] & 0xc0) == 0x80) {
        start--;
    }
    if (start == 0) {
        return len;
    }
    const unsigned char lead = (unsigned char)text[start - 1];
    const size_t have = len - (start - 1);
    size_t want = 1;
    if (lead >= 0xf0) {
        want = 4;
    } else if (lead >= 0xe0) {
        want = 3;
    } else if (lead >= 0xc0) {
        want = 2;
    }
    return have < want ? start - 1 : len;
}

/* `capacity` bytes at `text` hold what a snprintf left there; `wanted` is its
 * result. Cut on a UTF-8 boundary when it did not fit. */
static void trim_cut(char *text, size_t capacity, int wanted)
{
    if (wanted < 0) {
        text[0] = '\0';
    } else if ((size_t)wanted >= capacity) {
        text[utf8_floor(text, capacity - 1)] = '\0';
    }
}

static void copy_cut(char *to, size_t capacity, const char *from)
{
    trim_cut(to, capacity, snprintf(to, capacity, "%s", from));
}

ZSP_PRINTF(3, 0)
static void begin_report(struct zsp_err *err, int code, const char *format, va_list args)
{
    memset(err, 0, sizeof *err);
    err->code = code;
    trim_cut(err->msg, sizeof err->msg, vsnprintf(err->msg, sizeof err->msg, format, args));
}

int zsp_err_set(struct zsp_err *err, int code, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        begin_report(err, code, format, args);
        va_end(args);
    }
    return code;
}

int zsp_err_set_about(struct zsp_err *err, int code, const char *object, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        begin_report(err, code, format, args);
        va_end(args);
        zsp_err_detail(err, object, NULL, NULL);
    }
    return code;
}

int zsp_err_set_errno(struct zsp_err *err, int code, int sys_errno, const char *format, ...)
{
    if (!err) {
        return code;
    }
    va_list args;
    va_start(args, format);
    begin_report(err, code, format, args);
    va_end(args);

    char reason[128];
    if (strerror_r(sys_errno, reason, sizeof reason) != 0) {
        (void)snprintf(reason, sizeof reason, "errno %d", sys_errno); /* cannot be cut */
    }
    err->sys_errno = sys_errno;
    const size_t used = strlen(err->msg);
    const size_t room = sizeof err->msg - used;
    trim_cut(err->msg + used, room, snprintf(err->msg + used, room, ": %s", reason));
    return code;
}

int zsp_err_wrap(struct zsp_err *err, const char *format, ...)
{
    if (!err) {
        return ZSP_OK;
    }
    char place[sizeof err->msg];
    va_list args;
    va_start(args, format);
    trim_cut(place, sizeof place, vsnprintf(place, sizeof place, format, args));
    va_end(args);

    char whole[2 * sizeof err->msg + 2];
    (void)snprintf(whole, sizeof whole, "%s: %s", place, err->msg); /* always fits */
    copy_cut(err->msg, sizeof err->msg, whole);
    return err->code;
}

void zsp_err_detail(struct zsp_err *err, const char *object, const char *wanted, const char *got)
{
    if (!err) {
        return;
    }
    if (object) {
        copy_cut(err->object, sizeof err->object, object);
    }
    if (wanted) {
        copy_cut(err->wanted, sizeof err->wanted, wanted);
    }
    if (got) {
        copy_cut(err->got, sizeof err->got, got);
    }
}

void zsp_err_detail_range(struct zsp_err *err, const char *object, uint64_t min, uint64_t max,
                          uint64_t got)
{
    char wanted_text[48];
    char got_text[24];
    (void)snprintf(wanted_text, sizeof wanted_text, "%" PRIu64 "..%" PRIu64, min, max);
    (void)snprintf(got_text, sizeof got_text, "%" PRIu64, got);
    zsp_err_detail(err, object, wanted_text, got_text);
}

const char *zsp_strerror(int code)
{
    const struct err_row *row = row_of(code);
    if (row) {
        return row->sentence;
    }
    return code == ZSP_OK ? "no error" : "unknown error";
}

const char *zsp_err_wire_name(int code)
{
    const struct err_row *row = row_of(code);
    return row ? row->wire : "internal";
}

int zsp_err_from_wire(const char *name, unsigned long len)
{
    for (size_t i = 0; i < sizeof err_rows / sizeof err_rows[0]; i++) {
        const struct err_row *row = &err_rows[i];
        const bool sent = row->code > FIRST_LOCAL_CODE;
        if (sent && strlen(row->wire) == len && memcmp(row->wire, name, len) == 0) {
            return row->code;
        }
    }
    return ZSP_EINTERNAL;
}

bool zsp_err_retriable(int code)
{
    const struct err_row *row = row_of(code);
    return row && row->retriable;
}
