/* SPDX-License-Identifier: MPL-2.0
 *
 * The inside of zspool_broker.h that tests want as well: a broker over another
 * file system, which can fail where the real one rarely does.
 */
#ifndef ZSP_EMBED_EMBEDDED_BROKER_H
#define ZSP_EMBED_EMBEDDED_BROKER_H

#include "broker/embed/zspool_broker.h"
#include "broker/store/file/fs.h"
#include "common/err.h"

/* As zspool_broker_new(); `fs` (lent until _destroy, NULL = the real one) stands
 * for the files below the data directory. */
zspool_broker_t *embedded_new(const zspool_broker_options_t *options, struct fs *fs,
                              struct zsp_err *err);

#endif
