/* SPDX-License-Identifier: MPL-2.0 */
#include "broker_header_alone.c"
