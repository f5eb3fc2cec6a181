#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# An import that is killed half-way and simply started again from the beginning: the topic looks at the
# ids of the messages, so each line is there once. The importer keeps no notes of where it was.
source "$(dirname "$0")/lib.sh"

broker_start
zspool topic create files --partitions 4 --dedup-window 1h

# Each line is a message whose id is the line itself.
real_lines 20000 >"$work/lines"
sed 's/[\\"]/\\&/g; s/.*/{"payload":"&","id":"&"}/' "$work/lines" >"$work/lines.json"

say "The import runs, and is killed in the middle; then the broker is, too."
zspool pub files --from-json --json >"$work/confirms" \
    < <(head -n 12345 "$work/lines.json"; exec sleep 60 2>/dev/null) &
import=$!
until [[ $(confirmed "$work/confirms") -ge 1000 ]]; do sleep 0.05; done
{ kill -9 "$import" && wait "$import"; } 2>/dev/null || true
broker_kill
broker_start
there=$(zspool read files | wc -l)
say "  $there messages are there."

say "It starts again from the beginning."
zspool pub files --from-json --json <"$work/lines.json" >"$work/again"
[[ $(confirmed "$work/again") -eq $(wc -l <"$work/lines") ]] || fail "not all was confirmed"
old=$(confirmed <(grep '"duplicate":true' "$work/again"))
[[ $old -eq $there ]] || fail "$old were told to be there already, and $there were"
zspool read files >"$work/got"
same_lines "each line once" "$work/lines" "$work/got"
say "  $old of the $(wc -l <"$work/lines") lines were there; now each is, once."

say "A message is found by its id."
line=$(sed -n 777p "$work/lines")
[[ $(zspool read files --id "$line") == "$line" ]] || fail "line 777 is not found"
