/* SPDX-License-Identifier: MPL-2.0
 *
 * libzspool: the client of zspool, a durable publish-subscribe broker on
 * ZeroMQ. Producers publish and learn what is on disk, consumers pull and
 * settle as members of a group, readers replay, administrative calls look after
 * topics and groups.
 *
 *     zspool_client_t *client = zspool_new("tcp://127.0.0.1:7227", NULL, &error);
 *     zspool_producer_t *producer = zspool_producer_new(client, NULL, &error);
 *     zspool_out_t out = zspool_out("orders", "hello", 5);
 *     uint64_t ticket;
 *     zspool_send(producer, &out, &ticket, &error);
 *     zspool_wait(producer, ticket, 5000, NULL, &error);   (0: it is on disk)
 *
 * What a host process sees: one thread per client and the two of its private libzmq
 * context, all signals blocked in them, asleep while nothing happens; some ten
 * descriptors, close-on-exec; no signal handlers, no SIGPIPE, no output, no
 * environment variables, no atexit, no global state. After fork() the child may
 * only exec: what the parent made returns ZSPOOL_EINVAL there, and a _destroy
 * only nulls the pointer.
 *
 * Rules that hold for every function here:
 *
 * Errors. A function that can fail returns 0 or a negative ZSPOOL_E... code, a
 * constructor the object or NULL. `err` may be NULL; else it is filled on
 * failure, and untouched on success. Called wrongly (a NULL object, a value out of
 * range) a function returns ZSPOOL_EINVAL and changes nothing; so does one that is
 * given a struct whose size nobody set. Results (`ret_...`) are written on success
 * only. Any function may return ZSPOOL_ENOMEM, even where that is not told.
 *
 * Threads. Every function may be called from any thread, except that no object
 * may be destroyed while another thread uses it. What differs is said there.
 *
 * Waiting. A timeout is in milliseconds: 0 does not wait, -1 (or less) waits for
 * ever. A call that waits may return, apart from the errors it names:
 *     ZSPOOL_ETIMEOUT      the time is over; the message tells the last failure to
 *                          connect, if that is why
 *     ZSPOOL_EINTERRUPTED  zspool_interrupt() was called, and what was asked for is
 *                          not there yet (also where the timeout is 0)
 *     the code of a refusal, as zspool_connect(), when no endpoint takes us
 *
 * Memory. Strings and bytes given to a function are borrowed for the call only.
 * Structs that begin with `size` are prepared by their _init function (or
 * filled by hand, size = sizeof of the struct), so that later versions may add
 * fields at the end. The library changes nothing of its host's heap. A host that
 * moves a gigabyte a second does well to have glibc keep freed memory at hand, as
 * `zspool` does: mallopt(M_MMAP_THRESHOLD, 4 << 20), mallopt(M_TRIM_THRESHOLD,
 * 64 << 20). Pulls of messages of 16 KiB can be two to three times as fast.
 */
#ifndef ZSPOOL_H
#define ZSPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define ZSPOOL_EXPORT __attribute__((visibility("default")))
#else
#define ZSPOOL_EXPORT
#endif

#define ZSPOOL_VERSION_MAJOR 0
#define ZSPOOL_VERSION_MINOR 1
#define ZSPOOL_VERSION_PATCH 0

/* The endpoint of a broker with default settings. */
#define ZSPOOL_DEFAULT_ENDPOINT "tcp://127.0.0.1:7227"

/* The version of the library in use, "0.1.0". Static. */
ZSPOOL_EXPORT const char *zspool_version(void);

/* --- Errors ------------------------------------------------------------------ */

/* Values never change. Up to -31 they are the broker's answers; from -101 on they
 * are made by the library. */
enum {
    ZSPOOL_OK = 0,
    ZSPOOL_END = 1, /* not an error: zspool_read() and zspool_next() have reached the end */

    ZSPOOL_EBAD_REQUEST = -1,
    ZSPOOL_EUNKNOWN_VERB = -2,
    ZSPOOL_EUNKNOWN_ARGUMENT = -3,
    ZSPOOL_EBAD_TYPE = -4,
    ZSPOOL_EBAD_VALUE = -5,
    ZSPOOL_EVERSION_MISMATCH = -6, /* the broker speaks no protocol of this library */
    ZSPOOL_EUNSUPPORTED = -7,      /* this broker does not have that feature */
    ZSPOOL_EHELLO_REQUIRED = -8,
    ZSPOOL_ESESSION_EXPIRED = -9,
    ZSPOOL_EOVER_CREDIT = -10,
    ZSPOOL_ETOO_LARGE = -11,
    ZSPOOL_EBAD_RECORD = -12,
    ZSPOOL_ECOUNT_MISMATCH = -13,
    ZSPOOL_EBAD_NAME = -14,  /* not a legal topic, group or producer name */
    ZSPOOL_ENOT_FOUND = -15, /* no such topic, group or producer */
    ZSPOOL_EEXISTS = -16,
    ZSPOOL_EDENIED = -17,
    ZSPOOL_EFENCED_PRODUCER = -18, /* a newer instance opened this producer's name */
    ZSPOOL_ESEQUENCE_GAP = -19,
    ZSPOOL_EOUT_OF_RANGE = -20, /* an explicit offset is not in the log */
    ZSPOOL_ENOT_LEASED = -21,   /* a lease is not live any more */
    ZSPOOL_EMODE_MISMATCH = -22,
    ZSPOOL_EWOULD_REORDER = -23,
    ZSPOOL_ELIMIT_REACHED = -24,
    ZSPOOL_ETOPIC_FULL = -25,
    ZSPOOL_ENO_SPACE = -26,
    ZSPOOL_EPAUSED = -27,
    ZSPOOL_ECORRUPT = -28,
    ZSPOOL_ESTORAGE_FAILED = -29,
    ZSPOOL_ESHUTTING_DOWN = -30,
    ZSPOOL_EINTERNAL = -31,
    ZSPOOL_EKEY_REQUIRED = -32, /* the topic is compacted by key, and a message has none */

    ZSPOOL_EINVAL = -101, /* the function was called wrongly; nothing changed */
    ZSPOOL_ENOMEM = -102,
    ZSPOOL_EIO = -103,          /* an operating system call failed; see sys_errno */
    ZSPOOL_EAGAIN = -104,       /* not now: full */
    ZSPOOL_ETIMEOUT = -105,     /* no answer in time */
    ZSPOOL_EINTERRUPTED = -106, /* zspool_interrupt() */
    ZSPOOL_ECLOSED = -109,      /* the connection went before the answer came, or the object was
                                 * destroyed; see `maybe` */
    ZSPOOL_EOVERTAKEN = -111,   /* retention took what was to be read next */

    /* Of a broker in this process, <zspool_broker.h>: */
    ZSPOOL_ELOCKED = -107,    /* another broker uses the data directory */
    ZSPOOL_EFORMAT = -108,    /* made by a newer version */
    ZSPOOL_EBAD_CONFIG = -110 /* a setting is wrong */
};

/* A failure, for the program and for people. */
typedef struct zspool_error_t {
    int code;          /* ZSPOOL_E... */
    int sys_errno;     /* errno of the failed system call, 0 if none was involved */
    bool maybe;        /* the request may have been applied all the same */
    char message[256]; /* one line, without a newline: object, place, wanted and got */
    char object[80];   /* what it is about ("topic orders"), "" if not told */
    char wanted[64];   /* what would have been right, "" if not told */
    char got[64];      /* what was there, "" if not told */
} zspool_error_t;

/* The sentence for a code; "unknown error" for others. Static. */
ZSPOOL_EXPORT const char *zspool_strerror(int code);
/* The protocol's name of a code, "not_found". Static. */
ZSPOOL_EXPORT const char *zspool_error_name(int code);
/* May the same call succeed later without a change? */
ZSPOOL_EXPORT bool zspool_error_retriable(int code);

/* --- Bytes, messages, addresses ----------------------------------------------------- */

/* Borrowed bytes. data NULL = absent; empty but there = len 0 with data not NULL. */
typedef struct zspool_bytes_t {
    const void *data;
    size_t len;
} zspool_bytes_t;

/* The bytes of a NUL-terminated string; absent for NULL. */
static inline zspool_bytes_t zspool_text(const char *text)
{
    zspool_bytes_t bytes;
    bytes.data = text;
    bytes.len = text ? strlen(text) : 0;
    return bytes;
}

/* One header of a message. */
typedef struct zspool_header_t {
    zspool_bytes_t name;  /* UTF-8 */
    zspool_bytes_t value; /* any bytes; UTF-8 when is_text */
    bool is_text;         /* the value is stored as text */
} zspool_header_t;

#define ZSPOOL_PARTITION_ANY  (-1)       /* routed by key, else round robin by batch */
#define ZSPOOL_PARTITION_ALL  (-1)       /* every partition */
#define ZSPOOL_OFFSET_UNKNOWN UINT64_MAX /* the broker does not remember it any more */

/* The largest key, payload and headers of one message, together and encoded, and
 * the largest number of its headers. The broker may set lower ones. */
#define ZSPOOL_MESSAGE_BYTES_MAX (4u * 1024u * 1024u)
#define ZSPOOL_HEADERS_MAX       256u

