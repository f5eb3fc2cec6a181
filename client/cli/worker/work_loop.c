/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "client/cli/signal_pipe.h"
#include "client/cli/worker/work.h"

#define LOOK_MS   5000 /* a client that was refused for good has no descriptor to say so */
#define LOST_STEP 64
#define FDS_MAX   (2u + 2u * WORK_JOBS_MAX)

void work_stop(struct work *self)
{
    if (!self->stopping) {
        self->stopping = true;
        zspool_consumer_stop(self->consumer);
    }
}

/* --- Messages ------------------------------------------------------------------------- */

static struct slot *free_slot(const struct work *self)
{
    for (size_t i = 0; i < self->jobs; i++) {
        if (self->slots[i].child.pid == 0) {
            return &self->slots[i];
        }
    }
    return NULL;
}

static void start_waiting(struct work *self)
{
    const zspool_message_t *message;
    while (self->running < self->jobs && (message = work_next_in_order(self)) != NULL) {
        slot_start(self, free_slot(self), message);
    }
}

static void take_messages(struct work *self)
{
    start_waiting(self);
    while (!self->stopping && self->running + self->waiting_count < self->jobs) {
        zspool_error_t err = {0};
        const zspool_message_t *message;
        const int rc = zspool_next(self->consumer, &message, 0, &err);
        if (rc == ZSPOOL_ETIMEOUT || rc == ZSPOOL_EINTERRUPTED) {
            return;
        }
        if (rc == 0) {
            if (!work_wait_in_order(self, message)) {
                slot_start(self, free_slot(self), message);
            }
            continue;
        }
        if (rc != ZSPOOL_END) {
            self->code = cli_fail(&err);
        }
        work_stop(self);
    }
}

bool work_is_about(const zspool_lost_t *lost, const zspool_message_t *message)
{
    return lost->lease == message->lease && lost->partition == message->partition &&
           message->offset >= lost->first_offset &&
           message->offset - lost->first_offset < lost->count &&
           strcmp(lost->topic, message->topic) == 0;
}

static void lose(struct work *self, const zspool_lost_t *lost)
{
    work_order_lost(self, lost);
    for (size_t i = 0; i < self->jobs; i++) {
        struct slot *slot = &self->slots[i];
        if (lost->held && slot->child.pid != 0 && work_is_about(lost, slot->message)) {
            cli_say("%s/%u/%llu: its lease was lost: the command on it is ended", lost->topic,
                    lost->partition, (unsigned long long)slot->message->offset);
            slot_stop(self, slot, SLOT_LOST);
        }
    }
    if (!lost->held) {
        cli_say("%s/%u/%llu: its lease was lost before its outcome was kept", lost->topic,
                lost->partition, (unsigned long long)lost->first_offset);
    }
}

static void take_losses(struct work *self)
{
    zspool_lost_t lost[LOST_STEP];
    int count;
    while ((count = zspool_lost(self->consumer, lost, LOST_STEP)) > 0) {
        for (int i = 0; i < count; i++) {
            lose(self, &lost[i]);
        }
    }
}

/* --- Signals --------------------------------------------------------------------------- */

static void stop_commands(struct work *self)
{
    for (size_t i = 0; i < self->jobs; i++) {
        struct slot *slot = &self->slots[i];
        slot_stop(self, slot, SLOT_STOPPING);
        if (self->stop_signals > 2 && slot->child.pid != 0) {
            slot->kill_ms = 0; /* no more grace */
        }
    }
}

void work_take_signals(struct work *self)
{
    int number;
    while ((number = signal_pipe_next(self->signal_fd)) != 0) {
        const int64_t now_ms = cli_now_ms();
        const bool same = self->stop_signals > 0 && now_ms - self->signal_ms < CLI_SAME_WISH_MS;
        if (number == SIGCHLD || same) {
            continue; /* it woke us: every slot is looked at anyway */
        }
        self->stop_signals++;
        self->signal_ms = now_ms;
        work_stop(self);
        work_order_end(self);
        if (self->stop_signals == 1 && self->running > 0) {
            cli_note("ending: %zu running; once more to stop them", self->running);
        }
    }
    if (self->stop_signals > 1) {
        stop_commands(self);
    }
}

/* --- Waiting --------------------------------------------------------------------------- */

static void earlier(int64_t *at_ms, int64_t other_ms)
{
    *at_ms = other_ms < *at_ms ? other_ms : *at_ms;
}

static int wait_ms(const struct work *self, int64_t now_ms)
{
    int64_t at_ms = now_ms + LOOK_MS;
    for (size_t i = 0; i < self->jobs; i++) {
        if (self->slots[i].child.pid != 0) {
            earlier(&at_ms, self->slots[i].limit_ms);
            earlier(&at_ms, self->slots[i].kill_ms);
        }
    }
    if (self->wait_ms >= 0 && self->running == 0) {
        earlier(&at_ms, self->idle_since_ms + self->wait_ms);
    }
    return at_ms > now_ms ? (int)(at_ms - now_ms) : 0;
}

static nfds_t list_fds(const struct work *self, struct pollfd *fds)
{
    nfds_t count = 0;
    fds[count++] = (struct pollfd){.fd = self->signal_fd, .events = POLLIN};
    fds[count++] = (struct pollfd){.fd = zspool_fd(self->client), .events = POLLIN};
    for (size_t i = 0; i < self->jobs; i++) {
        const struct child *child = &self->slots[i].child;
        if (child->pid != 0 && child->input_fd >= 0) {
            fds[count++] = (struct pollfd){.fd = child->input_fd, .events = POLLOUT};
        }
        if (child->pid != 0 && child->errors_fd >= 0) {
            fds[count++] = (struct pollfd){.fd = child->errors_fd, .events = POLLIN};
        }
    }
    return count;
}

static bool is_up(const struct pollfd *fds, nfds_t count, int fd)
{
    for (nfds_t i = 0; i < count; i++) {
        if (fds[i].fd == fd) {
            return fds[i].revents != 0;
        }
    }
    return false;
}

static void serve_slots(struct work *self, const struct pollfd *fds, nfds_t count)
{
    const int64_t now_ms = cli_now_ms();
    for (size_t i = 0; i < self->jobs; i++) {
        struct slot *slot = &self->slots[i];
        if (slot->child.pid == 0) {
            continue;
        }
        if (is_up(fds, count, slot->child.input_fd)) {
            child_feed(&slot->child);
        }
        if (is_up(fds, count, slot->child.errors_fd)) {
            child_hear(&slot->child);
        }
        slot_look(self, slot, now_ms);
        slot_reap(self, slot);
    }
}

int work_loop(struct work *self)
{
    struct pollfd fds[FDS_MAX];
    self->idle_since_ms = cli_now_ms();
    for (;;) {
        take_losses(self);
        take_messages(self);
        if (self->stopping && self->running == 0) { /* so nothing waits for what runs */
            return self->code;
        }
        const int64_t now_ms = cli_now_ms();
        if (self->wait_ms >= 0 && self->running == 0 &&
            now_ms - self->idle_since_ms >= self->wait_ms) {
            work_stop(self);
            continue;
        }
        const nfds_t count = list_fds(self, fds);
        if (poll(fds, count, wait_ms(self, now_ms)) < 0 && errno != EINTR) {
            cli_say("cannot wait: %s", strerror(errno));
            self->code = CLI_ERROR;
            self->stop_signals = 2; /* without poll() nothing can be looked after */
            work_stop(self);
        }
        work_take_signals(self);
        serve_slots(self, fds, count);
    }
}
