/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/group/setting_texts.h"

#include "broker/engine/order/fair.h"
#include "common/assert.h"
#include "common/filter.h"
#include "common/limits.h"
#include "common/name.h"
#include "common/wire.h"

/* Of the longest delay. */
#define DELAY_DIGITS 11u

/* --- Each of them ------------------------------------------------------------------------- */

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
    if (len == 0 || len > DELAY_DIGITS || ms > ZSP_DELAY_MS_MAX ||
        (!ends && rest->data[len] != ',') || (!ends && len + 1 == rest->len)) {
        return false;
    }
    len += ends ? 0 : 1;
    *rest = (struct zsp_slice){rest->data + len, rest->len - len};
    *ret = ms;
    return true;
}

static int check_backoff(struct zsp_slice text, struct zsp_err *err)
{
    uint64_t ms = 0;
    for (uint32_t count = 0; text.len > 0; count++) {
        if (count == ZSP_BACKOFF_STEPS_MAX || !read_step(&text, &ms)) {
            (void)zsp_err_set(err, ZSP_EBAD_VALUE,
                              "settings: backoff: want up to %u delays of up to %llu ms, divided "
                              "by commas",
                              ZSP_BACKOFF_STEPS_MAX, (unsigned long long)ZSP_DELAY_MS_MAX);
            zsp_err_detail(err, "backoff", "delays in ms, divided by commas", NULL);
            return ZSP_EBAD_VALUE;
        }
    }
    return 0;
}

static int check_dead_letter_topic(struct zsp_slice text, struct zsp_err *err)
{
    return zsp_name_check("dead_letter_topic", text, err);
}

static int check_filter(struct zsp_slice text, struct zsp_err *err)
{
    struct zsp_filter *program = NULL;
    const int rc = zsp_filter_new(text, &program, err);
    zsp_filter_destroy(&program);
    return rc;
}

static const struct text {
    const char *name;
    int (*check_fn)(struct zsp_slice text, struct zsp_err *err);
    uint8_t
        rule; /* what it is among the rules of an image; 0 = it is in the first list, and "" = not set */
} text_table[SETTING_TEXTS] = {
    [TEXT_BACKOFF] = {"backoff", check_backoff, 0},
    [TEXT_DEAD_LETTER_TOPIC] = {"dead_letter_topic", check_dead_letter_topic, 0},
    [TEXT_FILTER] = {"filter", check_filter, 1},
    [TEXT_FAIR_BY] = {"fair_by", group_fair_check, 2},
};
#define FIRST_LIST 2u

/* Nothing changes when it is refused. */
static int set(struct setting_texts *self, int which, struct zsp_slice text, struct zsp_err *err)
{
    struct zsp_buf *made = NULL;
    if (text.data && (text.len > 0 || text_table[which].rule != 0)) {
        const int rc = text_table[which].check_fn(text, err);
        if (rc < 0) {
            return rc;
        }
        made = zsp_buf_copy(text);
        if (!made) {
            return zsp_err_set(err, ZSP_ENOMEM, "settings: out of memory");
        }
    }
    zsp_buf_put(&self->of[which]);
    self->of[which] = made;
    return 0;
}

bool setting_texts_delay(const struct setting_texts *self, uint32_t failures, uint64_t *ret_ms)
{
    struct zsp_slice text = setting_text(self, TEXT_BACKOFF);
    if (!text.data) {
        return false;
    }
    for (uint32_t i = 0; i < failures && text.len > 0; i++) {
        const bool is_good = read_step(&text, ret_ms);
        zsp_assert(is_good);
    }
    return true;
}

int setting_texts_refuse_loop(const char *object, const struct setting_texts *self,
                              struct zsp_err *err)
{
    const struct zsp_slice topic = setting_text(self, TEXT_DEAD_LETTER_TOPIC);
    (void)zsp_err_set(err, ZSP_EBAD_VALUE,
                      "%s: its dead_letter_topic %.*s cannot be one of its topics: what dies there "
                      "would come back",
                      object, (int)topic.len, (const char *)topic.data);
    zsp_err_detail(err, "dead_letter_topic", "a topic that the group does not have", NULL);
    return ZSP_EBAD_VALUE;
}

/* --- All of them ----------------------------------------------------------------------------- */

void setting_texts_hold(struct setting_texts *self)
{
    for (int i = 0; i < SETTING_TEXTS; i++) {
        if (self->of[i]) {
            (void)zsp_buf_get(self->of[i]);
        }
    }
}

void setting_texts_drop(struct setting_texts *self)
{
    for (int i = 0; i < SETTING_TEXTS; i++) {
        zsp_buf_put(&self->of[i]);
    }
}