#define ZSPOOL_PRIORITY          4u /* of a message that tells none; the others are 0 to */
#define ZSPOOL_PRIORITY_MAX      9u /* this, the most urgent */

/* The latest wall time, and the longest time from now, that a message can tell: the year 9999. */
#define ZSPOOL_TIME_MAX_MS 253402300799999

/* A message to publish. */
typedef struct zspool_out_t {
    size_t size;
    const char *topic;      /* a name: [A-Za-z0-9_-][A-Za-z0-9._-]{0,199} */
    int32_t partition;      /* 0..1023 or ZSPOOL_PARTITION_ANY */
    zspool_bytes_t payload; /* required, may be empty */
    zspool_bytes_t key;     /* absent = none; an empty key is a key of its own */
    zspool_bytes_t type;    /* UTF-8: what applications call message type; absent = none */
    zspool_bytes_t id;      /* UTF-8: the producer's own unique string; stored; absent = none */
    const zspool_header_t *headers;
    size_t header_count;
    int64_t created_at_ms; /* wall time, milliseconds since 1970; 0 = none */
    /* What follows makes a message overtake others, wait or expire, for every group. Messages that
     * agree in all of it travel in one batch; those that alternate in it cost a batch each. */
    bool has_priority; /* `priority` is told; else it is ZSPOOL_PRIORITY */
    uint8_t priority;
    int64_t not_before_ms; /* not handed out before; wall time of the broker, 0 = at once */
    int64_t delay_ms;      /* the same from now on */
    int64_t expires_at_ms; /* not handed out any more; wall time of the broker, 0 = never */
    int64_t ttl_ms;        /* the same from now on. Delays and times to live from now are rounded
                            * up by less than one part in 256, so that batches have several messages */
} zspool_out_t;

/* A message of `payload` to `topic`; everything else absent. */
static inline zspool_out_t zspool_out(const char *topic, const void *payload, size_t len)
{
    zspool_out_t out;
    memset(&out, 0, sizeof out);
    out.size = sizeof out;
    out.topic = topic;
    out.partition = ZSPOOL_PARTITION_ANY;
    out.payload.data = payload ? payload : "";
    out.payload.len = len;
    return out;
}

/* Tell a priority: 0 to ZSPOOL_PRIORITY_MAX. */
static inline void zspool_out_set_priority(zspool_out_t *out, unsigned priority)
{
    out->has_priority = true;
    out->priority = (uint8_t)(priority < 255u ? priority : 255u);
}

/* A message as received. Made by the library only; it may grow at its end. */
typedef struct zspool_message_t {
    const char *topic; /* NUL-terminated */
    uint32_t partition;
    uint64_t offset;
    int64_t timestamp_ms; /* the broker's wall time when it was appended */
    zspool_bytes_t payload, key, type, id;
    size_t header_count;    /* see zspool_message_header() */
    int64_t created_at_ms;  /* the producer's; 0 = none */
    uint32_t deliveries;    /* times handed out to this group, this one included; 0 for a reader */
    uint32_t failures;      /* of those, counted as failed */
    uint8_t priority;       /* 0-9, 4 = default */
    uint64_t lease;         /* proves ownership, see zspool_settle_at(); 0 for a reader */
    int64_t lease_ms;       /* what was left of the lease when the message arrived here; 0 for a
                            * reader */
    zspool_bytes_t headers; /* encoded, for zspool_message_header() */
    int64_t expires_at_ms;  /* not handed out from this wall time on; 0 = never expires */
    int64_t not_before_ms;  /* not handed out before this wall time, for a reader; 0 = none, or a
                             * consumer's: it is over */
} zspool_message_t;

/* The header `index` (0 .. header_count - 1) of a message; its bytes live as long
 * as the message.
 * Errors: ZSPOOL_EINVAL  no such header */
ZSPOOL_EXPORT int zspool_message_header(const zspool_message_t *message, size_t index,
                                        zspool_header_t *ret_header);

/* A place in a topic. */
typedef enum zspool_position_kind_t {
    ZSPOOL_POSITION_NONE,     /* not given: the default of where it is used */
    ZSPOOL_POSITION_EARLIEST, /* the first message still there */
    ZSPOOL_POSITION_LATEST,   /* behind the last synced message */
    ZSPOOL_POSITION_OFFSET,   /* value = offset; not in the log: ZSPOOL_EOUT_OF_RANGE */
    ZSPOOL_POSITION_LAST,     /* value = messages before the end, of each partition */
    ZSPOOL_POSITION_TIME,     /* value = wall ms since 1970: the first batch at or after it */
    ZSPOOL_POSITION_AGO,      /* value = ms before now, by the broker's clock */
    ZSPOOL_POSITION_ID        /* id = that of the newest message that has it, in topics with
                               * dedup_window_ms. Not there: ZSPOOL_ENOT_FOUND */
} zspool_position_kind_t;

typedef struct zspool_position_t {
    zspool_position_kind_t kind;
    uint64_t value;
    const char *id; /* lent for as long as what has the position: for the call, or until its reader
                     * is destroyed */
} zspool_position_t;

/* --- Client ---------------------------------------------------------------------- */

typedef struct zspool_client zspool_client_t;

typedef struct zspool_options_t {
    size_t size;
    const char *name;         /* told to the broker, for people: a legal name; NULL = none */
    int64_t connect_ms;       /* an attempt to connect to one endpoint ends after; 0 = 3,000 */
    int64_t reconnect_ms;     /* the pause after an attempt that failed, or a lost connection: it
                             * doubles with each round over the endpoints, and each time half of it
                             * or more is waited, at random; 0 = 50 */
    int64_t reconnect_ms_max; /* the longest; a session that lasts so long begins anew with the
                               * first; 0 = 5,000 */
    int64_t answer_ms;        /* a broker that leaves a request unanswered for so long (beyond the
                             * time it was told to wait) counts as gone; 0 = 30,000 */
    int64_t heartbeat_ms;     /* ZeroMQ heartbeats on an idle connection; 0 = 10,000 */
    int64_t linger_ms;        /* the longest a _destroy waits to hand back messages; 0 = 2,000 */
    int64_t session_heartbeat_ms; /* broker and client promise each other a sign of life so often,
                             * whatever the host's threads do. A client that is silent for three of
                             * them and 1 s (its process was killed, or stopped, or cut off) loses its
                             * leases, so that messages need not wait for the end of long leases; those
                             * it had begun count as failed. A silent broker counts as gone. 100..60,000;
                             * 0 = 10,000; -1 = none: leases end by time alone */
    void *zmq_context;            /* a libzmq context to use instead of a private one, for inproc:
                               * zspool_broker_context() of a broker in this process, or the one
                               * that broker was given; NULL = private. Lent until zspool_destroy().
                               * Once its owner terminates it, every call answers ZSPOOL_ECLOSED */
} zspool_options_t;

static inline void zspool_options_init(zspool_options_t *options)
{
    memset(options, 0, sizeof *options);
    options->size = sizeof *options;
}

/* A client of the broker at `endpoints`: one ZeroMQ endpoint (tcp://HOST:PORT,
 * ipc://PATH; up to 255 bytes) or a list of up to 16 separated by commas, tried in turn and over
 * and over, each time with a new socket; after a lost connection first the same again. Returns
 * at once; connecting goes on behind it, and again whenever the connection is lost. NULL options
 * = defaults.
 * inproc://NAME, a broker in this process, stands alone and needs `zmq_context`; it may be there
 * before the broker is.
 *
 * Errors: ZSPOOL_EINVAL  an endpoint cannot be one, or an option is out of range
 *         ZSPOOL_ENOMEM, ZSPOOL_EIO (no descriptor, no thread)
 */
ZSPOOL_EXPORT zspool_client_t *zspool_new(const char *endpoints, const zspool_options_t *options,
                                          zspool_error_t *err);

/* End the session and the thread, close the connection and null the pointer; NULL inside is fine.
 * All that the broker still counts as this client's is handed back at once (uncounted), unless a
 * consumer was destroyed with messages in hand: those stay leased, see zspool_consumer_destroy().
 * Destroy its producers, consumers and readers before: as long as one is left,
 * nothing happens and the pointer stays. Returns within about 100 ms, whatever
 * state the network is in. */
ZSPOOL_EXPORT void zspool_destroy(zspool_client_t **self_p);

/* What the broker told about itself. */
typedef struct zspool_info_t {
    size_t size;
    char endpoint[256];   /* the one connected to */
    char broker[64];      /* the broker's version, "zspoold 0.1.0" */
    uint32_t protocol;    /* 1 */
    uint8_t instance[16]; /* new with every start of the broker */
    char features[512];   /* names separated by one space */
    uint64_t session_timeout_ms;
    int64_t clock_ahead_ms; /* the broker's wall clock minus ours, roughly */
    uint64_t max_requests, max_request_bytes, max_header, max_frame, max_record, max_reply,
        max_runs, max_wait_ms;
} zspool_info_t;

static inline void zspool_info_init(zspool_info_t *info)
{
    memset(info, 0, sizeof *info);
    info->size = sizeof *info;
}

