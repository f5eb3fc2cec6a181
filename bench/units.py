# SPDX-License-Identifier: MPL-2.0
"""Numbers as people read them."""


def named_size(count):
    """100 B, 1 KiB, 50 GiB"""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size and count % size == 0:
            return "%d %s" % (count // size, unit)
    return "%d B" % count


def number(value):
    """Three digits or so, thousands apart; nothing for what was not measured."""
    if value is None:
        return ""
    if value >= 100:
        return "{:,.0f}".format(value)
    return "%.3g" % value
