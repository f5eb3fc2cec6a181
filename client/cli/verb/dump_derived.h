/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool dump of the files that stand beside a sealed segment and are made of it: what it is of, and
 * its entries.
 */
#ifndef ZSP_CLI_DUMP_DERIVED_H
#define ZSP_CLI_DUMP_DERIVED_H

#include "broker/store/file/batch.h"
#include "common/bytes.h"
#include "common/err.h"

/* Print a file; `bytes` are all of it, `place` is that of the segment. Errors: ZSP_ECORRUPT: entries
 * are not printed, ZSP_ENOMEM */
typedef int dump_derived_fn(struct zsp_slice bytes, const struct batch_place *place,
                            struct zsp_err *err);

dump_derived_fn dump_index; /* .idx */
dump_derived_fn dump_ids;   /* .ids */
dump_derived_fn dump_terms; /* .pri */

#endif
