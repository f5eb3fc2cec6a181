/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/setting_texts.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/limits.h"
#include "common/name.h"

/* Any list of delays as text: eleven digits each, and a comma. */
#define STEPS_TEXT_MAX (ZSP_BACKOFF_STEPS_MAX * 12u + 1u)

void setting_texts_default(struct group_settings *self)
{
    self->backoff = (struct backoff_steps){0};
    self->dead_letter_topic = NULL;
}

void setting_texts_hold(struct group_settings *self)
{
    if (self->dead_letter_topic) {
        (void)zsp_buf_get(self->dead_letter_topic);
    }
}

void setting_texts_drop(struct group_settings *self)
{
    zsp_buf_put(&self->dead_letter_topic);
}

bool setting_texts_has(struct zsp_slice name)
{
    return zsp_slice_equal_str(name, "backoff") || zsp_slice_equal_str(name, "dead_letter_topic");
}

/* --- backoff ------------------------------------------------------------------------------ */

/* One delay off the front of *rest, with the comma behind it. */
static bool read_step(struct zsp_slice *rest, uint64_t *ret)
{
    uint64_t ms = 0;
    size_t len = 0;
    while (len < rest->len && rest->data[len] >= '0' && rest->data[len] <= '9' &&
           ms <= ZSP_DELAY_MS_MAX) {
        ms = ms * 10 + (uint64_t)(rest->data[len++] - '0');
    }
    const bool ends = len == rest->len;
    if (len == 0 || ms > ZSP_DELAY_MS_MAX || (!ends && rest->data[len] != ',') ||
        (!ends && len + 1 == rest->len)) {
        return false;
    }
    len += ends ? 0 : 1;
    *rest = (struct zsp_slice){rest->data + len, rest->len - len};
    *ret = ms;
    return true;
}

static bool read_steps(struct zsp_slice text, struct backoff_steps *ret)
{
    struct backoff_steps steps = {0};
    while (text.len > 0) {
        if (steps.count == ZSP_BACKOFF_STEPS_MAX || !read_step(&text, &steps.ms[steps.count])) {
            return false;
        }
        steps.count++;
    }
    *ret = steps;
    return true;
}

/* `to` has STEPS_TEXT_MAX bytes. */
static struct zsp_slice write_steps(const struct backoff_steps *steps, char *to)
{
    size_t len = 0;
    to[0] = '\0';
    for (uint64_t i = 0; i < steps->count; i++) {
        len += (size_t)snprintf(to + len, STEPS_TEXT_MAX - len, "%s%" PRIu64, i > 0 ? "," : "",
                                steps->ms[i]);
    }
    return (struct zsp_slice){(const uint8_t *)to, len};
}

/* --- dead_letter_topic ------------------------------------------------------------------- */

static int set_topic(struct group_settings *settings, struct zsp_slice text, struct zsp_err *err)
{
    struct zsp_buf *made = NULL;
    if (text.len > 0) {
        const int rc = zsp_name_check("dead_letter_topic", text, err);
        if (rc < 0) {
            return rc;
        }
        made = zsp_buf_copy(text);
        if (!made) {
            return zsp_err_set(err, ZSP_ENOMEM, "settings: out of memory");
        }
    }
    zsp_buf_put(&settings->dead_letter_topic);
    settings->dead_letter_topic = made;
    return 0;
}

static struct zsp_slice topic_of(const struct group_settings *settings)
{
    const struct zsp_buf *const topic = settings->dead_letter_topic;
    return topic ? (struct zsp_slice){topic->data, topic->len} : zsp_slice_str("");
}

int setting_texts_refuse_loop(const char *object, const struct group_settings *settings,
                              struct zsp_err *err)
{
    const struct zsp_slice topic = topic_of(settings);
    (void)zsp_err_set(err, ZSP_EBAD_VALUE,
                      "%s: its dead_letter_topic %.*s cannot be one of its topics: what dies there "
                      "would come back",
                      object, (int)topic.len, (const char *)topic.data);
    zsp_err_detail(err, "dead_letter_topic", "a topic that the group does not have", NULL);
    return ZSP_EBAD_VALUE;
}

/* --- All of them ----------------------------------------------------------------------------- */

static int set_steps(struct group_settings *settings, struct zsp_slice text, struct zsp_err *err)
{
    if (!read_steps(text, &settings->backoff)) {
        (void)zsp_err_set(err, ZSP_EBAD_VALUE,
                          "settings: backoff: want up to %u delays of up to %llu ms, divided by "
                          "commas",
                          ZSP_BACKOFF_STEPS_MAX, (unsigned long long)ZSP_DELAY_MS_MAX);
        zsp_err_detail(err, "backoff", "delays in ms, divided by commas", NULL);
        return ZSP_EBAD_VALUE;
    }
    return 0;
}

int setting_texts_apply(struct zsp_slice name, const msgpack_object *value,
                        struct group_settings *settings, struct zsp_err *err)
{
    const bool is_backoff = zsp_slice_equal_str(name, "backoff");
    const char *const object = is_backoff ? "backoff" : "dead_letter_topic";
    struct zsp_slice text = zsp_slice_str("");
    if (value->type == MSGPACK_OBJECT_STR) {
        text = (struct zsp_slice){(const uint8_t *)value->via.str.ptr, value->via.str.size};
    } else if (value->type != MSGPACK_OBJECT_NIL) {
        (void)zsp_err_set(err, ZSP_EBAD_TYPE, "settings: %s: a text, or nil", object);
        zsp_err_detail(err, object, "a text, or nil", NULL);
        return ZSP_EBAD_TYPE;
    }
    return is_backoff ? set_steps(settings, text, err) : set_topic(settings, text, err);
}

void setting_texts_write(struct zsp_writer *out, const struct group_settings *settings)
{
    char text[STEPS_TEXT_MAX];
    wire_write_text_str(out, "backoff", write_steps(&settings->backoff, text));
    wire_write_text_str(out, "dead_letter_topic", topic_of(settings));
}

void setting_texts_encode(struct zsp_writer *out, const struct group_settings *settings)
{
    char text[STEPS_TEXT_MAX];
    zsp_write_u8(out, SETTING_TEXTS);
    zsp_write_short(out, write_steps(&settings->backoff, text));
    zsp_write_short(out, topic_of(settings));
}

int setting_texts_decode(struct zsp_reader *in, struct group_settings *settings)
{
    const uint8_t count = zsp_read_u8(in);
    int rc = in->failed || count > SETTING_TEXTS ? ZSP_ECORRUPT : 0;
    setting_texts_default(settings);
    if (rc == 0 && count > 0 && !read_steps(zsp_read_short(in), &settings->backoff)) {
        rc = ZSP_ECORRUPT;
    }
    if (rc == 0 && count > 1) {
        rc = set_topic(settings, zsp_read_short(in), NULL);
    }
    return in->failed ? ZSP_ECORRUPT : rc;
}
