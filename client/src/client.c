/* SPDX-License-Identifier: MPL-2.0
 *
 * The client itself: options, errors, connecting, dispatch.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/src/base/range_check.h"
#include "client/src/client_priv.h"
#include "common/limits.h"
#include "common/name.h"

#define CONNECT_MS           3000
#define RECONNECT_MS         50
#define RECONNECT_MS_MAX     5000
#define ANSWER_MS            30000
#define SESSION_HEARTBEAT_MS 10000
#define HEARTBEAT_MS         10000
#define LINGER_MS            2000
#define DAY_MS               86400000
#define OPTIONS_SIZE_MAX     4096u /* no struct of ours will ever be larger */

#define SAME_CODE(name)      _Static_assert((int)ZSPOOL_##name == (int)ZSP_##name, #name)
SAME_CODE(OK);
SAME_CODE(EBAD_REQUEST);
SAME_CODE(EUNKNOWN_VERB);
SAME_CODE(EUNKNOWN_ARGUMENT);
SAME_CODE(EBAD_TYPE);
SAME_CODE(EBAD_VALUE);
SAME_CODE(EVERSION_MISMATCH);
SAME_CODE(EUNSUPPORTED);
SAME_CODE(EHELLO_REQUIRED);
SAME_CODE(ESESSION_EXPIRED);
SAME_CODE(EOVER_CREDIT);
SAME_CODE(ETOO_LARGE);
SAME_CODE(EBAD_RECORD);
SAME_CODE(ECOUNT_MISMATCH);
SAME_CODE(EBAD_NAME);
SAME_CODE(ENOT_FOUND);
SAME_CODE(EEXISTS);
SAME_CODE(EDENIED);
SAME_CODE(EFENCED_PRODUCER);
SAME_CODE(ESEQUENCE_GAP);
SAME_CODE(EOUT_OF_RANGE);
SAME_CODE(ENOT_LEASED);
SAME_CODE(EMODE_MISMATCH);
SAME_CODE(EWOULD_REORDER);
SAME_CODE(ELIMIT_REACHED);
SAME_CODE(ETOPIC_FULL);
SAME_CODE(ENO_SPACE);
SAME_CODE(EPAUSED);
SAME_CODE(ECORRUPT);
SAME_CODE(ESTORAGE_FAILED);
SAME_CODE(ESHUTTING_DOWN);
SAME_CODE(EINTERNAL);
SAME_CODE(EKEY_REQUIRED);
SAME_CODE(EINVAL);
SAME_CODE(ENOMEM);
SAME_CODE(EIO);
SAME_CODE(EAGAIN);
SAME_CODE(ETIMEOUT);
SAME_CODE(EINTERRUPTED);
SAME_CODE(ECLOSED);
SAME_CODE(ELOCKED);
SAME_CODE(EFORMAT);
SAME_CODE(EBAD_CONFIG);
SAME_CODE(EOVERTAKEN);

_Static_assert(sizeof(zspool_error_t) == sizeof(struct zsp_err), "the same fields");
_Static_assert(offsetof(zspool_error_t, got) == offsetof(struct zsp_err, got), "the same fields");
_Static_assert(ZSPOOL_MESSAGE_BYTES_MAX == ZSP_RECORD_MAX, "the header tells the limit");
_Static_assert(ZSPOOL_HEADERS_MAX == ZSP_HEADERS_MAX, "the header tells the limit");

#define STRING_OF(x)                      #x
#define VERSION_TEXT(major, minor, patch) STRING_OF(major) "." STRING_OF(minor) "." STRING_OF(patch)

const char *zspool_version(void)
{
    return VERSION_TEXT(ZSPOOL_VERSION_MAJOR, ZSPOOL_VERSION_MINOR, ZSPOOL_VERSION_PATCH);
}

const char *zspool_strerror(int code)
{
    return zsp_strerror(code);
}

const char *zspool_error_name(int code)
{
    return zsp_err_wire_name(code);
}

bool zspool_error_retriable(int code)
{
    return zsp_err_retriable(code);
}

bool zsp_client_usable(const struct zspool_client *self)
{
    return self && zsp_fork_mark_same(&self->made_in);
}

int zsp_err_export(const struct zsp_err *from, zspool_error_t *to)
{
    if (to) {
        to->code = from->code;
        to->sys_errno = from->sys_errno;
        to->maybe = from->maybe;
        memcpy(to->message, from->msg, sizeof to->message);
        memcpy(to->object, from->object, sizeof to->object);
        memcpy(to->wanted, from->wanted, sizeof to->wanted);
        memcpy(to->got, from->got, sizeof to->got);
    }
    return from->code;
}

