/* SPDX-License-Identifier: MPL-2.0
 *
 * The verbs TOPIC.*; their handlers are declared in verb.h.
 */
#ifndef ZSP_ENGINE_TOPIC_VERBS_H
#define ZSP_ENGINE_TOPIC_VERBS_H

struct engine;

/* Prepare the memory of calls that wait. */
void topic_verbs_init(struct engine *engine);

#endif