/* Wait for a connection with a session, and tell what the broker said of itself.
 * `ret_info` may be NULL.
 *
 * Errors: ZSPOOL_EVERSION_MISMATCH, ZSPOOL_EDENIED ...  the brokers of all endpoints refuse;
 *                            what the last of them answered
 */
ZSPOOL_EXPORT int zspool_connect(zspool_client_t *self, int timeout_ms, zspool_info_t *ret_info,
                                 zspool_error_t *err);

/* A descriptor that poll, epoll, a czmq zloop and the like find readable, level-triggered,
 * while zspool_dispatch() has something to do: reports to take, messages to
 * take (or an end, once), a loss or an error to tell, room for the message that
 * zspool_send() last refused with ZSPOOL_EAGAIN. Owned by the client and the same as
 * long as that lives; only wait for it, never read it. -1 when there is no descriptor to be had.
 * Close-on-exec, like all descriptors of the library. */
ZSPOOL_EXPORT int zspool_fd(zspool_client_t *self);

/* Call the ready_fn of every object that has something, once each, in this thread; wait up to
 * timeout_ms for the first. Objects without a ready_fn count, but nothing is
 * called for them. What an object has stays until it is taken with its own functions
 * (zspool_next, zspool_reports, zspool_lost, zspool_read), so a program that takes less
 * than all is called again. Room is taken notice of by zspool_send(), zspool_room() or
 * zspool_reports(). A ready_fn may destroy its own object and make others.
 *
 * Returns the number of objects that had something, 0 when the time is over.
 * Errors: ZSPOOL_EINTERRUPTED
 *         ZSPOOL_EINVAL        called from a ready_fn, or while another thread is in it
 *         what zspool_connect() returns when no endpoint takes us
 */
ZSPOOL_EXPORT int zspool_dispatch(zspool_client_t *self, int timeout_ms);

/* Make every waiting call of this client, now and later, return
 * ZSPOOL_EINTERRUPTED instead of waiting, until zspool_interrupt_clear(). What
 * is there without waiting is still returned. Async-signal-safe. */
ZSPOOL_EXPORT void zspool_interrupt(zspool_client_t *self);
/* Let calls wait again. */
ZSPOOL_EXPORT void zspool_interrupt_clear(zspool_client_t *self);

/* --- Producer --------------------------------------------------------------------- */

typedef struct zspool_producer zspool_producer_t;

typedef enum zspool_level_t {
    ZSPOOL_SYNCED, /* confirmed after fdatasync: survives a power cut */
    ZSPOOL_WRITTEN /* confirmed once the broker wrote it: survives the broker, not the machine */
} zspool_level_t;

typedef enum zspool_codec_t {
    ZSPOOL_CODEC_NONE,
    ZSPOOL_CODEC_ZSTD /* batches that get smaller by it travel and are stored compressed; one that
                       * does not, and all to a broker that does not know zstd, go as they are */
} zspool_codec_t;

typedef enum zspool_reporting_t {
    ZSPOOL_REPORT_NONE,   /* zspool_wait() and zspool_flush() tell what went wrong */
    ZSPOOL_REPORT_FAILED, /* zspool_reports() returns what was not, or may not have been, kept */
    ZSPOOL_REPORT_ALL     /* zspool_reports() returns every confirm as well */
} zspool_reporting_t;

typedef struct zspool_producer_options_t {
    size_t size;
    const char *name;     /* a stable name that fences older instances and continues their
                           * sequences; NULL = a random one, forgotten 10 minutes after use */
    zspool_level_t level; /* when a confirm is due */
    zspool_reporting_t reporting;
    size_t max_bytes;       /* encoded bytes waiting or unconfirmed; one message always fits;
                              * 0 = 64 MiB */
    size_t batch_bytes;     /* a batch is closed at this size; 0 = 256 KiB; at most 8 MiB */
    uint32_t max_in_flight; /* batches of one partition sent and unconfirmed, 1..128; 0 = 16; of all
                             * together as many as half of the connection's credit allows */
    int64_t delivery_ms;    /* a message unconfirmed for so long is reported as ZSPOOL_ETIMEOUT;
                              * 0 = 120,000; -1 = never */
    void (*ready_fn)(zspool_producer_t *self, void *arg); /* for zspool_dispatch(); NULL = none */
    void *ready_arg;
    zspool_codec_t codec; /* how batches are compressed, on the client's own thread */
    int codec_level;      /* zstd: 1 (fast) .. 19 (small); 0 = 3 */
} zspool_producer_options_t;

static inline void zspool_producer_options_init(zspool_producer_options_t *options)
{
    memset(options, 0, sizeof *options);
    options->size = sizeof *options;
}

/* What became of a run of messages. */
typedef struct zspool_report_t {
    uint64_t first_ticket; /* the messages with tickets first_ticket .. + count - 1 */
    uint64_t count;
    int status;        /* 0 = kept at the level asked for; else ZSPOOL_E... */
    bool maybe;        /* status not 0: they may be in the log all the same */
    bool duplicate;    /* the broker had them already, from an attempt whose answer was lost */
    bool lost;         /* they were confirmed at level `written` before, and are gone: the broker's
                     * machine lost power */
    const char *topic; /* lives as long as the producer */
    uint32_t partition;
    uint64_t first_offset; /* of the first message; ZSPOOL_OFFSET_UNKNOWN when not told */
    int64_t timestamp_ms;  /* when they were appended; 0 when not told */
    zspool_level_t level;  /* as told by the broker */
} zspool_report_t;

/* A producer. It needs no connection yet. NULL options = defaults.
 *
 * Every message is published exactly once into the log, as long as it is
 * confirmed in the end: each batch carries the producer's name, epoch and a
 * sequence, is sent again after a lost connection, and the broker knows it again.
 *
 * Errors: ZSPOOL_EBAD_NAME, ZSPOOL_EINVAL, ZSPOOL_ENOMEM
 */
ZSPOOL_EXPORT zspool_producer_t *zspool_producer_new(zspool_client_t *client,
                                                     const zspool_producer_options_t *options,
                                                     zspool_error_t *err);

/* Drop what is not confirmed (call zspool_flush() before), and null the pointer. */
ZSPOOL_EXPORT void zspool_producer_destroy(zspool_producer_t **self_p);

/* The producer's name, also a random one; lives as long as the producer. */
ZSPOOL_EXPORT const char *zspool_producer_name(const zspool_producer_t *self);

/* Give a message to the producer. It is copied; nothing is waited for. Messages
 * sent by one thread to one partition are appended in that order. A topic that does not exist is
 * created by the broker, if it is set so.
 *
 * *ret_ticket (may be NULL) names the message in reports and for zspool_wait():
 * 1, 2, 3 ... in the order of the calls.
 *
 * Errors: ZSPOOL_EAGAIN      max_bytes are waiting or unconfirmed, or 65,536 reports untaken;
 *                            see zspool_room()
 *         ZSPOOL_EBAD_NAME   the topic, or none given
 *         ZSPOOL_EBAD_VALUE  text is not UTF-8, the partition or created_at_ms is out of range,
 *                            no payload, a header without name or value, more than 256 headers
 *         ZSPOOL_ETOO_LARGE  the message is larger than the broker takes
 *         ZSPOOL_ELIMIT_REACHED    more than 4,096 topics
 *         ZSPOOL_EFENCED_PRODUCER  for good: another instance owns the name
 *         ZSPOOL_ENOMEM
 */
ZSPOOL_EXPORT int zspool_send(zspool_producer_t *self, const zspool_out_t *message,
                              uint64_t *ret_ticket, zspool_error_t *err);

/* Wait until a zspool_send() of a message of about `bytes` would not return
 * ZSPOOL_EAGAIN (0 = any room).
 * Errors: ZSPOOL_EINVAL  more than max_bytes */
ZSPOOL_EXPORT int zspool_room(zspool_producer_t *self, size_t bytes, int timeout_ms,
                              zspool_error_t *err);

/* Wait until the fate of one message is known. 0 = kept at the level asked for. On
 * success and on failure `*ret_report` (may be NULL) tells of this message
 * alone (count 1); its address is known for the last 16,384 runs of tickets, later
 * it is ZSPOOL_OFFSET_UNKNOWN. Failures are remembered for the last 16,384 runs as well.
 *
 * Errors: the message's own; ZSPOOL_ETIMEOUT with nothing in *ret_report when its
 *         fate is still open; ZSPOOL_EINVAL a ticket never given out
 */
ZSPOOL_EXPORT int zspool_wait(zspool_producer_t *self, uint64_t ticket, int timeout_ms,
                              zspool_report_t *ret_report, zspool_error_t *err);

/* Wait until the fate of all messages sent before this call, by any thread, is known. 0 = all that
 * was sent since the last zspool_flush() is kept. A failure is told to one caller.
 *
 * Errors: the first failure since the last zspool_flush(); ZSPOOL_ETIMEOUT: some are
 *         still open, nothing is dropped, call again
 */
ZSPOOL_EXPORT int zspool_flush(zspool_producer_t *self, int timeout_ms, zspool_error_t *err);

/* Take up to `max` reports, oldest first, without waiting; see `reporting`.
 * Returns how many, or ZSPOOL_EINVAL. */
ZSPOOL_EXPORT int zspool_reports(zspool_producer_t *self, zspool_report_t *ret_reports, int max);

