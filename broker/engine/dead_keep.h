/* SPDX-License-Identifier: MPL-2.0
 *
 * What retention leaves for the sake of dead messages. A group may have its dead messages kept for a
 * time (dead_retention_ms): as long as one of them is younger than that, the log is kept from its segment
 * on, whatever the topic's limits say, up to dead_retention_bytes of the partition and never beyond
 * max_topic_bytes where the oldest give way. Then they go with the rest.
 */
#ifndef ZSP_ENGINE_DEAD_KEEP_H
#define ZSP_ENGINE_DEAD_KEEP_H

#include "broker/engine/topic.h"

/* Set what is kept, for the partition: `what` keeps nothing yet. */
void dead_keep(const struct engine *engine, const struct partition *partition,
               struct store_retain *what);

#endif
