/* SPDX-License-Identifier: MPL-2.0
 *
 * Errors: one table of codes, and a report that gathers context on its way up.
 *
 * A function that can fail returns 0 or one of these negative codes and, when
 * its last parameter `struct zsp_err *err` is not NULL, describes the failure
 * there. The innermost function sets the fact; outer ones only prepend where
 * they were: "topic orders: segment 7: pos 1048560: header sum 0x1f != 0x9c".
 * An error is reported once: returned, or printed, never both. Cleanup never
 * writes into an err that holds a report.
 */
#ifndef ZSP_ERR_H
#define ZSP_ERR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/compiler.h"

/* X(name, value, protocol name, retriable, sentence). The protocol name is what
 * an ERR reply carries; values are never reused. The codes from -101 are local
 * to one process and never sent. */
#define ZSP_ERR_TABLE(X)                                                                         \
    X(EBAD_REQUEST, -1, "bad_request", false, "the request cannot be read")                      \
    X(EUNKNOWN_VERB, -2, "unknown_verb", false, "no such verb")                                  \
    X(EUNKNOWN_ARGUMENT, -3, "unknown_argument", false, "the verb has no such argument")         \
    X(EBAD_TYPE, -4, "bad_type", false, "an argument has the wrong type")                        \
    X(EBAD_VALUE, -5, "bad_value", false, "an argument is out of its range")                     \
    X(EVERSION_MISMATCH, -6, "version_mismatch", false, "no common protocol version")            \
    X(EUNSUPPORTED, -7, "unsupported", false, "this broker does not have that feature")          \
    X(EHELLO_REQUIRED, -8, "hello_required", true, "this connection has no session")             \
    X(ESESSION_EXPIRED, -9, "session_expired", true, "the session is gone")                      \
    X(EOVER_CREDIT, -10, "over_credit", true, "more unanswered requests than allowed")           \
    X(ETOO_LARGE, -11, "too_large", false, "larger than the limit")                              \
    X(EBAD_RECORD, -12, "bad_record", false, "the body is not a sequence of records")            \
    X(ECOUNT_MISMATCH, -13, "count_mismatch", false, "the body holds another number of records") \
    X(EBAD_NAME, -14, "bad_name", false, "not a legal name")                                     \
    X(ENOT_FOUND, -15, "not_found", false, "no such object")                                     \
    X(EEXISTS, -16, "exists", false, "the object exists already")                                \
    X(EDENIED, -17, "denied", false, "not allowed")                                              \
    X(EFENCED_PRODUCER, -18, "fenced_producer", false,                                           \
      "a newer instance took the producer's name")                                               \
    X(ESEQUENCE_GAP, -19, "sequence_gap", false, "the sequence does not follow the last one")    \
    X(EOUT_OF_RANGE, -20, "out_of_range", false, "the position is not in the log")               \
    X(ENOT_LEASED, -21, "not_leased", false, "the lease is not live")                            \
    X(EMODE_MISMATCH, -22, "mode_mismatch", false, "the group has other settings")               \
    X(EWOULD_REORDER, -23, "would_reorder", false, "it would break an order that was promised")  \
    X(ELIMIT_REACHED, -24, "limit_reached", true, "a configured limit is reached")               \
    X(ETOPIC_FULL, -25, "topic_full", true, "the topic holds all it may hold")                   \
    X(ENO_SPACE, -26, "no_space", true, "the disk is full, or nearly")                           \
    X(EPAUSED, -27, "paused", true, "paused")                                                    \
    X(ECORRUPT, -28, "corrupt", false, "stored data is damaged")                                 \
    X(ESTORAGE_FAILED, -29, "storage_failed", false, "the broker's storage failed")              \
    X(ESHUTTING_DOWN, -30, "shutting_down", true, "the broker is stopping")                      \
    X(EINTERNAL, -31, "internal", false, "a bug in the broker")                                  \
    X(EKEY_REQUIRED, -32, "key_required", false, "the topic wants a key in each message")        \
    X(EINVAL, -101, "invalid", false, "the function was called wrongly; nothing changed")        \
    X(ENOMEM, -102, "no_memory", true, "out of memory")                                          \
    X(EIO, -103, "io", false, "an operating system call failed")                                 \
    X(EAGAIN, -104, "again", true, "not now: full or empty; try again later")                    \
    X(ETIMEOUT, -105, "timeout", true, "no answer in time")                                      \
    X(EINTERRUPTED, -106, "interrupted", true, "interrupted by the caller")                      \
    X(ELOCKED, -107, "locked", false, "another process owns it")                                 \
    X(EFORMAT, -108, "format", false, "made by a newer version; bytes untouched")                \
    X(ECLOSED, -109, "closed", false, "the object was closed")                                   \
    X(EBAD_CONFIG, -110, "bad_config", false, "the configuration is wrong")                      \
    X(EOVERTAKEN, -111, "overtaken", true, "retention took what was to be read next")

enum zsp_code {
    ZSP_OK = 0,
#define ZSP_ERR_ENUM(name, value, wire, retriable, sentence) ZSP_##name = value,
    ZSP_ERR_TABLE(ZSP_ERR_ENUM)
#undef ZSP_ERR_ENUM
};

/* A report. All zero = no error. */
struct zsp_err {
    int code;        /* ZSP_E... */
    int sys_errno;   /* errno of the failed system call, 0 if none was involved */
    bool maybe;      /* the request may have been applied all the same */
    char msg[256];   /* for people: object, place, wanted and got; cut when longer */
    char object[80]; /* what the error is about ("topic orders"), "" if not told */
    char wanted[64]; /* what would have been right, "" if not told */
    char got[64];    /* what was there, "" if not told */
};

/* Begin a new report with `code` and a formatted message. `err` may be NULL.
 * Returns `code`, so that `return zsp_err_set(...)` is one line. */
int zsp_err_set(struct zsp_err *err, int code, const char *format, ...) ZSP_PRINTF(3, 4);

/* The same, and fill `object`, what the report is about, as zsp_err_detail() does. */
int zsp_err_set_about(struct zsp_err *err, int code, const char *object, const char *format, ...)
    ZSP_PRINTF(4, 5);

/* As zsp_err_set() for a failed system call: appends ": " and the text of
 * `sys_errno`, and keeps the number. */
int zsp_err_set_errno(struct zsp_err *err, int code, int sys_errno, const char *format, ...)
    ZSP_PRINTF(4, 5);

/* Prepend "<formatted text>: " to the report. Returns err->code, or ZSP_OK when
 * `err` is NULL; callers that allow NULL must keep the code themselves. */
int zsp_err_wrap(struct zsp_err *err, const char *format, ...) ZSP_PRINTF(2, 3);

/* Fill object, wanted and got of a report; a NULL leaves a field as it is.
 * Texts are cut at the field's size, on a UTF-8 boundary. */
void zsp_err_detail(struct zsp_err *err, const char *object, const char *wanted, const char *got);

/* The same for a number that should be in min..max. */
void zsp_err_detail_range(struct zsp_err *err, const char *object, uint64_t min, uint64_t max,
                          uint64_t got);

/* The sentence for a code; "unknown error" for others. Never NULL, static. */
const char *zsp_strerror(int code);
/* The protocol name for a code ("not_found"); "internal" for an unknown one. */
const char *zsp_err_wire_name(int code);
/* The code for a protocol name of `len` bytes; ZSP_EINTERNAL if unknown. */
int zsp_err_from_wire(const char *name, unsigned long len);
/* May the same request succeed later without a change? */
bool zsp_err_retriable(int code);

#endif
