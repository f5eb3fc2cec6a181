/* SPDX-License-Identifier: MPL-2.0 */
#include "client/cli/input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/cli.h"

#define READ_BYTES 65536u

void input_init(struct input *self, struct input_cut cut, int fd, const char *name)
{
    *self = (struct input){.cut = cut, .fd = fd, .name = name};
}

void input_fini(struct input *self)
{
    free(self->bytes);
    self->bytes = NULL;
}

const char *input_unit(const struct input *self)
{
    return self->cut.delimiter_len == 1 && self->cut.delimiter[0] == '\n' ? "line" : "message";
}

/* The first `what` in the bytes; NULL = none. */
static char *find(char *bytes, size_t len, const char *what, size_t what_len)
{
    char *const end = bytes + len;
    while (what_len > 0 && (size_t)(end - bytes) >= what_len) {
        char *hit = memchr(bytes, what[0], (size_t)(end - bytes) - what_len + 1);
        if (!hit || memcmp(hit, what, what_len) == 0) {
            return hit;
        }
        bytes = hit + 1;
    }
    return NULL;
}

static enum input_state take(struct input *self, size_t len, size_t behind, char **ret_bytes,
                             size_t *ret_len)
{
    self->number++;
    if (len > self->cut.piece_max) {
        cli_say("%s: %s %llu is longer than %zu bytes", self->name, input_unit(self),
                (unsigned long long)self->number, self->cut.piece_max);
        return INPUT_FAILED;
    }
    *ret_bytes = self->bytes + self->pos;
    *ret_len = len;
    self->pos += len + behind;
    self->searched = 0;
    return INPUT_PIECE;
}

enum input_state input_next(struct input *self, char **ret_bytes, size_t *ret_len)
{
    const size_t left = self->len - self->pos;
    const size_t delimiter_len = self->cut.delimiter_len;
    char *const from = self->bytes ? self->bytes + self->pos : NULL;
    if (left > self->searched) {
        const char *hit =
            find(from + self->searched, left - self->searched, self->cut.delimiter, delimiter_len);
        if (hit) {
            return take(self, (size_t)(hit - from), delimiter_len, ret_bytes, ret_len);
        }
    }
    if (self->is_ended) {
        return left > 0 ? take(self, left, 0, ret_bytes, ret_len) : INPUT_END;
    }
    if (left > self->cut.piece_max + delimiter_len) {
        return take(self, left, 0, ret_bytes, ret_len); /* which refuses it */
    }
    self->searched = left >= delimiter_len ? left - delimiter_len + 1 : 0;
    if (delimiter_len == 0) {
        self->searched = left;
    }
    return INPUT_MORE;
}

/* Room for one read behind what is there. */
static bool make_room(struct input *self)
{
    const size_t left = self->len - self->pos;
    if (self->pos > 0) {
        memmove(self->bytes, self->bytes + self->pos, left);
        self->pos = 0;
        self->len = left;
    }
    if (self->capacity - self->len >= READ_BYTES) {
        return true;
    }
    const size_t capacity = self->capacity == 0 ? 2 * READ_BYTES : 2 * self->capacity;
    char *bytes = realloc(self->bytes, capacity);
    if (!bytes) {
        return false;
    }
    self->bytes = bytes;
    self->capacity = capacity;
    return true;
}

bool input_fill(struct input *self)
{
    if (!make_room(self)) {
        cli_say("%s: no memory for more than %zu bytes", self->name, self->capacity);
        return false;
    }
    const ssize_t got = read(self->fd, self->bytes + self->len, READ_BYTES);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
        return true;
    }
    if (got < 0) {
        cli_say("cannot read %s: %s", self->name, strerror(errno));
        return false;
    }
    self->is_ended = got == 0;
    self->len += (size_t)got;
    self->bytes_read += (uint64_t)got;
    return true;
}
