#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# One tenant publishes a hundred thousand messages at once, another one a message now and then. In a group that
# shares fairly the quiet one is served at once; in one that does not it waits behind all of them.
source "$(dirname "$0")/lib.sh"

noisy=100000
broker_start
zspool topic create jobs
zspool group create fair --topic jobs --fair-by key
zspool group create plain --topic jobs

seq -f 'noisy %g' $noisy | zspool pub jobs -k noisy
zspool pub jobs -k quiet 'quiet 1'

# What is behind whom: the place of the quiet message among the first thousand, and among all.
zspool pull jobs -g fair -n 1000 >"$work/first"
place=$(grep -n quiet "$work/first" | cut -d: -f1)
[[ -n $place ]] || fail "the quiet tenant was not among the first thousand"
say "fair: the quiet message came among the first 1,000 of $((noisy + 1))"
zspool pull jobs -g plain -n 1000 >"$work/plain"
grep -q quiet "$work/plain" && fail "by offset it should have been the last one"
say "plain: it waits behind $noisy others"

# It holds for those that come later, and after a crash; and all of it arrives, once.
broker_kill
broker_start
zspool pub jobs -k quiet 'quiet 2'
zspool pub jobs -k other 'other 1'
zspool pull jobs -g fair -n 1000 >"$work/second"
[[ $(grep -c 'quiet\|other' "$work/second") -eq 2 ]] || fail "after the crash: $(grep -c quiet "$work/second")"
zspool pull jobs -g fair -e >"$work/rest"
await_group fair jobs
cat "$work/first" "$work/second" "$work/rest" >"$work/got"
{ seq -f 'noisy %g' $noisy; printf '%s\n' 'quiet 1' 'quiet 2' 'other 1'; } >"$work/want"
same_lines "what the fair group got" "$work/want" "$work/got"
say "all $((noisy + 3)) messages came, each once"
