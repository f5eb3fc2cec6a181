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

void zsp_completion_init(struct zsp_completion *self)
{
    *self = (struct zsp_completion){.fd = -1};
    TAILQ_INIT(&self->ready);
}

bool zsp_completion_any(const struct zsp_completion *self)
{
    return !TAILQ_EMPTY(&self->ready);
}

int zsp_completion_fd(struct zsp_completion *self)
{
    if (self->fd < 0) {
        self->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (zsp_completion_any(self)) {
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

bool zsp_completion_set(struct zsp_completion *self, struct zsp_ready *object, bool ready)
{
    if (object->ready == ready) {
        return false;
    }
    object->ready = ready;
    if (ready) {
        const bool was_empty = !zsp_completion_any(self);
        TAILQ_INSERT_TAIL(&self->ready, object, link);
        if (was_empty) {
            raise_fd(self);
        }
        return true;
    }
    TAILQ_REMOVE(&self->ready, object, link);
    if (!zsp_completion_any(self)) {
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
    struct zsp_ready *object = TAILQ_FIRST(&self->ready);
    if (!object || object->visited == self->dispatch) {
        return NULL;
    }
    object->visited = self->dispatch;
    TAILQ_REMOVE(&self->ready, object, link);
    TAILQ_INSERT_TAIL(&self->ready, object, link);
    return object;
}
