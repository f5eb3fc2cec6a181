/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/notify.h"

#include <systemd/sd-daemon.h>

void notify_ready(void)
{
    /* Without a service manager there is nobody to tell, and that is fine. */
    (void)sd_notify(0, "READY=1");
}

void notify_stopping(void)
{
    (void)sd_notify(0, "STOPPING=1");
}
