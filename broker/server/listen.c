/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/server/listen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "broker/server/now.h"
#include "common/limits.h"

#define HANDSHAKE_MS         5000  /* a peer that does not finish the handshake is dropped */
#define HEARTBEAT_MS         10000 /* ZMTP PING to each peer */
#define HEARTBEAT_TIMEOUT_MS 30000 /* a peer that does not answer is dropped */
#define BACKLOG              1024  /* connections not yet accepted: a reconnect storm */
#define RECEIVE_HWM          256   /* messages of one peer that libzmq holds for us */
#define SEND_HWM             512   /* replies of one peer that libzmq holds */
#define LINGER_MS            1000  /* for the last replies when the socket closes */

int listen_prepare(const struct config *config, struct zsp_err *err)
{
    unsigned seed = 0;
    const int rc = now_random_bytes(&seed, sizeof seed, err);
    if (rc < 0) {
        return rc;
    }
    zsys_handler_set(NULL);
    if (!zsys_init()) {
        return zsp_err_set(err, ZSP_EIO, "czmq cannot start");
    }
    zsys_set_io_threads((size_t)config->io_threads);
    /* After zsys_init(), which seeds with the time of day. */
    srandom(seed);
    return ZSP_OK;
}

zsock_t *listen_new(struct zsp_err *err)
{
    zsock_t *const router = zsock_new(ZMQ_ROUTER);
    if (!router) {
        (void)zsp_err_set(err, ZSP_EIO, "make the ROUTER socket: %s", zmq_strerror(errno));
        return NULL;
    }
    zsock_set_router_mandatory(router, 1);
    zsock_set_maxmsgsize(router, (int)(2u * ZSP_FRAME_MAX));
    zsock_set_handshake_ivl(router, HANDSHAKE_MS);
    zsock_set_heartbeat_ivl(router, HEARTBEAT_MS);
    zsock_set_heartbeat_timeout(router, HEARTBEAT_TIMEOUT_MS);
    zsock_set_backlog(router, BACKLOG);
    zsock_set_rcvhwm(router, RECEIVE_HWM);
    zsock_set_sndhwm(router, SEND_HWM);
    zsock_set_linger(router, LINGER_MS);
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

/* zsock_bind() takes the endpoint for a printf format and picks a `*` port
 * itself, out of the range where clients' own ports are; so libzmq binds. */
static int bind_socket(zsock_t *router, const char *endpoint, struct zsp_err *err)
{
    if (zmq_bind(zsock_resolve(router), endpoint) != 0) {
        return zsp_err_set(err, ZSP_EIO, "listen on %s: %s", endpoint, zmq_strerror(errno));
    }
    return ZSP_OK;
}

static int bind_ipc(zsock_t *router, const char *endpoint, uint64_t ipc_mode, struct zsp_err *err)
{
    const char *const path = endpoint_ipc_path(endpoint);
    int rc = check_ipc_path(path, err);
    if (rc < 0) {
        return rc;
    }
    /* Nobody gets in between bind and chmod. */
    const mode_t before = umask(S_IRWXG | S_IRWXO);
    rc = bind_socket(router, endpoint, err);
    (void)umask(before); /* cannot fail */
    if (rc < 0) {
        return rc;
    }
    if (chmod(path, (mode_t)ipc_mode) != 0) {
        return zsp_err_set_errno(err, ZSP_EIO, errno, "ipc %s: set mode", path);
    }
    return ZSP_OK;
}

int listen_bind(zsock_t *router, const char *endpoint, uint64_t ipc_mode,
                char ret_endpoint[ENDPOINT_MAX], struct zsp_err *err)
{
    /* Options concern later binds only, so each endpoint gets its own. */
    zsock_set_ipv6(router, endpoint_ipv6(endpoint) ? 1 : 0);
    const int rc = endpoint_ipc_path(endpoint) ? bind_ipc(router, endpoint, ipc_mode, err)
                                               : bind_socket(router, endpoint, err);
    if (rc < 0) {
        return rc;
    }
    size_t len = ENDPOINT_MAX;
    if (zmq_getsockopt(zsock_resolve(router), ZMQ_LAST_ENDPOINT, ret_endpoint, &len) != 0) {
        return zsp_err_set(err, ZSP_EIO, "where %s listens: %s", endpoint, zmq_strerror(errno));
    }
    return ZSP_OK;
}
