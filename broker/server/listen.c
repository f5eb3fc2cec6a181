/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/server/listen.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

#include "broker/server/now.h"
#include "common/assert.h"
#include "common/limits.h"

#define HANDSHAKE_MS       5000  /* a peer that does not finish the handshake is dropped */
#define KEEPALIVE_S        10    /* TCP asks a silent peer, then again each time so long after; */
#define KEEPALIVES         3     /* so often without an answer, and it is dropped; */
#define UNACKNOWLEDGED_MS  40000 /* and one that takes nothing for so long */
#define BACKLOG            1024  /* connections not yet accepted: a reconnect storm */
#define RECEIVE_HWM        256   /* messages of one peer that libzmq holds for us */
#define SEND_HWM           512   /* replies of one peer that libzmq holds */
#define LINGER_MS          1000  /* for the last replies when the socket closes */
#define CLOSE_MS           1000  /* until the endpoints are free again */
#define RANDOM_STATE_BYTES 64

/* What a ROUTER draws from libc's generator must be unknown to its peers, and the
 * generator is the host's: lend it another state meanwhile. The mutex keeps two
 * brokers that start at the same time from taking each other's for the host's. */
static pthread_mutex_t random_mutex = PTHREAD_MUTEX_INITIALIZER;

static void *make_router(void *context, struct zsp_err *err)
{
    char state[RANDOM_STATE_BYTES];
    unsigned seed = 0;
    if (now_random_bytes(&seed, sizeof seed, err) < 0) {
        return NULL;
    }
    int rc = pthread_mutex_lock(&random_mutex);
    zsp_assert(rc == 0);
    char *const before = initstate(seed, state, sizeof state);
    void *const router = zmq_socket(context, ZMQ_ROUTER);
    const int failure = errno;
    (void)setstate(before); /* was the state a moment ago */
    rc = pthread_mutex_unlock(&random_mutex);
    zsp_assert(rc == 0);
    if (!router) {
        (void)zsp_err_set(err, ZSP_EIO, "make the ROUTER socket: %s", zmq_strerror(failure));
    }
    return router;
}

/* No ZMTP heartbeats: libzmq searches all timers of its I/O thread for the one to cancel, so that
 * those of 10,000 peers keep it from all else for 10 s, every 10 s. The kernel does it for nothing. */
static int set_options(void *router)
{
    static const struct {
        int option;
        int value;
    } options[] = {
        {ZMQ_ROUTER_MANDATORY, 1},
        {ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS},
        {ZMQ_TCP_KEEPALIVE, 1},
        {ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_S},
        {ZMQ_TCP_KEEPALIVE_INTVL, KEEPALIVE_S},
        {ZMQ_TCP_KEEPALIVE_CNT, KEEPALIVES},
        {ZMQ_TCP_MAXRT, UNACKNOWLEDGED_MS},
        {ZMQ_BACKLOG, BACKLOG},
        {ZMQ_RCVHWM, RECEIVE_HWM},
        {ZMQ_SNDHWM, SEND_HWM},
        {ZMQ_LINGER, LINGER_MS},
    };
    const int64_t message_max = 2 * (int64_t)ZSP_FRAME_MAX;
    int rc = zmq_setsockopt(router, ZMQ_MAXMSGSIZE, &message_max, sizeof message_max);
    for (size_t i = 0; i < sizeof options / sizeof options[0] && rc == 0; i++) {
        rc = zmq_setsockopt(router, options[i].option, &options[i].value, sizeof(int));
    }
    return rc;
}

void *listen_new(void *context, int *ret_fd, struct zsp_err *err)
{
    void *const router = make_router(context, err);
    size_t len = sizeof *ret_fd;
    if (router && (set_options(router) != 0 || zmq_getsockopt(router, ZMQ_FD, ret_fd, &len) != 0)) {
        (void)zsp_err_set(err, ZSP_EIO, "set up the ROUTER socket: %s", zmq_strerror(errno));
        (void)zmq_close(router); /* a socket of ours */
        return NULL;
    }
    return router;
}

/* Is something at the path in the way of a bind? */
static int check_ipc_path(const char *path, struct zsp_err *err)
{
    struct stat status;
    if (lstat(path, &status) != 0) {
        return errno == ENOENT ? ZSP_OK : zsp_err_set_errno(err, ZSP_EIO, errno, "ipc %s", path);
    }
    if (!S_ISSOCK(status.st_mode)) {
        return zsp_err_set(err, ZSP_EEXISTS, "ipc %s: exists and is no socket", path);
    }
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1);
    const int probe = socket(AF_UNIX, SOCK_STREAM, 0);
    if (probe < 0) {
        return zsp_err_set_errno(err, ZSP_EIO, errno, "ipc %s: probe", path);
    }
    const int rc = connect(probe, (const struct sockaddr *)&address, sizeof address);
    const int failure = errno;
    (void)close(probe); /* nothing was sent on it */
    if (rc == 0) {
        return zsp_err_set(err, ZSP_EEXISTS, "ipc %s: another process listens there", path);
    }
    if (failure != ECONNREFUSED) {
        return zsp_err_set_errno(err, ZSP_EIO, failure, "ipc %s", path);
    }
    return ZSP_OK; /* stale: libzmq unlinks it */
}

static int bind_socket(void *router, const char *endpoint, struct zsp_err *err)
{
    if (zmq_bind(router, endpoint) != 0) {
        return zsp_err_set(err, ZSP_EIO, "listen on %s: %s", endpoint, zmq_strerror(errno));
    }
    return ZSP_OK;
}

