/* SPDX-License-Identifier: MPL-2.0
 *
 * For ThreadSanitizer: what was done before a message was sent is done before it
 * is received. libzmq promises that, with lock-free pipes that TSan cannot see;
 * over inproc the very bytes go from one of our threads to another. These
 * functions stand before libzmq's, for our code and for czmq's. One order for
 * all sockets: more than there is, but only where messages meet.
 */
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>
#include <string.h>
#include <zmq.h>

#define VISIBLE __attribute__((visibility("default")))

static char order; /* only its address is used */

/* The next function of that name, libzmq's. ISO C has no cast for it. */
static void find(void *ret_function, size_t size, const char *name)
{
    void *const symbol = dlsym(RTLD_NEXT, name);
    memcpy(ret_function, &symbol, size);
}

VISIBLE int zmq_msg_send(zmq_msg_t *message, void *socket, int flags)
{
    int (*next)(zmq_msg_t *, void *, int);
    find(&next, sizeof next, "zmq_msg_send");
    __tsan_release(&order);
    return next(message, socket, flags);
}

VISIBLE int zmq_msg_recv(zmq_msg_t *message, void *socket, int flags)
{
    int (*next)(zmq_msg_t *, void *, int);
    find(&next, sizeof next, "zmq_msg_recv");
    const int rc = next(message, socket, flags);
    __tsan_acquire(&order);
    return rc;
}

VISIBLE int zmq_send(void *socket, const void *data, size_t len, int flags)
{
    int (*next)(void *, const void *, size_t, int);
    find(&next, sizeof next, "zmq_send");
    __tsan_release(&order);
    return next(socket, data, len, flags);
}

VISIBLE int zmq_recv(void *socket, void *data, size_t len, int flags)
{
    int (*next)(void *, void *, size_t, int);
    find(&next, sizeof next, "zmq_recv");
    const int rc = next(socket, data, len, flags);
    __tsan_acquire(&order);
    return rc;
}
