/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/group/group_mode.h"

static const char *const names[GROUP_MODES] = {"shared", "ordered", "keyed"};

const char *group_mode_name(enum group_mode mode)
{
    return names[mode];
}

bool group_mode_find(struct zsp_slice name, enum group_mode *ret)
{
    for (int i = 0; i < GROUP_MODES; i++) {
        if (zsp_slice_equal_str(name, names[i])) {
            *ret = (enum group_mode)i;
            return true;
        }
    }
    return false;
}
