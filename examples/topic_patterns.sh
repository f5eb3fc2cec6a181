#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# A topic for each region, and regions are opened while the workers run: a group over
# 'orders.*' gets what comes to each of them, without being told, also after a crash of the broker.
source "$(dirname "$0")/lib.sh"

each=200
regions=(eu us asia africa oceania)
broker_start

open_region() { # REGION
    seq -f "$1 %g" $each | tee -a "$work/input" | zspool pub "orders.$1"
}
open_region eu
zspool pub bills.eu 'none of their business'

workers=()
for number in 1 2 3; do
    zspool pull 'orders.*' -g shipping >"$work/shipped.$number" 2>>"$work/workers.err" &
    workers+=($!)
done
for region in "${regions[@]:1:3}"; do
    open_region "$region"
    await_group shipping "orders.$region"
    say "region $region was opened and shipped by workers that had never heard of it"
done

broker_kill
broker_start
open_region oceania
for region in "${regions[@]}"; do
    await_group shipping "orders.$region"
done
say "after a crash: the pattern is there, and so is what was done"

# A group that begins at the end takes the old regions from there, and new ones from their beginning.
zspool group create late --topic 'orders.*' --start latest
open_region antarctica
zspool pull 'orders.*' -g late -e >"$work/late"
[[ $(cut -d' ' -f1 "$work/late" | uniq -c | awk '{ print $1, $2 }') == "$each antarctica" ]] ||
    fail "the late group got $(cut -d' ' -f1 "$work/late" | sort | uniq -c)"
await_group shipping orders.antarctica
stop "${workers[@]}"

cat "$work"/shipped.? >"$work/shipped"
same_lines "what was shipped" "$work/input" "$work/shipped"
zspool group info shipping | grep -qx 'topics that match orders.\*' || fail "the pattern is not told"
say "$(wc -l <"$work/shipped") orders of $((${#regions[@]} + 1)) regions, every one once"
