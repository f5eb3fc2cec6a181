/* SPDX-License-Identifier: MPL-2.0
 *
 * libzspool-broker: a whole zspool broker inside your program. The same broker as
 * zspoold, with the same files and the same guarantees, on threads of its own;
 * other threads of the program reach it over inproc, other programs over ipc and tcp.
 *
 *     zspool_broker_options_t options;
 *     zspool_broker_options_init(&options);
 *     options.directory = "/var/lib/my-program";
 *     zspool_broker_t *broker = zspool_broker_new(&options, &error);
 *
 *     zspool_options_t client_options;                     (libzspool, <zspool.h>)
 *     zspool_options_init(&client_options);
 *     client_options.zmq_context = zspool_broker_context(broker);
 *     client = zspool_new(zspool_broker_endpoint(broker, 0), &client_options, &error);
 *     ...
 *     zspool_destroy(&client);
 *     zspool_broker_destroy(&broker);
 *
 * Codes and the struct of errors are those of <zspool.h>; nothing of libzspool is
 * linked. What holds there holds here: `err` may be NULL; called wrongly, a function
 * returns ZSPOOL_EINVAL and changes nothing; a timeout of -1 waits for ever; what is
 * given is borrowed for the call unless it says "lent".
 *
 * What a host process sees of a broker:
 *
 *   Threads     one that serves, data.threads (4) for slow disk work, and those of the
 *               libzmq context; all signals are blocked in them, so that every signal
 *               stays with the host's threads. No SIGPIPE.
 *   Signals     no handler is installed, no mask of the host's threads is changed.
 *   Environment not read (ZSPOOL_..., ZSYS_...) and not changed.
 *   Exit        no atexit, no exit, no abort because of the disk, the network or a
 *               request; only an assertion, which only a bug of ours can break, aborts.
 *               A program may end without a _destroy: that is a crash to the broker, and
 *               its files are made for that.
 *   Output      none; diagnostic lines go to diag_fn.
 *   rand()      the host's sequence goes on undisturbed, and is not seeded. (What another
 *               thread draws in the microseconds in which _new makes its socket comes
 *               from a sequence of ours, and is not missing in the host's.)
 *   umask       neither used nor changed: an ipc socket has the mode network/ipc_mode.
 *   Limits      RLIMIT_NOFILE is not raised: a broker wants one descriptor for each
 *               connection, and for log files up to data/open_files (a quarter of the
 *               limit, 1,024 at most, unless set).
 *   Memory      the settings of malloc are not changed.
 *   fork()      the child must not touch what the parent made, and may only exec; every
 *               descriptor is close-on-exec.
 *
 * Several brokers may live in one process, each with a data directory of its own. An
 * inproc client has no user name and may do everything: it is `local`, as over ipc.
 * Connections over inproc have no ZeroMQ heartbeats and need none.
 */
#ifndef ZSPOOL_BROKER_H
#define ZSPOOL_BROKER_H

#include <zspool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The endpoint of a broker that is told no other. */
#define ZSPOOL_BROKER_DEFAULT_ENDPOINT "inproc://zspool"

/* The version of the library in use, "0.1.0". Static. */
ZSPOOL_EXPORT const char *zspool_broker_version(void);

typedef struct zspool_broker zspool_broker_t;

/* Of diagnostic lines. */
typedef enum zspool_broker_level {
    ZSPOOL_BROKER_DEBUG,
    ZSPOOL_BROKER_INFO,
    ZSPOOL_BROKER_WARNING,
    ZSPOOL_BROKER_ERROR
} zspool_broker_level_t;

