/* SPDX-License-Identifier: MPL-2.0
 *
 * A message to publish from its JSON, as json_message() writes it.
 *
 * Taken: payload, key (each as text, or with _base64 behind the name), type, id,
 * headers (text, or {"base64": ...}), created_at, priority, not_before, expires_at. What belongs to
 * one place in one log (topic, partition, offset, timestamp) or to one delivery (deliveries,
 * failures, lease) is read over. Members that are unknown, or there twice, are errors.
 */
#ifndef ZSP_CLI_MESSAGE_READER_H
#define ZSP_CLI_MESSAGE_READER_H

#include <zspool.h>

/* The longest text that is looked at: every byte of a message may be an escape of six. */
#define MESSAGE_TEXT_MAX ((size_t)6 * ZSPOOL_MESSAGE_BYTES_MAX + 65536)

struct message_text {
    zspool_out_t out; /* points into the text and `headers`; topic and partition are unset */
    zspool_header_t headers[ZSPOOL_HEADERS_MAX];
    char why[160]; /* after a failure: at which byte what is wrong */
};

/* Read one object; the text is changed, and must live as long as the message. False = `why`. */
bool message_read(struct message_text *self, char *text, size_t len);

#endif
