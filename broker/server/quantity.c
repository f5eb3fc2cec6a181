/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/server/quantity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Smallest first: printing takes the last one that divides. */
static const struct unit byte_units[] = {
    {"B", 1},
    {"KiB", UINT64_C(1) << 10},
    {"MiB", UINT64_C(1) << 20},
    {"GiB", UINT64_C(1) << 30},
    {"TiB", UINT64_C(1) << 40},
};
static const struct unit time_units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
};

#define UNIT_COUNT 5u
_Static_assert(sizeof byte_units / sizeof byte_units[0] == UNIT_COUNT, "all byte units");
_Static_assert(sizeof time_units / sizeof time_units[0] == UNIT_COUNT, "all time units");

/* The digits at *text; moves behind them. */
static int take_number(const char **text, uint64_t *ret, struct zsp_err *err)
{
    const char *digits = *text;
    uint64_t number = 0;
    if (*digits < '0' || *digits > '9') {
        return zsp_err_set(err, ZSP_EBAD_VALUE, "'%.40s' does not begin with a digit", *text);
    }
    while (*digits >= '0' && *digits <= '9') {
        const uint64_t digit = (uint64_t)(*digits - '0');
        if (number > (UINT64_MAX - digit) / 10u) {
            return zsp_err_set(err, ZSP_EBAD_VALUE, "'%.40s' is too large", *text);
        }
        number = number * 10u + digit;
        digits++;
    }
    *text = digits;
    *ret = number;
    return ZSP_OK;
}

static int parse(const char *text, const struct unit *units, const char *example, uint64_t *ret,
                 struct zsp_err *err)
{
    const char *rest = text;
    uint64_t number = 0;
    const int rc = take_number(&rest, &number, err);
    if (rc < 0) {
        return rc;
    }
    while (*rest == ' ') {
        rest++;
    }
    for (size_t i = 0; i < UNIT_COUNT; i++) {
        if (strcmp(rest, units[i].name) != 0) {
            continue;
        }
        if (number > UINT64_MAX / units[i].factor) {
            return zsp_err_set(err, ZSP_EBAD_VALUE, "'%.40s' is too large", text);
        }
        *ret = number * units[i].factor;
        return ZSP_OK;
    }
    return zsp_err_set(err, ZSP_EBAD_VALUE, "'%.40s' %s, wanted %s, as in %s", text,
                       *rest == '\0' ? "has no unit" : "has an unknown unit",
                       units == byte_units ? "B, KiB, MiB, GiB or TiB" : "ms, s, m, h or d",
                       example);
}

int quantity_parse_bytes(const char *text, uint64_t *ret_bytes, struct zsp_err *err)
{
    return parse(text, byte_units, "64MiB", ret_bytes, err);
}

int quantity_parse_ms(const char *text, uint64_t *ret_ms, struct zsp_err *err)
{
    return parse(text, time_units, "30s", ret_ms, err);
}

int quantity_parse_count(const char *text, uint64_t *ret_count, struct zsp_err *err)
{
    const char *rest = text;
    uint64_t number = 0;
    const int rc = take_number(&rest, &number, err);
    if (rc < 0) {
        return rc;
    }
    if (*rest != '\0') {
        return zsp_err_set(err, ZSP_EBAD_VALUE, "'%.40s' is not a plain number", text);
    }
    *ret_count = number;
    return ZSP_OK;
}

static void print(char *ret_text, const struct unit *units, uint64_t number)
{
    size_t best = 0;
    for (size_t i = 1; i < UNIT_COUNT && number > 0; i++) {
        if (number % units[i].factor == 0) {
            best = i;
        }
    }
    (void)snprintf(ret_text, QUANTITY_TEXT_MAX, "%" PRIu64 "%s", number / units[best].factor,
                   units[best].name);
}

void quantity_print_bytes(char ret_text[QUANTITY_TEXT_MAX], uint64_t bytes)
{
    print(ret_text, byte_units, bytes);
}

void quantity_print_ms(char ret_text[QUANTITY_TEXT_MAX], uint64_t ms)
{
    print(ret_text, time_units, ms);
}
