/* SPDX-License-Identifier: MPL-2.0
 *
 * Any bytes as a line of `pub --from-json`. What is taken must lie inside the
 * line, be text where it is called text, and never be longer than the line was;
 * what is refused must say where.
 */
#include <stdlib.h>
#include <string.h>

#include "client/cli/json.h"
#include "client/cli/message_reader.h"
#include "common/assert.h"

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(zspool_bytes_t bytes, const char *text, size_t len, bool is_text)
{
    if (!bytes.data) {
        return;
    }
    const char *begin = bytes.data;
    zsp_assert(begin >= text && begin <= text + len);
    zsp_assert(bytes.len <= (size_t)(text + len - begin));
    zsp_assert(!is_text || json_is_utf8(bytes.data, bytes.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct message_text message;
    char *text = malloc(size > 0 ? size : 1);
    zsp_assert(text);
    if (size > 0) {
        memcpy(text, data, size);
    }
    if (message_read(&message, text, size)) {
        const zspool_out_t *out = &message.out;
        check_inside(out->payload, text, size, false);
        check_inside(out->key, text, size, false);
        check_inside(out->type, text, size, true);
        check_inside(out->id, text, size, true);
        zsp_assert(out->header_count <= ZSPOOL_HEADERS_MAX);
        zsp_assert(out->created_at_ms >= 0);
        for (size_t i = 0; i < out->header_count; i++) {
            check_inside(out->headers[i].name, text, size, true);
            check_inside(out->headers[i].value, text, size, out->headers[i].is_text);
        }
    } else {
        zsp_assert(strncmp(message.why, "byte ", 5) == 0);
    }
    free(text);
    return 0;
}