/* A listening socket at the path that has its mode from the first moment on. The
 * umask, which could see to that as well, is the whole process's. */
static int listen_at(const char *path, mode_t mode)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1);
    const int file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (file < 0) {
        return -1;
    }
    (void)unlink(path); /* a stale one, or none */
    /* Linux gives the name the mode of the socket, less the umask; then exactly. */
    if (fchmod(file, mode) != 0 ||
        bind(file, (const struct sockaddr *)&address, sizeof address) != 0 ||
        chmod(path, mode) != 0 || listen(file, BACKLOG) != 0) {
        const int failure = errno;
        (void)close(file); /* nobody has connected */
        errno = failure;
        return -1;
    }
    return file;
}

static int bind_ipc(void *router, const char *endpoint, uint64_t ipc_mode, struct zsp_err *err)
{
    const char *const path = endpoint_ipc_path(endpoint);
    int rc = check_ipc_path(path, err);
    if (rc < 0) {
        return rc;
    }
    int file = listen_at(path, (mode_t)ipc_mode);
    if (file < 0) {
        return zsp_err_set_errno(err, ZSP_EIO, errno, "listen on %s", endpoint);
    }
    if (zmq_setsockopt(router, ZMQ_USE_FD, &file, sizeof file) != 0) {
        rc = zsp_err_set(err, ZSP_EIO, "listen on %s: %s", endpoint, zmq_strerror(errno));
    } else {
        rc = bind_socket(router, endpoint, err);
    }
    if (rc < 0) {
        (void)close(file); /* libzmq has not taken it */
        (void)unlink(path);
    }
    file = -1; /* the option concerns later binds as well */
    (void)zmq_setsockopt(router, ZMQ_USE_FD, &file, sizeof file);
    return rc;
}

int listen_bind(void *router, const char *endpoint, uint64_t ipc_mode,
                char ret_endpoint[ENDPOINT_MAX], struct zsp_err *err)
{
    /* Options concern later binds only, so each endpoint gets its own. */
    const int ipv6 = endpoint_ipv6(endpoint) ? 1 : 0;
    if (zmq_setsockopt(router, ZMQ_IPV6, &ipv6, sizeof ipv6) != 0) {
        return zsp_err_set(err, ZSP_EIO, "listen on %s: %s", endpoint, zmq_strerror(errno));
    }
    const int rc = endpoint_ipc_path(endpoint) ? bind_ipc(router, endpoint, ipc_mode, err)
                                               : bind_socket(router, endpoint, err);
    if (rc < 0) {
        return rc;
    }
    size_t len = ENDPOINT_MAX;
    if (zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, ret_endpoint, &len) != 0) {
        return zsp_err_set(err, ZSP_EIO, "where %s listens: %s", endpoint, zmq_strerror(errno));
    }
    return ZSP_OK;
}

/* --- Closing --------------------------------------------------------------------------------- */

/* Hear of listeners that are gone; NULL = not possible. */
static void *watch_closing(void *context, void *router)
{
    char name[64];
    (void)snprintf(name, sizeof name, "inproc://zspool-listen-%016" PRIx64, now_random(NULL));
    if (zmq_socket_monitor(router, name, ZMQ_EVENT_CLOSED | ZMQ_EVENT_CLOSE_FAILED) != 0) {
        return NULL;
    }
    void *const monitor = zmq_socket(context, ZMQ_PAIR);
    if (monitor && zmq_connect(monitor, name) != 0) {
        (void)zmq_close(monitor); /* a socket of ours */
        return NULL;
    }
    return monitor;
}

/* One event is two frames, of which neither matters. */
static void await_closing(void *monitor, size_t listener_count)
{
    const int64_t until_ms = now_instant().mono_ms + CLOSE_MS;
    while (listener_count > 0) {
        zmq_pollitem_t item = {.socket = monitor, .events = ZMQ_POLLIN};
        const int64_t left_ms = until_ms - now_instant().mono_ms;
        const int ready = left_ms > 0 ? zmq_poll(&item, 1, (long)left_ms) : 0;
        if (ready == 0 || (ready < 0 && errno != EINTR)) {
            return;
        }
        char frame[1];
        while (ready > 0 && zmq_recv(monitor, frame, sizeof frame, ZMQ_DONTWAIT) >= 0) {
            int more = 0;
            size_t len = sizeof more;
            if (zmq_getsockopt(monitor, ZMQ_RCVMORE, &more, &len) == 0 && !more) {
                listener_count--;
            }
        }
    }
}

void listen_close(void *context, void *router, char (*endpoints)[ENDPOINT_MAX], size_t count)
{
    /* A listener ends on libzmq's own thread, some time after the call that asks for it. */
    void *const monitor = watch_closing(context, router);
    size_t listener_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (zmq_unbind(router, endpoints[i]) == 0 && !endpoint_inproc(endpoints[i])) {
            listener_count++;
        }
        if (endpoint_ipc_path(endpoints[i])) {
            (void)unlink(endpoint_ipc_path(endpoints[i])); /* gone already: just as well */
        }
    }
    if (monitor) {
        await_closing(monitor, listener_count);
        (void)zmq_close(monitor); /* a socket of ours, as the next */
    }
    (void)zmq_socket_monitor(router, NULL, 0); /* ends what watch_closing() began */
    (void)zmq_close(router);
}
