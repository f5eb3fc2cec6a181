#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# embedded.c and embedded_actor.c: brokers inside other programs. What one leaves
# behind is found by the next, be it the same program, the other one, or zspoold;
# kill -9 takes nothing along. Both are found on PATH.
source "$(dirname "$0")/lib.sh"

embedded "$work/data" one two three >"$work/printed"
printf 'one\ntwo\nthree\n' >"$work/words"
same_lines "the first run" "$work/words" "$work/printed"
[[ -z $(embedded "$work/data") ]] || fail "a word was printed twice"
say "a broker, a producer and a worker in one program"

actor_start() {
    : >"$work/actor" # nothing of an earlier one
    embedded_actor "$work/data" "$ZSPOOL_SERVER" >"$work/actor" 2>&1 &
    actor=$!
    grep -qm 1 "^ENDPOINT $ZSPOOL_SERVER" < <(exec tail -n +1 -s 0.05 -f --pid="$actor" "$work/actor") ||
        fail "the actor does not serve: $(cat "$work/actor")"
}
actor_start
real_lines 2000 >"$work/lines"
zspool pub words <"$work/lines"
embedded "$work/data" four 2>"$work/refused" && fail "two brokers over one directory"
grep -q "$work/data" "$work/refused" || fail "the directory is not named: $(cat "$work/refused")"
kill -9 "$actor"
wait "$actor" 2>/dev/null || true
actor_start
kill -INT "$actor"
wait "$actor" || fail "the actor ended with status $?"
embedded "$work/data" >"$work/printed"
same_lines "after kill -9" "$work/lines" "$work/printed"
say "$(wc -l <"$work/printed") messages outlived the program that had kept them"

broker_start
zspool read words -n 3 >"$work/read"
same_lines "zspoold" "$work/words" "$work/read"
say "zspoold serves the same directory"
