/* SPDX-License-Identifier: MPL-2.0
 *
 * What the files of administration share: a request, a wait for its answer, a report.
 */
#ifndef ZSP_CLIENT_ADMIN_PRIV_H
#define ZSP_CLIENT_ADMIN_PRIV_H

#include "client/src/client_call.h"

/* Run a call that changes or tells something and hand its report to the host. Ends spec->args. */
int zsp_admin_run(zspool_client_t *self, struct zsp_call_spec *spec, int timeout_ms,
                  zspool_error_t *err);
/* The same for a call with a result; `name` is what is asked about, or NULL. */
int zsp_admin_ask(zspool_client_t *self, struct zsp_call_spec *spec, const char *name,
                  int timeout_ms, void **ret_result, zspool_error_t *err);
/* Is the client usable, and the name legal? */
int zsp_admin_check_name(zspool_client_t *self, const char *what, const char *name,
                         zspool_error_t *err);

#endif
