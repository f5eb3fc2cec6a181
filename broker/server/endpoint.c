/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/server/endpoint.h"

#include <arpa/inet.h>
#include <string.h>

#include "broker/server/quantity.h"

static const char tcp_prefix[] = "tcp://";
static const char ipc_prefix[] = "ipc://";
static const char inproc_prefix[] = "inproc://";

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

const char *endpoint_ipc_path(const char *endpoint)
{
    return has_prefix(endpoint, ipc_prefix) ? endpoint + strlen(ipc_prefix) : NULL;
}

bool endpoint_inproc(const char *endpoint)
{
    return has_prefix(endpoint, inproc_prefix);
}

/* The host between tcp:// and the last colon, without brackets. False: it does not fit. */
static bool copy_host(const char *endpoint, char ret_host[ENDPOINT_MAX])
{
    const char *host = endpoint + strlen(tcp_prefix);
    const char *const colon = strrchr(host, ':');
    size_t len = colon ? (size_t)(colon - host) : strlen(host);
    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    }
    if (len >= ENDPOINT_MAX) {
        return false;
    }
    memcpy(ret_host, host, len);
    ret_host[len] = '\0';
    return true;
}

static int check_port(const char *endpoint, const char *port, struct zsp_err *err)
{
    uint64_t number = 0;
    if (strcmp(port, "*") == 0) {
        return ZSP_OK;
    }
    if (quantity_parse_count(port, &number, NULL) < 0 || number == 0 || number > 65535u) {
        return zsp_err_set(err, ZSP_EBAD_VALUE,
                           "endpoint '%.80s': port '%.20s' is neither 1 to 65535 nor *", endpoint,
                           port);
    }
    return ZSP_OK;
}

static int check_tcp(const char *endpoint, struct zsp_err *err)
{
    const char *const host = endpoint + strlen(tcp_prefix);
    const char *const colon = strrchr(host, ':');
    if (!colon || colon == host) {
        return zsp_err_set(err, ZSP_EBAD_VALUE, "endpoint '%.80s': wanted tcp://HOST:PORT",
                           endpoint);
    }
    if (strpbrk(host, "/;, \t'\"%@")) {
        return zsp_err_set(err, ZSP_EBAD_VALUE,
                           "endpoint '%.80s': wanted one address, tcp://HOST:PORT", endpoint);
    }
    return check_port(endpoint, colon + 1, err);
}

static int check_ipc(const char *endpoint, struct zsp_err *err)
{
    const char *const path = endpoint_ipc_path(endpoint);
    if (path[0] == '\0' || path[0] == '*') {
        return zsp_err_set(err, ZSP_EBAD_VALUE, "endpoint '%.80s': wanted ipc://PATH", endpoint);
    }
    if (path[0] == '@') {
        return zsp_err_set(err, ZSP_EBAD_VALUE,
                           "endpoint '%.80s': an abstract socket has no permissions, use a path",
                           endpoint);
    }
    if (strlen(path) > ENDPOINT_IPC_MAX) {
        return zsp_err_set(err, ZSP_EBAD_VALUE,
                           "endpoint '%.80s...': the path has %zu bytes, a socket's at most %u",
                           endpoint, strlen(path), ENDPOINT_IPC_MAX);
    }
    return ZSP_OK;
}

int endpoint_check(const char *endpoint, bool inproc, struct zsp_err *err)
{
    if (strlen(endpoint) >= ENDPOINT_MAX) {
        return zsp_err_set(err, ZSP_EBAD_VALUE, "endpoint '%.80s...': longer than %u bytes",
                           endpoint, ENDPOINT_MAX - 1);
    }
    if (strpbrk(endpoint, "\"'")) {
        return zsp_err_set(err, ZSP_EBAD_VALUE, "endpoint %.80s: holds a quote", endpoint);
    }
    if (has_prefix(endpoint, tcp_prefix)) {
        return check_tcp(endpoint, err);
    }
    if (has_prefix(endpoint, ipc_prefix)) {
        return check_ipc(endpoint, err);
    }
    if (inproc && endpoint_inproc(endpoint) && endpoint[sizeof inproc_prefix - 1] != '\0') {
        return ZSP_OK;
    }
    return zsp_err_set(err, ZSP_EBAD_VALUE,
                       "endpoint '%.80s': wanted tcp://HOST:PORT%s ipc://PATH%s", endpoint,
                       inproc ? "," : " or", inproc ? " or inproc://NAME" : "");
}

bool endpoint_local(const char *endpoint)
{
    char host[ENDPOINT_MAX];
    if (endpoint_ipc_path(endpoint) || endpoint_inproc(endpoint)) {
        return true;
    }
    if (!copy_host(endpoint, host)) {
        return false;
    }
    struct in_addr address;
    if (inet_pton(AF_INET, host, &address) == 1) {
        return (ntohl(address.s_addr) >> 24) == 127u;
    }
    return strcmp(host, "::1") == 0 || strcmp(host, "localhost") == 0;
}

bool endpoint_ipv6(const char *endpoint)
{
    char host[ENDPOINT_MAX];
    return has_prefix(endpoint, tcp_prefix) && copy_host(endpoint, host) && strchr(host, ':');
}
