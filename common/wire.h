/* SPDX-License-Identifier: MPL-2.0
 *
 * The headers of zspool/1, one MessagePack array each:
 *
 *   request = [1, verb:s, id:u, args:map]
 *   reply   = [1, "OK" | "PART" | "ERR" | "BEAT", id:u|nil, map]
 *
 * Encoding and decoding for both sides, in one file. Headers are unpacked with
 * msgpack-c only after one walk over the bytes has shown that every count fits
 * the bytes that remain (five bytes can otherwise ask for 100 GB), that nesting
 * is bounded and every string is valid UTF-8.
 */
#ifndef ZSP_WIRE_H
#define ZSP_WIRE_H

#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/err.h"

/* --- Reading ---------------------------------------------------------------- */

/* Check that `bytes` are exactly one MessagePack value that is safe to unpack:
 * counts and lengths covered by the bytes, at most ZSP_DEPTH_MAX arrays and maps
 * inside each other, valid UTF-8, no extension types, nothing left over.
 *
 * Errors: ZSP_EBAD_REQUEST  with the byte position
 */
int wire_value_check(struct zsp_slice bytes, struct zsp_err *err);

/* Take the first value off `*rest`, checked in the same way but for what follows it: a frame may
 * hold several replies. Errors: ZSP_EBAD_REQUEST (*rest is unchanged) */
int wire_value_next(struct zsp_slice *rest, struct zsp_slice *ret, struct zsp_err *err);

/* Memory for one decoded header, reused from message to message. One thread. */
struct wire_decoder;
struct wire_decoder *wire_decoder_new(void);
void wire_decoder_destroy(struct wire_decoder **self_p);

/* A decoded request. Everything points into the frame or the decoder and is
 * valid until the decoder's next use. */
struct wire_request {
    struct zsp_slice verb;
    bool has_id;                /* the id could be read (also set on some errors) */
    uint64_t id;                /* 0 = sessionless */
    const msgpack_object *args; /* a map */
};

/* Errors: ZSP_EBAD_REQUEST       not MessagePack, not this shape, bytes left over
 *         ZSP_EVERSION_MISMATCH  the first element is another version
 *         ZSP_ETOO_LARGE         longer than ZSP_HEADER_MAX
 *         ZSP_ENOMEM
 * On an error ret->has_id tells whether the id is known for the ERR reply. */
int wire_request_decode(struct wire_decoder *decoder, struct zsp_slice frame,
                        struct wire_request *ret, struct zsp_err *err);

enum wire_status { WIRE_OK, WIRE_PART, WIRE_ERR, WIRE_BEAT };

struct wire_reply {
    enum wire_status status;
    bool has_id;
    uint64_t id;
    const msgpack_object *map;
};
int wire_reply_decode(struct wire_decoder *decoder, struct zsp_slice frame, struct wire_reply *ret,
                      struct zsp_err *err);

/* The error that an ERR reply's map carries: code, message, maybe, details.
 * Returns err->code. `err` must not be NULL. */
int wire_error_decode(const msgpack_object *map, struct zsp_err *err);

/* Arguments of a verb, as a table: each row names a key, its type and the place
 * in a plain struct. Keys that are not in the table are ZSP_EUNKNOWN_ARGUMENT,
 * rows of type WIRE_UNSUPPORTED are ZSP_EUNSUPPORTED when present. */
enum wire_type {
    WIRE_UINT,     /* struct wire_uint */
    WIRE_BOOL,     /* struct wire_uint, value 0 or 1 */
    WIRE_STR,      /* struct zsp_slice, data NULL = absent */
    WIRE_BIN,      /* struct zsp_slice, data NULL = absent */
    WIRE_NAME,     /* struct zsp_slice, a legal name (name.h) */
    WIRE_NAMES,    /* const msgpack_object *, an array of legal names, NULL = absent */
    WIRE_PATTERNS, /* the same; `*` and `?` may be in them */
    WIRE_ARRAY,    /* const msgpack_object *, NULL = absent */
    WIRE_MAP,      /* const msgpack_object *, NULL = absent */
    WIRE_POSITION, /* struct wire_position, kind WIRE_POSITION_NONE = absent */
    WIRE_IGNORED,  /* accepted, not looked at */
    WIRE_UNSUPPORTED
};

struct wire_uint {
    bool set;
    uint64_t value;
};

enum wire_position_kind {
    WIRE_POSITION_NONE,
    WIRE_POSITION_EARLIEST,
    WIRE_POSITION_LATEST,
    WIRE_POSITION_OFFSET, /* value = offset */
    WIRE_POSITION_LAST,   /* value = number of messages before the end */
    WIRE_POSITION_TIME,   /* value = wall ms */
    WIRE_POSITION_AGO,    /* value = ms before now */
    WIRE_POSITION_ID      /* id = message id */
};

struct wire_position {
    enum wire_position_kind kind;
    uint64_t value;
    struct zsp_slice id;
};

struct wire_arg {
    const char *name;
    enum wire_type type;
    size_t place; /* offsetof the field */
    bool required;
    uint64_t min,
        max; /* WIRE_UINT: the range; WIRE_STR, WIRE_BIN, WIRE_ARRAY, WIRE_NAMES, WIRE_PATTERNS: of the
                         * length; 0, 0 = any */
};

