/* SPDX-License-Identifier: MPL-2.0
 *
 * Simulated time: what is to happen when, in an order that depends on nothing
 * but the calls: by time, then by age.
 */
#ifndef ZSP_SIM_EVENTS_H
#define ZSP_SIM_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum event_kind {
    EVENT_WAKE,     /* a client decides what to do; ptr = client */
    EVENT_ARRIVE,   /* a request reaches the broker; ptr = request */
    EVENT_REPLY,    /* its answer reaches the client; ptr = request */
    EVENT_LOST,     /* the client gives up waiting; ptr = request */
    EVENT_JOB_RUN,  /* a job does its I/O; ptr = job */
    EVENT_JOB_DONE, /* the store hears of it; ptr = job */
    EVENT_PUMP,     /* the end of a turn of the broker's loop */
    EVENT_FAULT,    /* something goes wrong, or right again */
    EVENT_RESTART   /* the broker comes back */
};

struct event {
    int64_t time_ms;
    uint64_t order;
    enum event_kind kind;
    uint32_t life; /* of the broker it belongs to; 0 = survives its crashes */
    void *ptr;
};

/* A heap. Zero-initialise. */
struct events {
    struct event *items;
    size_t count, capacity;
    uint64_t next_order;
};

void events_fini(struct events *self);
void events_add(struct events *self, int64_t time_ms, enum event_kind kind, uint32_t life,
                void *ptr);
/* The time of the first, INT64_MAX = there is none. */
int64_t events_next_ms(const struct events *self);
bool events_take(struct events *self, struct event *ret);

#endif
