#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Members of an ordered group come, go and die while messages come in. Each event of an account is
# done behind the one before it, whoever does it: no member gets a message before the one in front
# of it in its partition is done, or its own.
source "$(dirname "$0")/lib.sh"

accounts=12
each=60
broker_start
zspool topic create events --partitions 4
zspool group create books --topic events --mode ordered --lease 1s

: >"$work/done"
start_member() { # NUMBER
    zspool work events -g books -j 1 --quiet -- \
        sh -c 'read -r event; echo "$event" >>"$0"' "$work/done" 2>>"$work/members.err" &
    members[$1]=$!
}
members=()
for number in 0 1 2; do
    start_member $number
done

publish() { # FIRST LAST: events so and so of every account
    for ((event = $1; event <= $2; event++)); do
        for ((account = 1; account <= accounts; account++)); do
            printf 'account-%d\taccount-%d %d\n' $account $account $event
        done
    done | zspool pub events -K $'\t'
}

# In each round one member leaves in good order and one is killed, both amid their work.
for round in 1 2 3; do
    publish $(((round - 1) * each / 3 + 1)) $((round * each / 3))
    for number in 0 1; do
        within 60 head -n $((((round - 1) * 2 + number + 1) * accounts * each / 8)) \
            < <(exec tail -n +1 -s 0.02 -f --pid=$$ "$work/done") >/dev/null ||
            fail "round $round: stuck at $(wc -l <"$work/done") messages"
        if [[ $number -eq 0 ]]; then
            kill -TERM "${members[$number]}"
            await "${members[$number]}"
        else
            kill -9 "${members[$number]}"
            wait "${members[$number]}" 2>/dev/null || true
        fi
        start_member $number
    done
    say "round $round: one member replaced, one killed, after $(wc -l <"$work/done") events"
done
await_group books events
stop "${members[@]}"

# Done once, or once more after a member died; never before the one in front of it.
awk -v accounts=$accounts -v each=$each '
    $2 > last[$1] + 1 { printf "%s: %d was done when %d was the last\n", $1, $2, last[$1]; bad = 1 }
    $2 > last[$1] { last[$1] = $2 }
    END {
        for (account = 1; account <= accounts; account++) {
            name = "account-" account
            if (last[name] != each) { printf "%s: %d of %d\n", name, last[name], each; bad = 1 }
        }
        exit bad
    }' "$work/done" || fail "the order was broken"
say "$((accounts * each)) events of $accounts accounts, each in its order"

# More partitions would lead accounts past their own events: only who says so gets them.
if zspool topic set events --partitions 8 2>"$work/refused"; then
    fail "the topic grew while a group keeps its order"
fi
grep -q 'group books keeps an order' "$work/refused" || fail "$(cat "$work/refused")"
zspool topic set events --partitions 8 --force
broker_kill
broker_start
publish $((each + 1)) $((each + 1))
zspool pull events -g books -e >"$work/grown"
[[ $(wc -l <"$work/grown") -eq $accounts ]] || fail "$(wc -l <"$work/grown") events of $accounts came"

# What nobody needs any more goes; offsets go on.
zspool topic purge events --before latest --yes 2>/dev/null
[[ $(zspool topic ls -l events | awk 'NR == 2 { print $3 }') -eq 0 ]] || fail "the purge left messages"
say "grown to 8 partitions on demand, then emptied"
