/* SPDX-License-Identifier: MPL-2.0
 *
 * TOPIC.PURGE: messages of a topic up to a position go; offsets go on. The image of the topic says
 * first up to where each partition is purged; once that is durable its start moves, groups count
 * what they had not done as lost, and the store drops the segments below.
 */
#ifndef ZSP_ENGINE_TOPIC_PURGE_H
#define ZSP_ENGINE_TOPIC_PURGE_H

struct engine;

/* Go on with purges that a crash has cut off: what is purged and still in the store goes. */
void purge_resume(struct engine *engine);
/* Free what waits, at the end. */
void purge_fini(struct engine *engine);

#endif