/* Fill the struct at `ret`, which the caller has zeroed.
 *
 * Errors: ZSP_EUNKNOWN_ARGUMENT, ZSP_EBAD_TYPE, ZSP_EBAD_VALUE (also: missing, given
 *         twice), ZSP_EBAD_NAME, ZSP_EUNSUPPORTED; each names the argument.
 */
int wire_args(const msgpack_object *map, const struct wire_arg *table, size_t count, void *ret,
              struct zsp_err *err);

/* Single values, for arrays and replies. `what` names the value in errors. */
int wire_get_uint(const msgpack_object *object, const char *what, uint64_t max, uint64_t *ret,
                  struct zsp_err *err);
int wire_get_ranged(const msgpack_object *object, const char *what, uint64_t min, uint64_t max,
                    uint64_t *ret, struct zsp_err *err);
int wire_get_str(const msgpack_object *object, const char *what, struct zsp_slice *ret,
                 struct zsp_err *err);
/* A list of codecs that a client takes; those that are not known are passed over. */
int wire_get_accept(const msgpack_object *object, const char *what, bool *ret_zstd,
                    struct zsp_err *err);
int wire_get_position(const msgpack_object *object, const char *what, struct wire_position *ret,
                      struct zsp_err *err);
/* The value of `key` in a map, NULL if it is not there. */
const msgpack_object *wire_map_find(const msgpack_object *map, const char *key);

/* --- Runs: stretches of offsets, the one thing everything speaks ------------------- */

/* run = [topic, partition, first, count, lease|nil, timestamp_ms, extras?] */
struct wire_run {
    struct zsp_slice topic;
    uint32_t partition;
    uint64_t first;
    uint64_t count; /* >= 1 */
    uint64_t lease; /* 0 = nil */
    int64_t timestamp_ms;
    uint32_t deliveries;   /* extras; 1 when not told */
    uint32_t failures;     /* 0 when not told */
    uint8_t priority;      /* 4 when not told */
    int64_t expires_at_ms; /* 0 = never, when not told */
    int64_t not_before_ms; /* 0 = none, when not told */
    uint32_t raw_bytes;    /* compressed with zstd: the size of the frame's records; 0 = plain */
    uint32_t skip;         /* compressed: the frame's first records that are not of this run */
};

enum wire_outcome { WIRE_ACK, WIRE_RETRY, WIRE_RELEASE, WIRE_REJECT, WIRE_EXTEND, WIRE_STARTED };
const char *wire_outcome_name(enum wire_outcome outcome);

/* srun = run[0..4] + [outcome, arg?] */
struct wire_srun {
    struct zsp_slice topic;
    uint32_t partition;
    uint64_t first;
    uint64_t count;
    uint64_t lease; /* never 0 */
    enum wire_outcome outcome;
    bool has_delay;
    uint64_t delay_ms;       /* retry: delay; extend: ms from now */
    struct zsp_slice reason; /* retry, reject: data NULL = none */
};

int wire_run_decode(const msgpack_object *object, struct wire_run *ret, struct zsp_err *err);
int wire_srun_decode(const msgpack_object *object, struct wire_srun *ret, struct zsp_err *err);

/* --- Writing --------------------------------------------------------------------- */

/* Begin a header; what follows must be exactly one map. */
void wire_write_request(struct zsp_writer *out, struct zsp_slice verb, uint64_t id);
void wire_write_reply(struct zsp_writer *out, enum wire_status status, bool has_id, uint64_t id);
/* The map of an ERR reply, from a report; the whole of it. */
void wire_write_error_map(struct zsp_writer *out, const struct zsp_err *err);
void wire_write_error(struct zsp_writer *out, bool has_id, uint64_t id, const struct zsp_err *err);

void wire_write_map(struct zsp_writer *out, uint32_t pairs);
void wire_write_array(struct zsp_writer *out, uint32_t items);
void wire_write_nil(struct zsp_writer *out);
void wire_write_bool(struct zsp_writer *out, bool value);
void wire_write_uint(struct zsp_writer *out, uint64_t value);
void wire_write_int(struct zsp_writer *out, int64_t value);
void wire_write_str(struct zsp_writer *out, struct zsp_slice text);
void wire_write_text(struct zsp_writer *out, const char *text);
void wire_write_bin(struct zsp_writer *out, struct zsp_slice bytes);
void wire_write_position(struct zsp_writer *out, const struct wire_position *position);
void wire_write_run(struct zsp_writer *out, const struct wire_run *run);
void wire_write_srun(struct zsp_writer *out, const struct wire_srun *run);
/* key and value of a map, the two at once */
void wire_write_text_uint(struct zsp_writer *out, const char *key, uint64_t value);
void wire_write_text_bool(struct zsp_writer *out, const char *key, bool value);
void wire_write_text_str(struct zsp_writer *out, const char *key, struct zsp_slice value);

/* --- For people ------------------------------------------------------------------- */

/* Any header as one line of text, JSON-like, cut at `max` characters with "...".
 * Never fails: bytes that are no MessagePack are shown in hex. */
void wire_print(struct zsp_writer *out, struct zsp_slice frame, size_t max);

#endif