typedef struct zspool_broker_options {
    size_t size;
    const char *directory; /* the data directory, made when missing; NULL = as the settings say */
    /* Where to listen: tcp://HOST:PORT (* = a free port), ipc://PATH, inproc://NAME, up to 16.
     * None here and none in the settings: ZSPOOL_BROKER_DEFAULT_ENDPOINT. */
    const char *const *endpoints;
    size_t endpoint_count;
    const char *config_file; /* to read, in the form of zspoold.cfg; NULL = none */
    /* Single settings, each "section/key = value" with the keys of zspoold.cfg, as in
     * "data/min_free = 1GiB". They weigh more than the file; directory and endpoints weigh
     * more than both. */
    const char *const *settings;
    size_t setting_count;
    /* Lent until _destroy: the libzmq context to use, such as czmq's (zsys_init()); then
     * network/io_threads has no effect. NULL = one of its own, with inproc names of its own. */
    void *zmq_context;
    /* Takes diagnostic lines (one, without a newline), from level diag/level on. Called on the
     * threads of _new and _destroy, in between on the broker's, where _wait does not wait and
     * _stop only begins. NULL = silent. */
    void (*diag_fn)(void *arg, zspool_broker_level_t level, const char *line);
    void *diag_arg;
    /* The broker has ended without being told to: its storage failed (ZSPOOL_ESTORAGE_FAILED,
     * see fail-stop in docs/GUARANTEES.md) or its socket did (ZSPOOL_EIO). All is closed, the
     * directory may be opened again, which is the recovery. Called once, on the broker's thread;
     * any function may be called. NULL = nobody is called; zspool_broker_wait() and _fd tell. */
    void (*failed_fn)(void *arg, const zspool_error_t *error);
    void *failed_arg;
} zspool_broker_options_t;

static inline void zspool_broker_options_init(zspool_broker_options_t *options)
{
    memset(options, 0, sizeof *options);
    options->size = sizeof *options;
}

/* Open the data directory, recover, listen, and serve. When it returns all endpoints
 * are bound and requests are answered. The time it takes is that of recovery: about
 * that of reading the ends of the logs.
 *
 * NULL, and nothing is left behind but perhaps an empty store:
 *     ZSPOOL_EBAD_CONFIG    a setting, the file, the directory or an endpoint is wrong; the
 *                           message names it, in the file with its line
 *     ZSPOOL_ELOCKED        another broker uses the directory, here or elsewhere
 *     ZSPOOL_ECORRUPT       the journal is damaged, or that is no data directory of ours
 *     ZSPOOL_EFORMAT        the directory was made by a newer version; it was not touched
 *     ZSPOOL_ENOT_FOUND     no store there, and data/create = no
 *     ZSPOOL_EEXISTS        ipc: somebody listens there, or it is no socket
 *     ZSPOOL_EIO            the directory cannot be made or read, an endpoint is in use
 *     ZSPOOL_EINVAL, ZSPOOL_ENOMEM, ZSPOOL_ENO_SPACE
 */
ZSPOOL_EXPORT zspool_broker_t *zspool_broker_new(const zspool_broker_options_t *options,
                                                 zspool_error_t *err);

/* Where it listens, in the order of the options, with real ports; NULL behind the last.
 * Lent until _destroy. */
ZSPOOL_EXPORT const char *zspool_broker_endpoint(const zspool_broker_t *self, size_t index);

/* The libzmq context in which its inproc endpoints are: for zspool_options_t, for
 * zmq_socket(). Lent until _destroy, which terminates it unless you gave it. */
ZSPOOL_EXPORT void *zspool_broker_context(const zspool_broker_t *self);

/*      SERVING ---_stop, _destroy---> STOPPING ---all is answered, or time---> STOPPED
 *         |                              |
 *         +-----the storage failed-------+-----------------------------------> FAILED
 */
typedef enum zspool_broker_state {
    ZSPOOL_BROKER_SERVING,
    ZSPOOL_BROKER_STOPPING, /* told to end; answers what it accepted, refuses the rest */
    ZSPOOL_BROKER_STOPPED,  /* ended as it was told to */
    ZSPOOL_BROKER_FAILED    /* ended by itself; zspool_broker_wait() tells why */
} zspool_broker_state_t;

/* What it does now. In STOPPED and FAILED all files and endpoints are closed, and
 * the directory may be opened again. NULL is STOPPED. */
ZSPOOL_EXPORT zspool_broker_state_t zspool_broker_state(zspool_broker_t *self);

/* A descriptor that poll, epoll and the like find readable once it is STOPPED or FAILED.
 * Owned by the broker; only wait for it, never read it. */
ZSPOOL_EXPORT int zspool_broker_fd(const zspool_broker_t *self);

