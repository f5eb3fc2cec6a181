/* SPDX-License-Identifier: MPL-2.0 */
#include "client/src/base/completion.h"

#include <sys/eventfd.h>
#include <unistd.h>

static void raise_fd(const struct zsp_completion *self)
{
    const uint64_t one = 1;
    if (self->fd >= 0) {
        (void)!write(self->fd, &one, sizeof one); /* the counter is 0: cannot be full */
    }
}

static void lower_fd(const struct zsp_completion *self)
{
    uint64_t count;
    if (self->fd >= 0) {
        (void)!read(self->fd, &count, sizeof count); /* the counter is 1 */
    }
}

int zsp_completion_fd(struct zsp_completion *self)
{
    if (self->fd < 0) {
        self->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (self->first) {
            raise_fd(self);
        }
    }
    return self->fd;
}

void zsp_completion_fini(struct zsp_completion *self)
{
    if (self->fd >= 0) {
        (void)close(self->fd); /* an eventfd holds nothing that could be lost */
    }
    self->fd = -1;
}

static void append(struct zsp_completion *self, struct zsp_ready *object)
{
    object->next = NULL;
    object->prev = self->last;
    if (self->last) {
        self->last->next = object;
    } else {
        self->first = object;
    }
    self->last = object;
}

static void unlink_ready(struct zsp_completion *self, struct zsp_ready *object)
{
    if (object->prev) {
        object->prev->next = object->next;
    } else {
        self->first = object->next;
    }
    if (object->next) {
        object->next->prev = object->prev;
    } else {
        self->last = object->prev;
    }
}

bool zsp_completion_set(struct zsp_completion *self, struct zsp_ready *object, bool ready)
{
    if (object->ready == ready) {
        return false;
    }
    object->ready = ready;
    if (ready) {
        const bool was_empty = !self->first;
        append(self, object);
        if (was_empty) {
            raise_fd(self);
        }
        return true;
    }
    unlink_ready(self, object);
    if (!self->first) {
        lower_fd(self);
    }
    return false;
}

void zsp_completion_begin(struct zsp_completion *self)
{
    self->dispatch++;
}

struct zsp_ready *zsp_completion_next(struct zsp_completion *self)
{
    /* Visited ones go to the end of the list: the first tells whether any is left. */
    struct zsp_ready *object = self->first;
    if (!object || object->visited == self->dispatch) {
        return NULL;
    }
    object->visited = self->dispatch;
    unlink_ready(self, object);
    append(self, object);
    return object;
}