bool setting_texts_any(const struct setting_texts *self)
{
    bool any = false;
    for (int i = 0; i < SETTING_TEXTS; i++) {
        any = any || self->of[i];
    }
    return any;
}

struct zsp_slice setting_text(const struct setting_texts *self, enum setting_text which)
{
    return zsp_buf_slice(self->of[which]);
}

/* SETTING_TEXTS = none. */
static int find(struct zsp_slice name)
{
    int which = 0;
    while (which < SETTING_TEXTS && !zsp_slice_equal_str(name, text_table[which].name)) {
        which++;
    }
    return which;
}

bool setting_texts_has(struct zsp_slice name)
{
    return find(name) < SETTING_TEXTS;
}

int setting_texts_apply(struct zsp_slice name, const msgpack_object *value,
                        struct setting_texts *self, struct zsp_err *err)
{
    const int which = find(name);
    struct zsp_slice text = {0};
    if (value->type == MSGPACK_OBJECT_STR) {
        text = (struct zsp_slice){(const uint8_t *)value->via.str.ptr, value->via.str.size};
    } else if (value->type != MSGPACK_OBJECT_NIL) {
        const char *const object = text_table[which].name;
        (void)zsp_err_set(err, ZSP_EBAD_TYPE, "settings: %s: a text, or nil", object);
        zsp_err_detail(err, object, "a text, or nil", NULL);
        return ZSP_EBAD_TYPE;
    }
    return set(self, which, text, err);
}

static bool is_told(const struct setting_texts *self, int which)
{
    return self->of[which] || text_table[which].rule == 0;
}

uint32_t setting_texts_told(const struct setting_texts *self)
{
    uint32_t count = 0;
    for (int i = 0; i < SETTING_TEXTS; i++) {
        count += is_told(self, i) ? 1 : 0;
    }
    return count;
}

void setting_texts_write(struct zsp_writer *out, const struct setting_texts *self)
{
    for (int i = 0; i < SETTING_TEXTS; i++) {
        if (is_told(self, i)) {
            wire_write_text_str(out, text_table[i].name, setting_text(self, (enum setting_text)i));
        }
    }
}

/* --- Durable form ----------------------------------------------------------------------------- */

void setting_texts_encode(struct zsp_writer *out, const struct setting_texts *self)
{
    zsp_write_u8(out, FIRST_LIST);
    zsp_write_short(out, setting_text(self, TEXT_BACKOFF));
    zsp_write_short(out, setting_text(self, TEXT_DEAD_LETTER_TOPIC));
}

void setting_texts_encode_rules(struct zsp_writer *out, const struct setting_texts *self)
{
    zsp_write_u8(out, (uint8_t)(setting_texts_told(self) - FIRST_LIST));
    for (int i = 0; i < SETTING_TEXTS; i++) {
        if (text_table[i].rule != 0 && self->of[i]) {
            zsp_write_u8(out, text_table[i].rule);
            zsp_write_short(out, setting_text(self, (enum setting_text)i));
        }
    }
}

static int decode_one(struct setting_texts *self, int which, struct zsp_slice text)
{
    const int rc = set(self, which, text, NULL);
    return rc == 0 || rc == ZSP_ENOMEM ? rc : ZSP_ECORRUPT;
}

int setting_texts_decode(struct zsp_reader *in, struct setting_texts *self)
{
    static const enum setting_text first_list[FIRST_LIST] = {TEXT_BACKOFF, TEXT_DEAD_LETTER_TOPIC};
    const uint8_t count = zsp_read_u8(in);
    int rc = in->failed || count > FIRST_LIST ? ZSP_ECORRUPT : 0;
    for (uint8_t i = 0; i < count && rc == 0; i++) {
        const struct zsp_slice text = zsp_read_short(in);
        rc = in->failed ? ZSP_ECORRUPT : decode_one(self, (int)first_list[i], text);
    }
    return rc;
}

static int decode_rule(uint8_t rule, struct zsp_slice text, struct setting_texts *self)
{
    for (int i = 0; i < SETTING_TEXTS; i++) {
        if (rule != 0 && rule == text_table[i].rule) {
            return self->of[i] ? ZSP_ECORRUPT : decode_one(self, i, text);
        }
    }
    return ZSP_ECORRUPT;
}

int setting_texts_decode_rules(struct zsp_reader *in, struct setting_texts *self)
{
    int rc = 0;
    for (uint8_t left = zsp_read_u8(in); left > 0 && rc == 0; left--) {
        const uint8_t rule = zsp_read_u8(in);
        const struct zsp_slice text = zsp_read_short(in);
        rc = in->failed ? ZSP_ECORRUPT : decode_rule(rule, text, self);
    }
    return in->failed ? ZSP_ECORRUPT : rc;
}
