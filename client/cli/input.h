/* SPDX-License-Identifier: MPL-2.0
 *
 * An input stream, cut into pieces at a delimiter. The owner waits for the
 * descriptor itself, so that it can do other things meanwhile.
 */
#ifndef ZSP_CLI_INPUT_H
#define ZSP_CLI_INPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <zspool.h>

/* How the pieces are cut. */
struct input_cut {
    const char *delimiter; /* may hold NULs; borrowed as long as the input */
    size_t delimiter_len;  /* 0 = the whole input is one piece */
    size_t piece_max;      /* longer pieces are refused */
};

enum input_state {
    INPUT_PIECE, /* there is one */
    INPUT_MORE,  /* wait until the descriptor can be read, then input_fill() */
    INPUT_END,
    INPUT_FAILED /* told */
};

struct input {
    struct input_cut cut;
    const char *name; /* for messages */
    int fd;
    char *bytes; /* read and not returned yet: pos .. len */
    size_t pos, len, capacity;
    size_t searched; /* behind pos: no delimiter begins before */
    bool is_ended;
    uint64_t number;     /* of the piece returned last, the first is 1 */
    uint64_t bytes_read; /* in all */
};

/* Begin with a descriptor and its name for messages; both are borrowed. */
void input_init(struct input *self, struct input_cut cut, int fd, const char *name);
void input_fini(struct input *self);

/* The next piece, without its delimiter; what is behind the last delimiter is a piece if it is not
 * empty. The bytes may be changed, and are valid until the next call. */
enum input_state input_next(struct input *self, char **ret_bytes, size_t *ret_len);
/* Read once. False = it failed, which is told; an interrupted read is not a failure. */
bool input_fill(struct input *self);
/* What a piece is called: "line", or "message". */
const char *input_unit(const struct input *self);

#endif