int zsp_refuse(zspool_error_t *err, const char *why)
{
    struct zsp_err report = {0};
    zsp_err_set(&report, ZSP_EINVAL, "%s", why);
    return zsp_err_export(&report, err);
}

static bool all_zero(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static int check_size(size_t size, const char *what, struct zsp_err *err)
{
    if (size < sizeof size || size > OPTIONS_SIZE_MAX) {
        return zsp_err_set_about(err, ZSP_EINVAL, what, "%s: size %zu: call its _init function",
                                 what, size);
    }
    return 0;
}

int zsp_options_read(void *to, size_t to_size, const void *from, const char *what,
                     struct zsp_err *err)
{
    memset(to, 0, to_size);
    memcpy(to, &to_size, sizeof to_size);
    if (!from) {
        return 0;
    }
    size_t size;
    memcpy(&size, from, sizeof size);
    if (check_size(size, what, err) != 0) {
        return ZSP_EINVAL;
    }
    const uint8_t *bytes = from;
    if (size > to_size && !all_zero(bytes + to_size, size - to_size)) {
        return zsp_err_set_about(err, ZSP_EINVAL, what, "%s: made for a newer library", what);
    }
    const size_t known = size < to_size ? size : to_size;
    memcpy((uint8_t *)to + sizeof size, bytes + sizeof size, known - sizeof size);
    return 0;
}

int zsp_options_write(void *to, const void *from, size_t from_size, const char *what,
                      struct zsp_err *err)
{
    size_t size;
    memcpy(&size, to, sizeof size);
    if (check_size(size, what, err) != 0) {
        return ZSP_EINVAL;
    }
    const size_t known = size < from_size ? size : from_size;
    memcpy((uint8_t *)to + sizeof size, (const uint8_t *)from + sizeof size, known - sizeof size);
    return 0;
}

int zsp_option_ms(const char *name, int64_t given, int64_t fallback, int64_t max, int64_t *ret,
                  struct zsp_err *err)
{
    const int rc = zsp_range_check(ZSP_EINVAL, name, given, 0, max, err);
    if (rc == 0) {
        *ret = given == 0 ? fallback : given;
    }
    return rc;
}

static int refuse_missing(struct zsp_err *err, int code, const char *what, const char *wanted)
{
    zsp_err_set(err, code, "no %s given", what);
    zsp_err_detail(err, what, wanted, "nothing");
    return code;
}

int zsp_name_check_text(const char *what, const char *name, struct zsp_err *err)
{
    if (!name) {
        return refuse_missing(err, ZSP_EBAD_NAME, what, "a name");
    }
    return zsp_name_check(what, zsp_slice_str(name), err);
}

int zsp_pattern_check_text(const char *what, const char *pattern, struct zsp_err *err)
{
    if (!pattern) {
        return refuse_missing(err, ZSP_EBAD_NAME, what, "a name");
    }
    return zsp_pattern_check(what, zsp_slice_str(pattern), err);
}

int zsp_text_check(const char *what, const char *text, size_t max, struct zsp_err *err)
{
    if (!text) {
        return refuse_missing(err, ZSP_EINVAL, what, "UTF-8");
    }
    const size_t len = strnlen(text, max + 1);
    if (len > max || !zsp_utf8_valid((struct zsp_slice){(const uint8_t *)text, len})) {
        char wanted[48];
        (void)snprintf(wanted, sizeof wanted, "UTF-8 of up to %zu bytes", max);
        zsp_err_set(err, ZSP_EINVAL, "%s: want %s", what, wanted);
        zsp_err_detail(err, what, wanted, len > max ? "more" : "other bytes");
        return ZSP_EINVAL;
    }
    return 0;
}

void zsp_client_join(struct zspool_client *self, struct zsp_port *port)
{
    zsp_link_lock(self->link);
    if (port) {
        zsp_link_add(self->link, port);
    }
    self->objects++;
    zsp_link_unlock(self->link);
}

void zsp_client_set_ready(struct zspool_client *self, struct zsp_ready *object, bool ready)
{
    if (zsp_completion_set(&self->completion, object, ready)) {
        zsp_link_notify(self->link);
    }
}

/* --- Life ------------------------------------------------------------------------ */

/* 0 = the default, -1 = none. */
static int read_session_heartbeat(int64_t given, int64_t *ret, struct zsp_err *err)
{
    if (given == -1) {
        *ret = 0;
        return 0;
    }
    if (given != 0 &&
        (given < (int64_t)ZSP_HEARTBEAT_MS_MIN || given > (int64_t)ZSP_HEARTBEAT_MS_MAX)) {
        char wanted[48];
        char got[24];
        (void)snprintf(wanted, sizeof wanted, "%u..%u, 0 or -1", ZSP_HEARTBEAT_MS_MIN,
                       ZSP_HEARTBEAT_MS_MAX);
        (void)snprintf(got, sizeof got, "%lld", (long long)given);
        zsp_err_set(err, ZSP_EINVAL, "session_heartbeat_ms is %s, want %s", got, wanted);
        zsp_err_detail(err, "session_heartbeat_ms", wanted, got);
        return ZSP_EINVAL;
    }
    *ret = given == 0 ? SESSION_HEARTBEAT_MS : given;
    return 0;
}

static int read_options(const zspool_options_t *given, struct zsp_link_options *ret,
                        int64_t *ret_linger_ms, struct zsp_err *err)
{
    zspool_options_t options;
    int rc = zsp_options_read(&options, sizeof options, given, "zspool_options_t", err);
    if (rc == 0 && options.name) {
        rc = zsp_name_check_text("client name", options.name, err);
        ret->name = options.name;
    }
    ret->zmq_context = options.zmq_context;
    if (rc == 0) {
        rc = zsp_option_ms("connect_ms", options.connect_ms, CONNECT_MS, DAY_MS, &ret->connect_ms,
                           err);
    }
    if (rc == 0) {
        rc = zsp_option_ms("reconnect_ms", options.reconnect_ms, RECONNECT_MS, DAY_MS,
                           &ret->reconnect_ms, err);
    }
    if (rc == 0) {
        rc = zsp_option_ms("reconnect_ms_max", options.reconnect_ms_max, RECONNECT_MS_MAX, DAY_MS,
                           &ret->reconnect_ms_max, err);
    }
    if (rc == 0) {
        rc = zsp_option_ms("answer_ms", options.answer_ms, ANSWER_MS, DAY_MS, &ret->answer_ms, err);
    }
    if (rc == 0) {
        rc = zsp_option_ms("heartbeat_ms", options.heartbeat_ms, HEARTBEAT_MS, DAY_MS / 10,
                           &ret->heartbeat_ms, err);
    }
    if (rc == 0) {
        rc = read_session_heartbeat(options.session_heartbeat_ms, &ret->session_heartbeat_ms, err);
    }
    if (rc == 0) {
        rc = zsp_option_ms("linger_ms", options.linger_ms, LINGER_MS, DAY_MS, ret_linger_ms, err);
    }
    return rc;
}

zspool_client_t *zspool_new(const char *endpoints, const zspool_options_t *options,
                            zspool_error_t *err)
{
    struct zsp_err report = {0};
    struct zsp_link_options link_options = {.endpoints = endpoints};
    int64_t linger_ms = 0;
    zspool_client_t *self = NULL;
    if (!endpoints) {
        zsp_err_set_about(&report, ZSP_EINVAL, "endpoints", "no endpoint given");
        goto fail;
    }
    if (read_options(options, &link_options, &linger_ms, &report) != 0) {
        goto fail;
    }
    self = calloc(1, sizeof *self);
    if (!self) {
        zsp_err_set(&report, ZSP_ENOMEM, "no memory for a client");
        goto fail;
    }
    zsp_fork_mark_init(&self->made_in);
    zsp_completion_init(&self->completion);
    self->linger_ms = linger_ms;
    self->link = zsp_link_new(&link_options, &report);
    if (!self->link) {
        goto fail;
    }
    return self;
fail:
    if (self) {
        zsp_fork_mark_fini(&self->made_in);
    }
    free(self);
    (void)zsp_err_export(&report, err);
    return NULL;
}

void zspool_destroy(zspool_client_t **self_p)
{
    if (!self_p || !*self_p) {
        return;
    }
    zspool_client_t *self = *self_p;
    if (!zsp_client_usable(self)) {
        *self_p = NULL; /* a child of fork(): its memory is its own, the rest is the parent's */
        return;
    }
    zsp_link_lock(self->link);
    const bool in_use = self->objects > 0;
    zsp_link_unlock(self->link);
    if (in_use) {
        return;
    }
    *self_p = NULL;
    /* Consumers that wait unseen for their last answer still use self->link meanwhile. */
    struct zsp_link *link = self->link;
    zsp_link_destroy(&link);
    zsp_completion_fini(&self->completion);
    zsp_fork_mark_fini(&self->made_in);
    free(self);
}

/* --- Connecting -------------------------------------------------------------------- */

static void fill_info(const struct zspool_client *self, zspool_info_t *ret)
{
    const struct zsp_hello *hello = zsp_link_hello(self->link);
    zspool_info_init(ret);
    (void)snprintf(ret->endpoint, sizeof ret->endpoint, "%s", zsp_link_endpoint(self->link));
    memcpy(ret->broker, hello->broker, sizeof ret->broker);
    ret->protocol = (uint32_t)hello->version;
    memcpy(ret->instance, hello->instance, sizeof ret->instance);
    memcpy(ret->features, hello->features, sizeof ret->features);
    ret->session_timeout_ms = hello->session_timeout_ms;
    ret->clock_ahead_ms = zsp_link_clock_ahead_ms(self->link);
    ret->max_requests = hello->max_requests;
    ret->max_request_bytes = hello->max_request_bytes;
    ret->max_header = hello->max_header;
    ret->max_frame = hello->max_frame;
    ret->max_record = hello->max_record;
    ret->max_reply = hello->max_reply;
    ret->max_runs = hello->max_runs;
    ret->max_wait_ms = hello->max_wait_ms;
}

int zspool_connect(zspool_client_t *self, int timeout_ms, zspool_info_t *ret_info,
                   zspool_error_t *err)
{
    if (!zsp_client_usable(self)) {
        return zsp_refuse(err, "no client given, or one made before fork()");
    }
    struct zsp_err report = {0};
    const int64_t deadline_ms = zsp_deadline_ms(timeout_ms);
    zspool_info_t info;
    zspool_info_init(&info);
    int rc = 0;
    if (ret_info) {
        size_t size;
        memcpy(&size, ret_info, sizeof size);
        rc = check_size(size, "zspool_info_t", &report);
    }
    zsp_link_lock(self->link);
    while (rc == 0 && !zsp_link_up(self->link)) {
        rc = zsp_link_wait(self->link, deadline_ms, &report);
    }
    if (rc == 0) {
        fill_info(self, &info);
    }
    zsp_link_unlock(self->link);
    if (rc == 0 && ret_info) {
        rc = zsp_options_write(ret_info, &info, sizeof info, "zspool_info_t", &report);
    }
    return rc == 0 ? 0 : zsp_err_export(&report, err);
}

/* --- Completions ---------------------------------------------------------------------- */

int zspool_fd(zspool_client_t *self)
{
    if (!zsp_client_usable(self)) {
        return -1;
    }
    zsp_link_lock(self->link);
    const int fd = zsp_completion_fd(&self->completion);
    zsp_link_unlock(self->link);
    return fd;
}

int zspool_dispatch(zspool_client_t *self, int timeout_ms)
{
    if (!zsp_client_usable(self)) {
        return ZSPOOL_EINVAL;
    }
    const int64_t deadline_ms = zsp_deadline_ms(timeout_ms);
    int rc = 0;
    int visited = 0;
    zsp_link_lock(self->link);
    if (self->dispatching) {
        zsp_link_unlock(self->link);
        return ZSPOOL_EINVAL;
    }
    self->dispatching = true;
    while (!zsp_completion_any(&self->completion) && rc == 0) {
        rc = zsp_link_wait(self->link, deadline_ms, NULL);
    }
    zsp_completion_begin(&self->completion);
    struct zsp_ready *object;
    while ((object = zsp_completion_next(&self->completion))) {
        visited++;
        void (*call_fn)(struct zsp_ready *) = object->call_fn;
        if (call_fn) {
            zsp_link_unlock(self->link);
            call_fn(object);
            zsp_link_lock(self->link);
        }
    }
    self->dispatching = false;
    zsp_link_unlock(self->link);
    if (visited > 0 || rc == ZSP_ETIMEOUT) {
        return visited;
    }
    return rc;
}

void zspool_interrupt(zspool_client_t *self)
{
    if (zsp_client_usable(self)) {
        zsp_link_interrupt(self->link, true);
    }
}

void zspool_interrupt_clear(zspool_client_t *self)
{
    if (zsp_client_usable(self)) {
        zsp_link_interrupt(self->link, false);
    }
}