/* --- Consumer --------------------------------------------------------------------- */

typedef struct zspool_consumer zspool_consumer_t;

typedef struct zspool_consumer_options_t {
    size_t size;
    const char *group;         /* required: a name */
    const char *const *topics; /* names, and patterns with * and ? that stand for all topics that
                                * match, also later; count 0 = those the group has; a new group needs some */
    size_t topic_count;        /* up to 1,024 */
    const char *mode; /* of a group created by this pull: "shared" (NULL), "ordered", "keyed" */
    zspool_position_t start;    /* of a group created by this pull; NONE = earliest */
    uint32_t prefetch_messages; /* pulled and not taken yet, at most; 0 = 1,000 */
    size_t prefetch_bytes;      /* the same in bytes; one message always fits; 0 = 1 MiB */
    bool auto_extend;           /* extend leases of messages taken or waiting here until settled */
    bool no_started;            /* do not tell the broker which messages were taken in hand */
    bool
        end_when_empty; /* zspool_next() returns ZSPOOL_END when the broker has nothing ready. Where a
                          * group keeps an order, what is here, in hand or on its way to be settled may
                          * keep others back: then it is not the end yet, but for a caller with
                          * messages in hand that waits without a limit: settle them, and go on */
    void (*ready_fn)(zspool_consumer_t *self, void *arg); /* for zspool_dispatch(); NULL = none */
    void *ready_arg;
    uint64_t message_limit; /* take no more than so many in all, and pull no more than that;
                             * then zspool_next() returns ZSPOOL_END; 0 = no limit */
    uint32_t held_limit; /* pull only as many as, with those here and in hand, make so many: nothing
                          * waits leased behind work that takes long; 0 = no limit */
} zspool_consumer_options_t;

static inline void zspool_consumer_options_init(zspool_consumer_options_t *options)
{
    memset(options, 0, sizeof *options);
    options->size = sizeof *options;
}

/* A member of a group. Starts to pull at once, as far as prefetch allows; the
 * broker creates the group, if it is set so.
 *
 * Errors: ZSPOOL_EBAD_NAME, ZSPOOL_EINVAL, ZSPOOL_ENOMEM
 */
ZSPOOL_EXPORT zspool_consumer_t *zspool_consumer_new(zspool_client_t *client,
                                                     const zspool_consumer_options_t *options,
                                                     zspool_error_t *err);

/* Pull no more, and hand back what was pulled and not taken (uncounted), also what
 * a pull under way still brings; zspool_next() returns ZSPOOL_END from now on.
 * What is in hand stays so, is extended as before, and is to be settled. */
ZSPOOL_EXPORT void zspool_consumer_stop(zspool_consumer_t *self);

/* Has zspool_next() come to the end of a side replay (zspool_group_replay())? All of its range was done or
 * dead then, whoever did it. */
ZSPOOL_EXPORT bool zspool_consumer_finished(zspool_consumer_t *self);

/* Send what was settled, hand back what was pulled and not taken (uncounted), wait for that up to
 * linger_ms, null the pointer. Messages taken and not settled stay leased until
 * their lease ends. All message pointers become invalid. */
ZSPOOL_EXPORT void zspool_consumer_destroy(zspool_consumer_t **self_p);

/* Take the next message in hand. `*ret_message` and its bytes are valid until it is settled finally
 * (ack, retry, release, reject) or the consumer destroyed. Any number may be
 * held. A message taken is marked `started` at the broker, so that a crash is counted
 * against it and not its neighbours: a first delivery within about 20 ms, one
 * that was delivered before already before this call returns it. A message whose lease
 * ended while it waited here is dropped unseen; the broker hands it out again.
 *
 * In a group that keeps an order (of mode ordered: in each partition; keyed: of each key) messages
 * come in it. When one is given back (retry, release, reject), so is what waits here behind it, of the
 * same partition or key and no other, and after a retry or release the broker takes no ack for what is
 * in hand behind it. A program that works on several at a time must itself let a message wait for
 * one in hand of the same partition or key.
 *
 * Returns 0 with a message, ZSPOOL_END (see end_when_empty), or
 * Errors: ZSPOOL_ETIMEOUT   no message in time
 *         ZSPOOL_EMODE_MISMATCH, ZSPOOL_EUNSUPPORTED, ZSPOOL_EDENIED, ZSPOOL_ENOT_FOUND ...
 *                           what the broker answered to the pull; the next call pulls again
 */
ZSPOOL_EXPORT int zspool_next(zspool_consumer_t *self, const zspool_message_t **ret_message,
                              int timeout_ms, zspool_error_t *err);

/* Shall what zspool_next() would return make zspool_fd() readable and call the ready_fn? At first it
 * does. A program that cannot take any message for a while (its own output is full) says false, so
 * that its loop sleeps meanwhile. Losses are told all the same; zspool_next() works as ever. */
ZSPOOL_EXPORT void zspool_consumer_want(zspool_consumer_t *self, bool wanted);

typedef enum zspool_outcome_t {
    ZSPOOL_ACK,     /* done */
    ZSPOOL_RETRY,   /* again, after delay_ms or the group's backoff; counts as a failure */
    ZSPOOL_RELEASE, /* handed back unstarted; does not count */
    ZSPOOL_REJECT,  /* dead at once */
    ZSPOOL_EXTEND   /* keep it for extend_ms from now; the message stays in hand */
} zspool_outcome_t;

/* What goes with an outcome. */
typedef struct zspool_settle_arg_t {
    size_t size;
    int64_t delay_ms;      /* retry: -1 = the group's backoff; at most 31,536,000,000 (a year) */
    int64_t extend_ms;     /* extend: 100..86,400,000 */
    zspool_bytes_t reason; /* retry, reject: UTF-8, up to 256 bytes; absent = none */
} zspool_settle_arg_t;

static inline void zspool_settle_arg_init(zspool_settle_arg_t *arg)
{
    memset(arg, 0, sizeof *arg);
    arg->size = sizeof *arg;
    arg->delay_ms = -1;
}

/* Say what became of a message taken in hand. Nothing is waited for: outcomes
 * travel in batches, again after a lost connection, and are durable when
 * zspool_settle_flush() says so. `arg` may be NULL (not for EXTEND). After any
 * outcome but EXTEND the message pointer is invalid.
 *
 * Errors: ZSPOOL_EINVAL      not a message in hand of this consumer
 *         ZSPOOL_EBAD_VALUE  delay, extend or reason out of range
 *         ZSPOOL_ENOMEM
 */
ZSPOOL_EXPORT int zspool_settle(zspool_consumer_t *self, const zspool_message_t *message,
                                zspool_outcome_t outcome, const zspool_settle_arg_t *arg,
                                zspool_error_t *err);

/* Wait until all that was settled before this call is answered. 0 = all durable.
 *
 * Errors: ZSPOOL_ENOT_LEASED  answered, but some leases were lost since the last
 *                             flush; zspool_lost() tells which
 *         what else the broker answered to them
 */
ZSPOOL_EXPORT int zspool_settle_flush(zspool_consumer_t *self, int timeout_ms, zspool_error_t *err);

/* Messages that others may get, or have got, as their lease was lost. */
typedef struct zspool_lost_t {
    const char *topic; /* lives as long as the consumer */
    uint32_t partition;
    uint64_t first_offset;
    uint64_t count;
    uint64_t lease;
    bool held; /* the messages are in hand: work on them is better stopped. Told when the lease ends
                * by time, or with the first mark or extension that finds it gone (see
                * auto_extend). Else they were settled before, too late. */
} zspool_lost_t;

/* Take up to `max` losses, oldest first, without waiting. At most 4,096 are
 * kept; older ones are forgotten. Returns how many, or ZSPOOL_EINVAL. */
ZSPOOL_EXPORT int zspool_lost(zspool_consumer_t *self, zspool_lost_t *ret_lost, int max);

/* --- Commit ----------------------------------------------------------------------- */

/* Messages to any topics and outcomes of messages in hand as one: all of it is kept and becomes
 * visible in one moment, or nothing of it. Consume, process, produce, exactly once:
 *
 *     zspool_next(consumer, &message, -1, &err);
 *     ... work ...
 *     zspool_commit_send(commit, &result, &err);
 *     zspool_commit_settle(commit, message, ZSPOOL_ACK, NULL, &err);
 *     zspool_commit_run(commit, timeout_ms, NULL, &err);
 *
 * A process that dies before the commit is applied leaves its messages to others, and no result; one
 * that dies after it leaves the result, and the messages are done. Used by one thread
 * at a time; destroy it before its consumer.
 */
typedef struct zspool_commit zspool_commit_t;

typedef struct zspool_commit_options_t {
    size_t size;
    const char *name; /* of the producer; it fences an older instance of that name. NULL = one of
                       * its own, which the broker forgets when it is unused */
} zspool_commit_options_t;

static inline void zspool_commit_options_init(zspool_commit_options_t *options)
{
    memset(options, 0, sizeof *options);
    options->size = sizeof *options;
}

typedef struct zspool_commit_result_t {
    size_t size;
    uint64_t applied;     /* messages that got their outcome */
    int64_t timestamp_ms; /* of what was sent, as the broker stored it */
    bool duplicate;       /* an earlier attempt had come through */
} zspool_commit_result_t;

