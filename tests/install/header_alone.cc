/* SPDX-License-Identifier: MPL-2.0 */
#include "header_alone.c"
