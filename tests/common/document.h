/* SPDX-License-Identifier: MPL-2.0
 *
 * docs/PROTOCOL.md as data: its test vectors and the rows of its tables.
 */
#ifndef ZSP_TESTS_DOCUMENT_H
#define ZSP_TESTS_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/bytes.h"

#define VECTOR_TEXTS_MAX 8u /* text lines of one vector */

/* One fenced block with the info string `vector`. Points into the document. */
struct vector {
    struct zsp_slice name, kind, error;
    struct zsp_slice texts[VECTOR_TEXTS_MAX];
    size_t text_count;
    struct zsp_writer bytes; /* what `hex` spells */
};

struct document {
    struct zsp_writer text;
};

/* Read the file at `path`; ends the test when it cannot. */
void document_init(struct document *self, const char *path);
void document_fini(struct document *self);

/* The next vector after *pos (start with 0); false at the end. A block that breaks the
 * syntax ends the test. Give it back with vector_fini(). */
bool document_next_vector(const struct document *self, size_t *pos, struct vector *ret);
void vector_fini(struct vector *self);

/* The lines between "<!-- NAME -->" and "<!-- /NAME -->"; ends the test when there are none. */
struct zsp_slice document_section(const struct document *self, const char *name);

/* Split the first line off *rest; false when it is empty. The line is without its newline. */
bool document_line(struct zsp_slice *rest, struct zsp_slice *ret_line);
/* Cell `index` of a table row "| a | b |", without blanks and back quotes around it. */
bool document_cell(struct zsp_slice row, size_t index, struct zsp_slice *ret);

#endif