static inline void zspool_commit_result_init(zspool_commit_result_t *result)
{
    memset(result, 0, sizeof *result);
    result->size = sizeof *result;
}

/* `consumer` may be NULL: then it only publishes. `options` may be NULL.
 *
 * Errors: ZSPOOL_EBAD_NAME, ZSPOOL_EINVAL, ZSPOOL_ENOMEM, ZSPOOL_EIO
 */
ZSPOOL_EXPORT zspool_commit_t *zspool_commit_new(zspool_client_t *client,
                                                 zspool_consumer_t *consumer,
                                                 const zspool_commit_options_t *options,
                                                 zspool_error_t *err);

/* Forgets what is in it: messages that it was to settle are in hand as before. */
ZSPOOL_EXPORT void zspool_commit_destroy(zspool_commit_t **self_p);

/* Add a message, which is copied. At most 32 topics (or partitions of them) and 8 MiB in one
 * commit.
 *
 * Errors: ZSPOOL_EBAD_NAME, ZSPOOL_EBAD_VALUE, ZSPOOL_ETOO_LARGE, ZSPOOL_ENOMEM
 *         ZSPOOL_EINVAL  it was run, and what became of it is not known: run it again
 */
ZSPOOL_EXPORT int zspool_commit_send(zspool_commit_t *self, const zspool_out_t *message,
                                     zspool_error_t *err);

/* Add an outcome (not EXTEND) of a message in hand, as for zspool_settle(). The message stays in hand,
 * its lease is extended as ever, until the commit is done; then its pointer is invalid.
 *
 * Errors: those of zspool_settle(); ZSPOOL_EINVAL also as for zspool_commit_send()
 */
ZSPOOL_EXPORT int zspool_commit_settle(zspool_commit_t *self, const zspool_message_t *message,
                                       zspool_outcome_t outcome, const zspool_settle_arg_t *arg,
                                       zspool_error_t *err);

/* Forget what is in it, unless it was run and what became of it is not known. */
ZSPOOL_EXPORT void zspool_commit_clear(zspool_commit_t *self);

/* Send it, again after a lost connection, and wait for the answer. 0 = all of it is durable; the
 * commit is empty then. A refusal that may pass (retriable: a full topic, no space ...) is not told
 * at once: it is asked again, after longer and longer pauses, until timeout_ms are over. `ret_result`
 * may be NULL.
 *
 * Errors: ZSPOOL_ENOT_LEASED  a lease was lost: nothing was applied. The commit is empty, its
 *                             messages are in hand and should be given up
 *         ZSPOOL_ETIMEOUT, ZSPOOL_EINTERRUPTED, and all that are retriable: what is in it stays, run
 *                             it again. `maybe`: it may have come through already, and does not
 *                             change any more; else it may be changed, or cleared
 *         ZSPOOL_EFENCED_PRODUCER  another instance has the name. This, and that the name is not
 *                             known any more, with `maybe`: an attempt before may have come through,
 *                             which cannot be learnt; the commit is empty
 *         what else the broker answers: nothing was applied, the commit is empty, its messages
 *                             are in hand
 *         ZSPOOL_EINVAL       there is nothing in it
 */
ZSPOOL_EXPORT int zspool_commit_run(zspool_commit_t *self, int timeout_ms,
                                    zspool_commit_result_t *ret_result, zspool_error_t *err);

/* --- Reader ----------------------------------------------------------------------- */

typedef struct zspool_reader zspool_reader_t;

/* Where a reader is in a partition: what it gets next there. */
typedef struct zspool_reader_place_t {
    uint32_t partition;
    uint64_t offset;
} zspool_reader_place_t;

typedef struct zspool_reader_options_t {
    size_t size;
    const char *topic;      /* required */
    int32_t partition;      /* or ZSPOOL_PARTITION_ALL: merged by timestamp */
    zspool_position_t from; /* NONE = earliest */
    zspool_position_t to; /* exclusive; NONE = the end as it was at the first read, unless follow */
    bool follow;          /* wait for new messages at the end; `to` must be NONE */
    size_t prefetch_bytes; /* read ahead in each partition; 0 = 1 MiB; at most 16 MiB */
    void (*ready_fn)(zspool_reader_t *self, void *arg); /* for zspool_dispatch(); NULL = none */
    void *ready_arg;
    const char *filter; /* only messages that match, as the filter of a group; NULL = all */
    /* Begin there, not at `from`: as zspool_reader_places() told them; NULL = at `from`. Partitions not
     * among them have come since, and begin as such do. */
    const zspool_reader_place_t *places;
    size_t place_count; /* up to 1,024 */
} zspool_reader_options_t;

static inline void zspool_reader_options_init(zspool_reader_options_t *options)
{
    memset(options, 0, sizeof *options);
    options->size = sizeof *options;
    options->partition = ZSPOOL_PARTITION_ALL;
}

/* A replay of one partition or of a topic; touches no group. A reader that follows all partitions
 * goes on with those that the topic gets later, from their first message on (where `from` is a time:
 * from then on); but not one that begins at an id, which reads the partition where that is. An explicit offset
 * outside the log is an error, times and counts are clamped. A reader that was slower than
 * retention, also one whose places retention took meanwhile, is told so once, and goes on at the first
 * message kept.
 *
 * Errors: ZSPOOL_EBAD_NAME, ZSPOOL_EINVAL, ZSPOOL_ENOMEM
 */
ZSPOOL_EXPORT zspool_reader_t *zspool_reader_new(zspool_client_t *client,
                                                 const zspool_reader_options_t *options,
                                                 zspool_error_t *err);
/* Null the pointer; message pointers become invalid. */
ZSPOOL_EXPORT void zspool_reader_destroy(zspool_reader_t **self_p);

/* The next message; valid until the next zspool_read() on this reader. Order: by offset in a
 * partition; over all partitions by timestamp, and when following as well as can be
 * without holding back: messages of a key that goes to another partition since the topic has grown
 * may come before its older ones. One thread at a time.
 *
 * Returns 0 with a message, ZSPOOL_END for good when all is read, or
 * Errors: ZSPOOL_ENOT_FOUND     no such topic or partition
 *         ZSPOOL_EOUT_OF_RANGE  an explicit offset is not in the log, or a place is beyond its end
 *         ZSPOOL_EOVERTAKEN     retention took messages before they were read: from the offset `got` on,
 *                               kept is `wanted`; the next call goes on at the first one kept
 *         ZSPOOL_ECORRUPT       stored data is damaged there; the next call goes on behind it
 *         ZSPOOL_EBAD_RECORD    what the broker sent cannot be read
 *         ...                   what the broker answered; the reader stays where it was, the
 *                               next call tries again
 */
ZSPOOL_EXPORT int zspool_read(zspool_reader_t *self, const zspool_message_t **ret_message,
                              int timeout_ms, zspool_error_t *err);

/* Where the reader is in each partition, behind the last message that zspool_read() returned (and
 * behind what its filter left out up to there). Keep them, and a reader that is given them as `places`
 * goes on there, in another process, another day. By the thread that reads, or while none does.
 *
 * Returns how many there are, of which the first `max` are told, by partition; 0 = not known yet: a first
 * message, or a time-out of zspool_read(), comes before; ZSPOOL_EINVAL. */
ZSPOOL_EXPORT int zspool_reader_places(zspool_reader_t *self, zspool_reader_place_t *ret_places,
                                       size_t max);

/* As zspool_consumer_want(). */
ZSPOOL_EXPORT void zspool_reader_want(zspool_reader_t *self, bool wanted);

/* --- Administration ---------------------------------------------------------------- */

/* All of these wait for the broker's answer, up to timeout_ms. What only asks is
 * sent again after a lost connection. What changes something is not: if it was sent and the
 * connection goes before the answer, ZSPOOL_ECLOSED with `maybe`; on
 * ZSPOOL_ETIMEOUT `maybe` tells whether it was sent. Errors of the broker are returned as they
 * are. Results are one block each, freed with zspool_free(). */

/* Free a result; NULL is fine. */
ZSPOOL_EXPORT void zspool_free(void *result);

/* One round trip to the broker. *ret_round_trip_us may be NULL. */
ZSPOOL_EXPORT int zspool_ping(zspool_client_t *self, int timeout_ms, uint64_t *ret_round_trip_us,
                              zspool_error_t *err);

/* A figure or a setting with its name. */
typedef struct zspool_figure_t {
    const char *name;
    bool is_text;
    bool is_unset;    /* to set: back to the default; told: there is none */
    int64_t value;    /* not is_text; booleans are 0 and 1 */
    const char *text; /* is_text: NUL-terminated */
} zspool_figure_t;

typedef struct zspool_figures_t {
    size_t count;
    const zspool_figure_t *items;
} zspool_figures_t;

/* The broker's own figures; names of nested ones are joined by dots. */
ZSPOOL_EXPORT int zspool_stats(zspool_client_t *self, int timeout_ms, zspool_figures_t **ret_stats,
                               zspool_error_t *err);

typedef struct zspool_names_t {
    size_t count;
    const char *const *items;
} zspool_names_t;

