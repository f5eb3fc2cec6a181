/* SPDX-License-Identifier: MPL-2.0
 *
 * Telling the service manager how far zspoold is: one datagram to the socket that
 * $NOTIFY_SOCKET names, as sd_notify(3) writes it down. libsystemd would do the same, and
 * bring a megabyte of libraries along. Without a service manager there is nobody to tell,
 * and that is fine; nor does it matter when it does not listen.
 */
#ifndef ZSP_BROKER_NOTIFY_H
#define ZSP_BROKER_NOTIFY_H

/* Recovery is done and every endpoint listens. */
void notify_ready(void);
/* No new requests from now on. */
void notify_stopping(void);

#endif
