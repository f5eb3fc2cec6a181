/* SPDX-License-Identifier: MPL-2.0 */
#include "common/name.h"

#include <stdio.h>

#include "common/limits.h"

#define SHOWN_BYTES 24u /* of a bad name; the rest is "..." */

static bool is_name_byte(uint8_t byte, bool first)
{
    /* A bit for each byte: - . 0-9, then A-Z _ a-z; a name is checked with every request. */
    static const uint64_t allowed[4] = {UINT64_C(0x03ff600000000000), UINT64_C(0x07fffffe87fffffe)};
    return (allowed[byte >> 6] >> (byte & 63) & 1) != 0 && !(first && byte == '.');
}

static bool is_wildcard(uint8_t byte)
{
    return byte == '*' || byte == '?';
}

/* Position of the first byte that may not be there; name.len when all may. */
static size_t first_bad(struct zsp_slice name, bool wildcards)
{
    size_t i = 0;
    while (i < name.len &&
           (is_name_byte(name.data[i], i == 0) || (wildcards && is_wildcard(name.data[i])))) {
        i++;
    }
    return i;
}

bool zsp_name_valid(struct zsp_slice name)
{
    return name.len >= 1 && name.len <= ZSP_NAME_MAX && first_bad(name, false) == name.len;
}

bool zsp_pattern_valid(struct zsp_slice pattern)
{
    return pattern.len >= 1 && pattern.len <= ZSP_NAME_MAX &&
           first_bad(pattern, true) == pattern.len;
}

bool zsp_name_is_pattern(struct zsp_slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (is_wildcard(name.data[i])) {
            return true;
        }
    }
    return false;
}

/* The name for people: printable ASCII, everything else as \xNN, cut. `text`
 * holds 4 x SHOWN_BYTES + 4 bytes. */
static void show(struct zsp_slice name, char *text)
{
    size_t used = 0;
    for (size_t i = 0; i < name.len && i < SHOWN_BYTES; i++) {
        const uint8_t byte = name.data[i];
        if (byte >= 0x20 && byte < 0x7f && byte != '\\') {
            text[used++] = (char)byte;
        } else {
            (void)snprintf(text + used, 5, "\\x%02x", byte); /* exactly four characters */
            used += 4;
        }
    }
    (void)snprintf(text + used, 4, "%s", name.len > SHOWN_BYTES ? "..." : "");
}

static int report(const char *what, struct zsp_slice name, bool wildcards, struct zsp_err *err)
{
    const char *const kind = wildcards && zsp_name_is_pattern(name) ? "pattern" : "name";
    const char *const wanted = wildcards ? "[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}, or with * and ?"
                                         : "[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}";
    char shown[4 * SHOWN_BYTES + 4];
    show(name, shown);
    if (name.len == 0 || name.len > ZSP_NAME_MAX) {
        (void)zsp_err_set(err, ZSP_EBAD_NAME, "%s %s \"%s\": length %zu is not 1..%u", what, kind,
                          shown, name.len, ZSP_NAME_MAX);
    } else {
        (void)zsp_err_set(err, ZSP_EBAD_NAME, "%s %s \"%s\": character %zu is not allowed", what,
                          kind, shown, first_bad(name, wildcards));
    }
    zsp_err_detail(err, what, wanted, shown);
    return ZSP_EBAD_NAME;
}

int zsp_name_check(const char *what, struct zsp_slice name, struct zsp_err *err)
{
    return zsp_name_valid(name) ? 0 : report(what, name, false, err);
}

int zsp_pattern_check(const char *what, struct zsp_slice pattern, struct zsp_err *err)
{
    return zsp_pattern_valid(pattern) ? 0 : report(what, pattern, true, err);
}

bool zsp_name_match(struct zsp_slice pattern, struct zsp_slice name)
{
    size_t p = 0, n = 0;
    size_t star = SIZE_MAX; /* the last `*` met: only the last one needs backtracking */
    size_t star_name = 0;   /* where in the name its match ends at the moment */
    while (n < name.len) {
        if (p < pattern.len && pattern.data[p] == '*') {
            star = p++;
            star_name = n;
        } else if (p < pattern.len && (pattern.data[p] == '?' || pattern.data[p] == name.data[n])) {
            p++;
            n++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            n = ++star_name;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.data[p] == '*') {
        p++;
    }
    return p == pattern.len;
}