typedef struct zspool_topic_spec_t {
    size_t size;
    const char *topic;   /* required */
    uint32_t partitions; /* 1..1,024; 0 = the default when created, unchanged when set */
    const zspool_figure_t *settings; /* names and units as in docs/PROTOCOL.md */
    size_t setting_count;
    bool force; /* set: more partitions even if a group keeps the topic's order */
} zspool_topic_spec_t;

static inline void zspool_topic_spec_init(zspool_topic_spec_t *spec, const char *topic)
{
    memset(spec, 0, sizeof *spec);
    spec->size = sizeof *spec;
    spec->topic = topic;
}

typedef struct zspool_partition_info_t {
    uint32_t partition;
    uint64_t start_offset, end_offset; /* the first still there; behind the last synced */
    uint64_t bytes;                    /* on disk */
} zspool_partition_info_t;

/* Of a partition that is compacted by key. */
typedef struct zspool_compaction_info_t {
    uint32_t partition;
    uint32_t dirty_percent;         /* of its bytes that were not compacted yet */
    uint64_t runs, messages, bytes; /* since the broker's start; the latter that went */
    int64_t last_ms;                /* Unix time when the last run ended, 0 = none did */
} zspool_compaction_info_t;

/* What is left below the start of a partition: dead messages that groups keep. */
typedef struct zspool_island_info_t {
    uint32_t partition;
    uint64_t first_offset; /* nothing is left below */
    uint64_t bytes;        /* on disk; the partition's bytes include them */
} zspool_island_info_t;

typedef struct zspool_topic_info_t {
    const char *topic;
    uint64_t id;
    size_t setting_count;
    const zspool_figure_t *settings;
    size_t partition_count;
    const zspool_partition_info_t *partitions;
    size_t compaction_count; /* 0 = it is not compacted */
    const zspool_compaction_info_t *compactions;
    size_t island_count;
    const zspool_island_info_t *islands;
} zspool_topic_info_t;

/* Errors: ZSPOOL_EEXISTS, ZSPOOL_EBAD_NAME, ZSPOOL_EBAD_VALUE, ZSPOOL_EUNKNOWN_ARGUMENT (no such
 * setting), ZSPOOL_ELIMIT_REACHED */
ZSPOOL_EXPORT int zspool_topic_create(zspool_client_t *self, const zspool_topic_spec_t *spec,
                                      int timeout_ms, zspool_error_t *err);
/* Change settings, those not named stay; or get more partitions, never fewer. Keys are then hashed over
 * the new number: producers learn of it, and route again what is not confirmed; groups have the new
 * ones, and readers of the whole topic that follow. Errors: ZSPOOL_ENOT_FOUND, ZSPOOL_EBAD_VALUE (also:
 * both, or fewer partitions), ZSPOOL_EUNKNOWN_ARGUMENT (no such setting), ZSPOOL_EWOULD_REORDER (a group
 * keeps an order) */
ZSPOOL_EXPORT int zspool_topic_set(zspool_client_t *self, const zspool_topic_spec_t *spec,
                                   int timeout_ms, zspool_error_t *err);
/* Errors: ZSPOOL_ENOT_FOUND */
ZSPOOL_EXPORT int zspool_topic_info(zspool_client_t *self, const char *topic, int timeout_ms,
                                    zspool_topic_info_t **ret_info, zspool_error_t *err);
/* The names that match a glob of `*` and `?` (UTF-8, up to 255 bytes; NULL = all), in order. */
ZSPOOL_EXPORT int zspool_topic_list(zspool_client_t *self, const char *match, int timeout_ms,
                                    zspool_names_t **ret_names, zspool_error_t *err);
/* Delete a topic with its messages; dry_run only checks. Errors: ZSPOOL_ENOT_FOUND */
ZSPOOL_EXPORT int zspool_topic_delete(zspool_client_t *self, const char *topic, bool dry_run,
                                      int timeout_ms, zspool_error_t *err);

typedef struct zspool_purge_spec_t {
    size_t size;
    const char *topic;        /* required */
    int32_t partition;        /* or ZSPOOL_PARTITION_ALL */
    zspool_position_t before; /* required: messages before it go */
    bool dry_run;             /* only tell what would happen */
} zspool_purge_spec_t;

static inline void zspool_purge_spec_init(zspool_purge_spec_t *spec, const char *topic)
{
    memset(spec, 0, sizeof *spec);
    spec->size = sizeof *spec;
    spec->topic = topic;
    spec->partition = ZSPOOL_PARTITION_ALL;
}

typedef struct zspool_purge_group_t {
    const char *group;
    uint64_t lost; /* messages that it had not done */
} zspool_purge_group_t;

typedef struct zspool_purge_result_t {
    uint64_t messages; /* that go */
    size_t group_count;
    const zspool_purge_group_t *groups; /* those that lose something */
} zspool_purge_result_t;

/* Drop the messages before a position; offsets go on, groups count what they had not done as lost.
 * Errors: ZSPOOL_ENOT_FOUND, ZSPOOL_EOUT_OF_RANGE */
ZSPOOL_EXPORT int zspool_topic_purge(zspool_client_t *self, const zspool_purge_spec_t *spec,
                                     int timeout_ms, zspool_purge_result_t **ret_result,
                                     zspool_error_t *err);

typedef struct zspool_group_spec_t {
    size_t size;
    const char *group; /* required */
    const char *const
        *topics; /* create: its topics and patterns, count 0 = none yet; set: ignored */
    size_t topic_count;
    const char *mode;        /* create: "shared", "ordered", "keyed"; NULL = shared */
    zspool_position_t start; /* create: NONE = earliest */
    const zspool_figure_t *settings;
    size_t setting_count;
} zspool_group_spec_t;

static inline void zspool_group_spec_init(zspool_group_spec_t *spec, const char *group)
{
    memset(spec, 0, sizeof *spec);
    spec->size = sizeof *spec;
    spec->group = group;
}

/* A group's state in one partition. */
typedef struct zspool_group_part_t {
    const char *topic;
    uint32_t partition;
    uint64_t committed;                    /* every offset below is done or dead */
    uint64_t end_offset;                   /* behind the last synced message */
    uint64_t ready, leased, waiting, dead; /* messages */
    uint64_t lost;      /* that retention or a purge took before they were done */
    uint64_t expired;   /* left out, because their time to live was over: done, or dead */
    uint64_t compacted; /* that compaction took before the group came to them: done */
} zspool_group_part_t;

/* Why a group, or a partition of it, does not move; times are wall time in ms. */
typedef struct zspool_why_t {
    const char *reason; /* as in GROUP.INFO of the protocol: "nobody_pulls", "retry", ... */
    const char *topic;  /* where; NULL = the whole group */
    uint32_t partition;
    bool has_offset;
    uint64_t offset;
    const char *member; /* "worker-1", or "member 7"; NULL = none is meant */
    int64_t since_ms;   /* 0 = not known */
    int64_t at_ms;      /* when it is over; 0 = not known */
    uint64_t limit;     /* of "max_leased" */
    const char *holder; /* of an ordered group: who has the partition; NULL = nobody */
} zspool_why_t;

/* A session that pulls for a group. */
typedef struct zspool_member_t {
    const char *name; /* its client's, or "member 7" */
    uint64_t leased;  /* messages that it has out */
    uint64_t partitions;
    bool waits;         /* a pull of it waits */
    uint64_t silent_ms; /* since its last pull */
} zspool_member_t;

/* A key of a keyed group of which messages wait for another one. */
typedef struct zspool_hot_key_t {
    const char *topic;
    uint32_t partition;
    zspool_bytes_t key;
    uint64_t waiting;  /* messages */
    uint64_t offset;   /* of the one that they wait for */
    const char *state; /* of that: "leased", "waiting", "dead", "ready" */
} zspool_hot_key_t;

typedef struct zspool_group_info_t {
    const char *group;
    const char *mode;
    zspool_position_t start;
    uint64_t member_count;
    size_t setting_count;
    const zspool_figure_t *settings;
    size_t part_count;
    const zspool_group_part_t *parts;
    bool paused;           /* nothing is handed out */
    uint64_t redrive_rate; /* of zspool_dead_redrive() with a rate that is under way; 0 = none */
    uint64_t redriven;     /* messages that it redrove up to now */
    bool owes_letters;     /* copies for the dead letter topic are owed; then */
    uint64_t letters_copied, letters_failed; /* made since; that cannot be made */
    const char *letters_error;               /* why they wait; NULL = they do not */
    size_t pattern_count;
    const char *const *patterns; /* topics that match come into it */
    const zspool_why_t *why;     /* why it does not move; NULL = the broker does not tell */
    size_t why_count;
    const zspool_why_t *whys; /* of partitions that have a reason of their own, or a holder */
    size_t listed_count;
    const zspool_member_t *members; /* up to 100, those heard last first */
    size_t key_count;
    const zspool_hot_key_t *keys; /* of a keyed group: up to 10, those with most that wait first */
    const char *replay_of; /* the group that it was made after by zspool_group_replay(); or NULL */
    bool replay_finished;  /* all of its range is done or dead */
    uint64_t replay_expires_in_ms; /* it goes then, if nobody pulls */
} zspool_group_info_t;

