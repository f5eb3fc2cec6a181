/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/engine.h"
