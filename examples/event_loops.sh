#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# poll_loop.c, epoll_loop.c and zloop.c: the same work, in three kinds of event
# loop. Each copies a topic to another one while the broker is killed and comes
# back; afterwards nothing is missing, and the group has nothing left to do.
source "$(dirname "$0")/lib.sh"

real_lines "${ZSPOOL_LINES:-0}" >"$work/input" # fewer in builds that are slow
broker_start
zspool topic create in --partitions 2
zspool pub in <"$work/input"

for loop in poll_loop epoll_loop zloop; do
    # A reply that the kill destroys may have leased messages: they are ready again when that
    # lease ends, soon.
    zspool group create "$loop" --topic in --lease 1s
    "$loop" in "out.$loop" "$loop" >"$work/$loop.said" &
    relay=$!
    zspool pull "out.$loop" -g watcher -n 1 --outcome none --wait 30s >/dev/null
    broker_kill # the loop is in the middle of it
    ! grep -q . "$work/$loop.said" || say "$loop was faster than the kill"
    broker_start
    await "$relay"
    until [[ $(left_over "$loop" in) -eq 0 ]]; do
        sleep 0.2
        "$loop" in "out.$loop" "$loop" >>"$work/$loop.said"
    done
    zspool read "out.$loop" | sort -u >"$work/$loop"
    same_lines "$loop" "$work/input" "$work/$loop"
    say "$loop: $(awk '{ n += $1 } END { print n }' "$work/$loop.said") copied, all there"
done