/* Errors: ZSPOOL_EEXISTS, ZSPOOL_EBAD_NAME, ZSPOOL_EUNSUPPORTED, ZSPOOL_ELIMIT_REACHED */
ZSPOOL_EXPORT int zspool_group_create(zspool_client_t *self, const zspool_group_spec_t *spec,
                                      int timeout_ms, zspool_error_t *err);
/* Change settings; those not named stay. Errors: ZSPOOL_ENOT_FOUND, ZSPOOL_EBAD_VALUE */
ZSPOOL_EXPORT int zspool_group_set(zspool_client_t *self, const zspool_group_spec_t *spec,
                                   int timeout_ms, zspool_error_t *err);
/* Errors: ZSPOOL_ENOT_FOUND */
ZSPOOL_EXPORT int zspool_group_info(zspool_client_t *self, const char *group, int timeout_ms,
                                    zspool_group_info_t **ret_info, zspool_error_t *err);
/* The names that match a glob, as zspool_topic_list(). */
ZSPOOL_EXPORT int zspool_group_list(zspool_client_t *self, const char *match, int timeout_ms,
                                    zspool_names_t **ret_names, zspool_error_t *err);
/* Delete a group with its state; dry_run only checks. Errors: ZSPOOL_ENOT_FOUND */
ZSPOOL_EXPORT int zspool_group_delete(zspool_client_t *self, const char *group, bool dry_run,
                                      int timeout_ms, zspool_error_t *err);

/* How one message stands in a group, and where it comes from. Times are wall time in ms; 0 = none. */
typedef struct zspool_trace_t {
    const char *status; /* "ready", "leased", "waiting", "done" or "dead" */
    uint32_t deliveries, failures;
    size_t reason_count;
    const char *const *reasons; /* of its last failures, newest first */
    int64_t at_ms;              /* when its lease ends, or when it is due again */
    const char *holder;         /* who has it in hand; NULL = nobody */
    int64_t held_since_ms;
    uint64_t left_ms; /* of its lease */
    bool is_found;    /* the log has it still; then */
    bool is_corrupt;  /* it is damaged there */
    int64_t timestamp_ms;
    uint8_t priority;
    const char *producer; /* NULL = one without a name, or not known any more */
    uint32_t epoch;
    uint64_t sequence; /* 0 = none */
    int64_t not_before_ms, expires_at_ms;
    bool is_expired;
} zspool_trace_t;

/* Errors: ZSPOOL_ENOT_FOUND, ZSPOOL_EOUT_OF_RANGE */
ZSPOOL_EXPORT int zspool_group_trace(zspool_client_t *self, const char *group, const char *topic,
                                     uint32_t partition, uint64_t offset, int timeout_ms,
                                     zspool_trace_t **ret_trace, zspool_error_t *err);

/* Hand nothing out any more, until it is resumed; durable. What is out may be settled, pulls wait or
 * end with the reason "paused". Neither does harm when it is so already.
 * Errors: ZSPOOL_ENOT_FOUND */
ZSPOOL_EXPORT int zspool_group_pause(zspool_client_t *self, const char *group, int timeout_ms,
                                     zspool_error_t *err);
ZSPOOL_EXPORT int zspool_group_resume(zspool_client_t *self, const char *group, int timeout_ms,
                                      zspool_error_t *err);

typedef struct zspool_seek_spec_t {
    size_t size;
    const char *group;    /* required */
    const char *topic;    /* required */
    int32_t partition;    /* or ZSPOOL_PARTITION_ALL */
    zspool_position_t to; /* required */
    bool dead;            /* dead messages are ready again, too */
    bool dry_run;         /* only tell what would happen */
} zspool_seek_spec_t;

static inline void zspool_seek_spec_init(zspool_seek_spec_t *spec, const char *group,
                                         const char *topic)
{
    memset(spec, 0, sizeof *spec);
    spec->size = sizeof *spec;
    spec->group = group;
    spec->topic = topic;
    spec->partition = ZSPOOL_PARTITION_ALL;
}

typedef struct zspool_seek_part_t {
    uint32_t partition;
    uint64_t from, to;             /* the committed offset, before and after */
    uint64_t redelivered, skipped; /* messages that come again; that never come */
} zspool_seek_part_t;

typedef struct zspool_seek_result_t {
    size_t count;
    const zspool_seek_part_t *parts;
    bool undo; /* zspool_savepoint_undo() takes it back */
} zspool_seek_result_t;

/* Move a group to another place in a topic: one durable step for all partitions;
 * leases out are lost, counts begin anew.
 * Errors: ZSPOOL_ENOT_FOUND, ZSPOOL_EOUT_OF_RANGE */
ZSPOOL_EXPORT int zspool_group_seek(zspool_client_t *self, const zspool_seek_spec_t *spec,
                                    int timeout_ms, zspool_seek_result_t **ret_result,
                                    zspool_error_t *err);

typedef struct zspool_replay_spec_t {
    size_t size;
    const char *group;               /* required: it does not move */
    const char *topic;               /* NULL = the group's only one */
    int32_t partition;               /* or ZSPOOL_PARTITION_ALL */
    zspool_position_t from;          /* the first message; or */
    const char *from_savepoint;      /* where the group was in that savepoint */
    zspool_position_t to;            /* the range ends before it, NONE = latest; or */
    const char *to_savepoint;        /* likewise */
    const char *name;                /* of the group that is made; NULL = the broker makes one */
    int64_t expires_ms;              /* it goes when nobody has pulled for so long; 0 = a day */
    const zspool_figure_t *settings; /* it has those of `group`, but for these */
    size_t setting_count;
    bool dry_run; /* only tell the range */
} zspool_replay_spec_t;

static inline void zspool_replay_spec_init(zspool_replay_spec_t *spec, const char *group)
{
    memset(spec, 0, sizeof *spec);
    spec->size = sizeof *spec;
    spec->group = group;
    spec->partition = ZSPOOL_PARTITION_ALL;
}

typedef struct zspool_replay_part_t {
    uint32_t partition;
    uint64_t from, to; /* what comes again: from here to before there */
    uint64_t lost;     /* messages since the savepoint that are gone */
} zspool_replay_part_t;

typedef struct zspool_replay_result_t {
    const char *group; /* that was made; NULL = none, by a dry run */
    uint64_t message_count;
    size_t count;
    const zspool_replay_part_t *parts; /* those with anything in the range */
} zspool_replay_result_t;

/* Make a group that gets a range of a topic once more, with the mode and settings of another one. Its
 * consumers end with ZSPOOL_END when all of that is done or dead: zspool_consumer_finished().
 * Errors: ZSPOOL_ENOT_FOUND, ZSPOOL_EOUT_OF_RANGE, ZSPOOL_EEXISTS, ZSPOOL_EBAD_VALUE (the range begins behind
 *         its end) */
ZSPOOL_EXPORT int zspool_group_replay(zspool_client_t *self, const zspool_replay_spec_t *spec,
                                      int timeout_ms, zspool_replay_result_t **ret_result,
                                      zspool_error_t *err);

/* Keep what a group has done, in all its topics, under a name; `replace` takes the place of one
 * that is there. A savepoint pins no messages: what retention takes cannot be restored.
 * Errors: ZSPOOL_ENOT_FOUND, ZSPOOL_EEXISTS, ZSPOOL_ELIMIT_REACHED, ZSPOOL_ETOO_LARGE */
ZSPOOL_EXPORT int zspool_savepoint_save(zspool_client_t *self, const char *group, const char *name,
                                        bool replace, int timeout_ms, zspool_error_t *err);

typedef struct zspool_savepoint_t {
    const char *name;
    int64_t created_ms; /* wall time */
    uint64_t bytes;     /* that the broker keeps for it */
} zspool_savepoint_t;

typedef struct zspool_savepoint_list_t {
    size_t count;
    const zspool_savepoint_t *items; /* the oldest name first */
    int64_t undo_ms;                 /* when what can be undone was done; 0 = nothing can */
} zspool_savepoint_list_t;

/* Errors: ZSPOOL_ENOT_FOUND */
ZSPOOL_EXPORT int zspool_savepoint_list(zspool_client_t *self, const char *group, int timeout_ms,
                                        zspool_savepoint_list_t **ret_list, zspool_error_t *err);
/* Forget one; dry_run only checks. Errors: ZSPOOL_ENOT_FOUND */
ZSPOOL_EXPORT int zspool_savepoint_drop(zspool_client_t *self, const char *group, const char *name,
                                        bool dry_run, int timeout_ms, zspool_error_t *err);

typedef struct zspool_restore_part_t {
    const char *topic;
    uint32_t partition;
    uint64_t from, to;             /* the committed offset, before and after */
    uint64_t redelivered, skipped; /* messages that come again; that never come */
    uint64_t gone;                 /* were to be done then, and are not there any more */
} zspool_restore_part_t;

typedef struct zspool_restore_result_t {
    uint64_t redelivered, skipped, gone; /* of all partitions */
    size_t count;
    const zspool_restore_part_t *parts; /* as many as the reply had room for */
    size_t missing_count;
    const char *const *missing; /* topics that are gone: nothing to restore there */
    bool undo;                  /* it can be undone */
} zspool_restore_result_t;

/* Bring a group back to what it had done when a savepoint was made: one durable step for all
 * partitions; leases out are lost, counts are as they were. dry_run only tells.
 * Errors: ZSPOOL_ENOT_FOUND */
