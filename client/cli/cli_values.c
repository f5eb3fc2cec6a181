/* SPDX-License-Identifier: MPL-2.0
 *
 * Values as people write them: numbers, sizes, durations, times, positions.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/cli.h"

/* Digits at the beginning; *ret_rest is what follows. */
static bool read_digits(const char *text, uint64_t max, uint64_t *ret, const char **ret_rest)
{
    uint64_t value = 0;
    const char *p = text;
    for (; isdigit((unsigned char)*p); p++) {
        const uint64_t digit = (uint64_t)(*p - '0');
        if (digit > max || value > (max - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *ret = value;
    *ret_rest = p;
    return p != text;
}

bool cli_read_number(const char *text, uint64_t max, uint64_t *ret)
{
    const char *rest;
    return read_digits(text, max, ret, &rest) && *rest == '\0';
}

struct unit {
    const char *name;
    uint64_t factor;
};

static bool read_with_unit(const char *text, const struct unit *units, size_t count, uint64_t *ret)
{
    uint64_t number;
    const char *rest;
    if (!read_digits(text, INT64_MAX, &number, &rest)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rest, units[i].name) == 0) {
            if (number > INT64_MAX / units[i].factor) {
                return false;
            }
            *ret = number * units[i].factor;
            return true;
        }
    }
    return false;
}

bool cli_read_bytes(const char *text, uint64_t *ret)
{
    static const struct unit units[] = {{"", 1},           {"B", 1},
                                        {"KiB", 1u << 10}, {"MiB", 1u << 20},
                                        {"GiB", 1u << 30}, {"TiB", (uint64_t)1 << 40}};
    return read_with_unit(text, units, sizeof units / sizeof units[0], ret);
}

bool cli_read_duration(const char *text, int64_t *ret_ms)
{
    static const struct unit units[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    uint64_t ms;
    if (strcmp(text, "0") == 0) {
        *ret_ms = 0;
        return true;
    }
    if (!read_with_unit(text, units, sizeof units / sizeof units[0], &ms)) {
        return false;
    }
    *ret_ms = (int64_t)ms;
    return true;
}

bool cli_read_seconds(const char *text, uint64_t *ret_ms)
{
    uint64_t ms;
    uint64_t thousandths = 0;
    const char *rest;
    if (!read_digits(text, UINT32_MAX, &ms, &rest)) {
        return false;
    }
    ms *= 1000;
    if (*rest == '.') {
        const char *const fraction = rest + 1;
        if (!read_digits(fraction, 999, &thousandths, &rest) || rest - fraction > 3) {
            return false;
        }
        for (ptrdiff_t digits = rest - fraction; digits < 3; digits++) {
            thousandths *= 10;
        }
    }
    *ret_ms = ms + thousandths;
    return *rest == '\0' && *ret_ms > 0;
}

/* --- Times -------------------------------------------------------------------------- */

/* Days since 1970-01-01 of a day of the Gregorian calendar: the year begins in March, so that the
 * leap day is its last. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    const int64_t era = year / 400;
    const int64_t year_of_era = year - era * 400;
    const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    const int64_t day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void date_of(int64_t days, int64_t *ret_year, int64_t *ret_month, int64_t *ret_day)
{
    days += 719468;
    const int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    const int64_t day_of_era = days - era * 146097;
    const int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t shifted = (5 * day_of_year + 2) / 153;
    *ret_day = day_of_year - (153 * shifted + 2) / 5 + 1;
    *ret_month = shifted + (shifted < 10 ? 3 : -9);
    *ret_year = year_of_era + era * 400 + (*ret_month <= 2);
}

/* Exactly `width` digits and then `stop` (0 = anything). */
static bool read_field(const char **text, int width, char stop, int64_t *ret)
{
    int64_t value = 0;
    for (int i = 0; i < width; i++) {
        if (!isdigit((unsigned char)(*text)[i])) {
            return false;
        }
        value = value * 10 + ((*text)[i] - '0');
    }
    *text += width;
    if (stop) {
        if (**text != stop) {
            return false;
        }
        (*text)++;
    }
    *ret = value;
    return true;
}

static bool read_fraction(const char **text, int64_t *ret_ms)
{
    int64_t scale = 100;
    *ret_ms = 0;
    if (**text != '.') {
        return true;
    }
    (*text)++;
    if (!isdigit((unsigned char)**text)) {
        return false;
    }
    for (; isdigit((unsigned char)**text); (*text)++) {
        *ret_ms += scale * (**text - '0');
        scale /= 10;
    }
    return true;
}

static bool read_zone(const char *text, int64_t *ret_minutes)
{
    int64_t hours;
    int64_t minutes;
    if (strcmp(text, "Z") == 0 || strcmp(text, "z") == 0) {
        *ret_minutes = 0;
        return true;
    }
    if (*text != '+' && *text != '-') {
        return false;
    }
    const int64_t sign = *text == '-' ? -1 : 1;
    text++;
    if (!read_field(&text, 2, ':', &hours) || !read_field(&text, 2, 0, &minutes) || *text != '\0' ||
        hours > 23 || minutes > 59) {
        return false;
    }
    *ret_minutes = sign * (hours * 60 + minutes);
    return true;
}

bool cli_read_time(const char *text, int64_t *ret_ms)
{
    int64_t year;
    int64_t month;
    int64_t day;
    int64_t hour;
    int64_t minute;
    int64_t second;
    int64_t ms;
    int64_t zone;
    if (!read_field(&text, 4, '-', &year) || !read_field(&text, 2, '-', &month) ||
        !read_field(&text, 2, 0, &day) || (*text != 'T' && *text != 't' && *text != ' ')) {
        return false;
    }
    text++;
    if (!read_field(&text, 2, ':', &hour) || !read_field(&text, 2, ':', &minute) ||
        !read_field(&text, 2, 0, &second) || !read_fraction(&text, &ms) ||
        !read_zone(text, &zone)) {
        return false;
    }
    if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60 ||
        year < 1970) {
        return false;
    }
    const int64_t minutes = (days_of(year, month, day) * 24 + hour) * 60 + minute - zone;
    *ret_ms = (minutes * 60 + second) * 1000 + ms;
    return *ret_ms >= 0;
}

void cli_write_time(int64_t ms, char *to)
{
    const int64_t day_ms = 86400000;
    const int64_t days = ms / day_ms;
    const int64_t rest = ms % day_ms;
    int64_t year;
    int64_t month;
    int64_t day;
    date_of(days, &year, &month, &day);
    (void)snprintf(to, 32, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", (int)(year % 10000), (int)month,
                   (int)day, (int)(rest / 3600000), (int)(rest / 60000 % 60),
                   (int)(rest / 1000 % 60), (int)(rest % 1000));
}

/* --- Positions -------------------------------------------------------------------------- */

bool cli_read_position(const char *text, zspool_position_t *ret)
{
    int64_t ms;
    if (strcmp(text, "earliest") == 0) {
        ret->kind = ZSPOOL_POSITION_EARLIEST;
        return true;
    }
    if (strcmp(text, "latest") == 0) {
        ret->kind = ZSPOOL_POSITION_LATEST;
        return true;
    }
    if (strncmp(text, "id:", 3) == 0) {
        ret->kind = ZSPOOL_POSITION_ID;
        ret->id = text + 3;
        return ret->id[0] != '\0';
    }
    if (text[0] == '-') {
        ret->kind = ZSPOOL_POSITION_LAST;
        return cli_read_number(text + 1, INT64_MAX, &ret->value);
    }
    if (text[0] == '@') {
        ret->kind = ZSPOOL_POSITION_TIME;
        if (!cli_read_number(text + 1, INT64_MAX / 1000, &ret->value)) {
            return false;
        }
        ret->value *= 1000;
        return true;
    }
    if (cli_read_number(text, INT64_MAX, &ret->value)) {
        ret->kind = ZSPOOL_POSITION_OFFSET;
        return true;
    }
    if (cli_read_duration(text, &ms)) {
        ret->kind = ZSPOOL_POSITION_AGO;
        ret->value = (uint64_t)ms;
        return true;
    }
    if (cli_read_time(text, &ms)) {
        ret->kind = ZSPOOL_POSITION_TIME;
        ret->value = (uint64_t)ms;
        return true;
    }
    return false;
}

void cli_write_position(const zspool_position_t *position, char *to)
{
    switch (position->kind) {
    case ZSPOOL_POSITION_NONE:
    case ZSPOOL_POSITION_EARLIEST:
        (void)snprintf(to, 32, "earliest");
        return;
    case ZSPOOL_POSITION_LATEST:
        (void)snprintf(to, 32, "latest");
        return;
    case ZSPOOL_POSITION_OFFSET:
        (void)snprintf(to, 32, "%" PRIu64, position->value);
        return;
    case ZSPOOL_POSITION_LAST:
        (void)snprintf(to, 32, "-%" PRIu64, position->value);
        return;
    case ZSPOOL_POSITION_AGO:
        (void)snprintf(to, 32, "%" PRIu64 "ms", position->value);
        return;
    case ZSPOOL_POSITION_ID: /* it may be long: whoever prints one has room of its own */
        (void)snprintf(to, 32, "id");
        return;
    case ZSPOOL_POSITION_TIME:
        cli_write_time(
            position->value < CLI_TIME_MAX_MS ? (int64_t)position->value : CLI_TIME_MAX_MS, to);
        return;
    }
}

/* --- Escapes ---------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c ? strchr(digits, tolower((unsigned char)c)) : NULL;
    return found ? (int)(found - digits) : -1;
}

bool cli_read_escaped(const char **text, char *ret)
{
    static const char from[] = "ntr0\\";
    static const char to[] = "\n\t\r\0\\";
    const char *p = *text;
    if (*p != '\\') {
        *ret = *p;
        *text = p + 1;
        return true;
    }
    if (p[1] == 'x' && hex_digit(p[2]) >= 0 && hex_digit(p[3]) >= 0) {
        *ret = (char)(hex_digit(p[2]) * 16 + hex_digit(p[3]));
        *text = p + 4;
        return true;
    }
    const char *found = p[1] ? strchr(from, p[1]) : NULL;
    if (!found) {
        return false;
    }
    *ret = to[found - from];
    *text = p + 2;
    return true;
}