/* Wait until it has ended, and tell how. 0 = it was told to, and everything that it
 * had accepted is decided and durable.
 *
 * Errors: ZSPOOL_ETIMEOUT         it has not ended yet
 *         ZSPOOL_EINTERRUPTED     its time to stop was over before everything was done;
 *                                 requests may have been left unanswered, nothing that was
 *                                 confirmed is lost
 *         ZSPOOL_ESTORAGE_FAILED  fail-stop: what could be answered was, nothing is confirmed
 *                                 that is not kept; start again to recover
 *         ZSPOOL_EIO              the socket failed
 */
ZSPOOL_EXPORT int zspool_broker_wait(zspool_broker_t *self, int timeout_ms, zspool_error_t *err);

/* What SIGTERM gives zspoold for it. */
#define ZSPOOL_BROKER_STOP_MS 3500

/* End it: new requests are refused with shutting_down, parked pulls answered, and
 * what it accepted gets up to timeout_ms to be decided, made durable and answered; 0
 * ends it at once, -1 lets it take its time. Called again, the earlier end counts.
 * Returns when it has ended; a disk operation that runs is waited for. Results as those
 * of zspool_broker_wait(), without ZSPOOL_ETIMEOUT. On its own thread (in diag_fn) it
 * only begins, and returns ZSPOOL_EAGAIN. */
ZSPOOL_EXPORT int zspool_broker_stop(zspool_broker_t *self, int timeout_ms, zspool_error_t *err);

/* Stop it as by zspool_broker_stop(self, ZSPOOL_BROKER_STOP_MS, NULL) if that was not
 * done, terminate its own context, free it and null the pointer; NULL inside is fine.
 * Must not be called while another thread uses it.
 *
 * Order: destroy your clients and close your sockets in its context before. The other
 * way round is safe for clients of libzspool: their calls answer ZSPOOL_ECLOSED, they
 * are destroyed afterwards as usual. Other sockets that are still open in its own
 * context get ETERM, as after zmq_ctx_term(); they are waited for, up to three seconds,
 * then a diagnostic line tells of them, and the context ends by itself behind the
 * last zmq_close().
 *
 * In failed_fn or diag_fn it returns at once, and the rest happens behind it. */
ZSPOOL_EXPORT void zspool_broker_destroy(zspool_broker_t **self_p);

/* --- For czmq --------------------------------------------------------------------- */

/* As in <czmq.h>, which this header does not need. */
typedef struct _zsock_t zsock_t; /* NOLINT(bugprone-reserved-identifier): czmq's own name */

/* A broker as a zactor: zactor_new(zspool_broker_actor, &options) starts it and returns
 * when it serves, or has failed to; zactor_destroy() stops and destroys it. `args` is a
 * zspool_broker_options_t, borrowed until zactor_new() returns. Where it differs:
 *
 *     zmq_context NULL   czmq's own, so that a zsock connects to inproc://...
 *     diag_fn NULL       warnings and errors go to zsys_warning() and zsys_error()
 *     failed_fn          is called as well
 *
 * Commands, each a message of string frames; what is not known is answered with
 * ("ERROR", text) and changes nothing:
 *
 *     "VERBOSE"                 pass lines of all levels to zsys_info() etc., from diag/level
 *                               on; no reply
 *     "ENDPOINT" [, INDEX]      reply ("ENDPOINT", where endpoint INDEX, default 0, listens);
 *                               "" if there is none
 *     "STATUS"                  reply ("STATUS", "serving" | "stopping" | "stopped" |
 *                               "failed", text), the text telling how it ended, else ""
 *     "STOP" [, MILLISECONDS]   stop it as zspool_broker_stop(), default 3500; reply
 *                               as STATUS when it has ended
 *     "$TERM"                   sent by zactor_destroy()
 *
 * Unasked it sends ("FAILED", text), once, when it has ended by itself or could not
 * be started; the first message after zactor_new() is that in the latter case. It
 * then stays and answers STATUS until zactor_destroy(). */
ZSPOOL_EXPORT void zspool_broker_actor(zsock_t *pipe, void *args);

#ifdef __cplusplus
}
#endif

#endif