ZSPOOL_EXPORT int zspool_savepoint_restore(zspool_client_t *self, const char *group,
                                           const char *name, bool dry_run, int timeout_ms,
                                           zspool_restore_result_t **ret_result,
                                           zspool_error_t *err);
/* The same with what the group had done before its last seek, restore or undo.
 * Errors: ZSPOOL_ENOT_FOUND (also: there is nothing to undo) */
ZSPOOL_EXPORT int zspool_savepoint_undo(zspool_client_t *self, const char *group, bool dry_run,
                                        int timeout_ms, zspool_restore_result_t **ret_result,
                                        zspool_error_t *err);

/* --- Dead letters: what a group has given up ---------------------------------- */

/* A stretch of messages. */
typedef struct zspool_dead_run_t {
    const char *topic;
    uint32_t partition;
    uint64_t first_offset;
    uint64_t count; /* >= 1 */
} zspool_dead_run_t;

/* A place in a group's topics. */
typedef struct zspool_place_t {
    const char *topic;
    uint32_t partition;
    uint64_t offset;
} zspool_place_t;

/* Which of a group's dead messages are meant: those of `runs`, or those that fit all that is told. */
typedef struct zspool_dead_choice_t {
    size_t size;
    const char *group;             /* required */
    const char *topic;             /* NULL = of all topics */
    int32_t partition;             /* of the topic, or ZSPOOL_PARTITION_ALL */
    const char *reason;            /* a glob for the last reason; NULL = any */
    int64_t older_than_ms;         /* dead for at least so long; 0 = any */
    int64_t newer_than_ms;         /* dead for at most so long; 0 = any */
    const zspool_place_t *from;    /* from there on; NULL = the first */
    const zspool_dead_run_t *runs; /* these, and nothing else is told; up to 4,096 */
    size_t run_count;
    bool all;         /* redrive, drop: needed when nothing else is told */
    bool dry_run;     /* redrive, drop: only count */
    bool keep_counts; /* redrive: with the deliveries, failures and reasons they have */
    uint32_t
        rate; /* redrive, but not of `runs`: answered at once, and the broker goes on by itself,
                       * so many messages a second; 0 = all of it now */
} zspool_dead_choice_t;

static inline void zspool_dead_choice_init(zspool_dead_choice_t *choice, const char *group)
{
    memset(choice, 0, sizeof *choice);
    choice->size = sizeof *choice;
    choice->group = group;
    choice->partition = ZSPOOL_PARTITION_ALL;
}

/* A stretch of dead messages of which all is the same. */
typedef struct zspool_dead_item_t {
    zspool_dead_run_t run;
    int64_t died_ms; /* wall time, in full seconds; 0 = not known */
    uint32_t deliveries, failures;
    size_t reason_count;
    const char *const *reasons; /* the last three, newest first */
} zspool_dead_item_t;

typedef struct zspool_dead_list_t {
    size_t count;
    const zspool_dead_item_t *items; /* by topic, partition and offset */
    uint64_t dead;                   /* messages in all, chosen or not */
    const zspool_place_t *next;      /* the next call's `from`; NULL = that is all */
} zspool_dead_list_t;

/* One page, of up to `limit` items (0 = 100, at most 1,000). A page may be short, or empty, and have
 * a next one. Errors: ZSPOOL_ENOT_FOUND, ZSPOOL_EBAD_VALUE */
ZSPOOL_EXPORT int zspool_dead_list(zspool_client_t *self, const zspool_dead_choice_t *choice,
                                   uint32_t limit, int timeout_ms, zspool_dead_list_t **ret_list,
                                   zspool_error_t *err);

typedef struct zspool_dead_message_t {
    zspool_message_t message; /* its bytes live as long as the result */
    int64_t died_ms;
    size_t reason_count;
    const char *const *reasons;
} zspool_dead_message_t;

typedef struct zspool_dead_messages_t {
    size_t count;
    const zspool_dead_message_t *items;
    bool more; /* ask again for those behind the last one */
} zspool_dead_messages_t;

/* The messages of choice->runs, about 1 MiB of them at most. All must be dead.
 * Errors: ZSPOOL_ENOT_FOUND (tells which is not dead) */
ZSPOOL_EXPORT int zspool_dead_read(zspool_client_t *self, const zspool_dead_choice_t *choice,
                                   int timeout_ms, zspool_dead_messages_t **ret_messages,
                                   zspool_error_t *err);

typedef struct zspool_dead_result_t {
    uint64_t messages;
    const zspool_place_t *next; /* there may be more: the next call's `from`; NULL = that is all */
} zspool_dead_result_t;

/* Make dead messages ready again: one durable step for each call, until there is no `next`.
 * Errors: ZSPOOL_ENOT_FOUND (of runs: tells which is not dead, and nothing has happened),
 *         ZSPOOL_EBAD_VALUE (nothing is chosen) */
ZSPOOL_EXPORT int zspool_dead_redrive(zspool_client_t *self, const zspool_dead_choice_t *choice,
                                      int timeout_ms, zspool_dead_result_t **ret_result,
                                      zspool_error_t *err);
/* End a redrive with a rate; the result tells how many it redrove.
 * Errors: ZSPOOL_ENOT_FOUND (no group, or none is under way) */
ZSPOOL_EXPORT int zspool_dead_stop(zspool_client_t *self, const char *group, int timeout_ms,
                                   zspool_dead_result_t **ret_result, zspool_error_t *err);
/* Make dead messages done, as zspool_dead_redrive(): they are never handed out again. */
ZSPOOL_EXPORT int zspool_dead_drop(zspool_client_t *self, const zspool_dead_choice_t *choice,
                                   int timeout_ms, zspool_dead_result_t **ret_result,
                                   zspool_error_t *err);

typedef struct zspool_producer_last_t {
    const char *topic;
    uint32_t partition;
    uint64_t sequence; /* of the last message appended */
} zspool_producer_last_t;

typedef struct zspool_producer_info_t {
    const char *producer;
    uint32_t epoch;
    size_t count;
    const zspool_producer_last_t *last;
} zspool_producer_info_t;

/* What the broker remembers of a producer's name. Errors: ZSPOOL_ENOT_FOUND */
ZSPOOL_EXPORT int zspool_producer_info(zspool_client_t *self, const char *producer, int timeout_ms,
                                       zspool_producer_info_t **ret_info, zspool_error_t *err);

typedef enum zspool_settled_t {
    ZSPOOL_SETTLED,        /* applied */
    ZSPOOL_SETTLED_DONE,   /* was done before: the same, or another outcome */
    ZSPOOL_SETTLED_LOST,   /* the lease is not live: nothing changed */
    ZSPOOL_SETTLED_UNKNOWN /* no such message, topic or partition */
} zspool_settled_t;

/* Messages to settle by address and lease, from any process. */
typedef struct zspool_settle_run_t {
    const char *topic;
    uint32_t partition;
    uint64_t first_offset;
    uint64_t count; /* >= 1 */
    uint64_t lease;
    zspool_outcome_t outcome;
    zspool_settle_arg_t arg;      /* see zspool_settle_arg_init() */
    zspool_settled_t ret_settled; /* filled: the worst of the run's messages */
} zspool_settle_run_t;

/* Settle runs of offsets (1..4,096) and tell of each what became of it. 0 = answered and
 * durable, also when none could be applied. Many runs, and runs with messages in common, take several
 * requests: on an error some may have been applied. May be repeated safely.
 * Errors: ZSPOOL_ENOT_FOUND  no such group
 *         ZSPOOL_EBAD_NAME, ZSPOOL_EBAD_VALUE  as zspool_settle() */
ZSPOOL_EXPORT int zspool_settle_at(zspool_client_t *self, const char *group,
                                   zspool_settle_run_t *runs, size_t run_count, int timeout_ms,
                                   zspool_error_t *err);

/* A request as it goes over the wire, for what this library has no function for. */
typedef struct zspool_request_spec_t {
    size_t size;
    const char *verb;    /* "TOPIC.INFO" */
    zspool_bytes_t args; /* one MessagePack map; absent = empty */
    zspool_bytes_t body; /* one body frame; absent = none */
    bool repeatable;     /* it may be sent again after a lost connection */
} zspool_request_spec_t;

static inline void zspool_request_spec_init(zspool_request_spec_t *spec, const char *verb)
{
    memset(spec, 0, sizeof *spec);
    spec->size = sizeof *spec;
    spec->verb = verb;
}

typedef struct zspool_reply_t {
    zspool_bytes_t map;  /* one MessagePack map */
    zspool_bytes_t body; /* all body frames, joined; absent if there were none */
} zspool_reply_t;

/* Any request. An ERR answer is returned as its code.
 * Errors: ZSPOOL_EINVAL     the arguments are no MessagePack map, text in them is not UTF-8,
 *                           the body is empty
 *         ZSPOOL_ETOO_LARGE arguments or body are more than the broker takes */
ZSPOOL_EXPORT int zspool_request(zspool_client_t *self, const zspool_request_spec_t *spec,
                                 int timeout_ms, zspool_reply_t **ret_reply, zspool_error_t *err);

#ifdef __cplusplus
}
#endif

#endif
