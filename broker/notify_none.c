/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/notify.h"

void notify_ready(void)
{
}

void notify_stopping(void)
{
}
