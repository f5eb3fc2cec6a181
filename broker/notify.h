/* SPDX-License-Identifier: MPL-2.0
 *
 * Telling the service manager how far zspoold is. notify_systemd.c does it over
 * libsystemd, notify_none.c does nothing; CMake chooses.
 */
#ifndef ZSP_BROKER_NOTIFY_H
#define ZSP_BROKER_NOTIFY_H

/* Recovery is done and every endpoint listens. */
void notify_ready(void);
/* No new requests from now on. */
void notify_stopping(void);

#endif
