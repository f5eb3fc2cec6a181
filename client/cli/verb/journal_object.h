/* SPDX-License-Identifier: MPL-2.0
 *
 * The objects of a journal in words: what the key of an entry names, and what its value
 * holds. By a table of layouts that repeats what the broker's headers document
 * (catalog.h, group.h, ledger_codec.h, lease.h, fact.h), because the command does
 * not link the engine. What does not fit the table is shown as hex, never guessed.
 */
#ifndef ZSP_CLI_JOURNAL_OBJECT_H
#define ZSP_CLI_JOURNAL_OBJECT_H

#include "client/cli/json.h"
#include "common/bytes.h"

/* Print key and value of one entry: into the open object `json`, or, when it is NULL, as words on
 * stdout, each with a space before it. Returns false when key or value had to be shown as hex. */
bool journal_object_print(struct json *json, struct zsp_slice key, struct zsp_slice value);

#endif
