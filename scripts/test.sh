#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# The one command that tells whether zspool works here: installs what is
# missing, builds with warnings as errors, runs every fast test in three builds
# (plain, AddressSanitizer + UBSan, ThreadSanitizer). The last line of output
# is ctest's, summed over the three. Status 0: everything passed.
#
#   scripts/test.sh [dev|asan|tsan]...      default: all three
#
# Needs no terminal and may be called from any directory. Runs in the checkout,
# in build/, and leaves nothing else behind.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

builds=("$@")
[[ ${#builds[@]} -gt 0 ]] || builds=(dev asan tsan)
jobs=$(nproc)
tests=$((3 * jobs)) # at a time: most of them wait for a lease, a disk or a restart
passed=0 failed=0
started=$SECONDS

headline() { printf '\n=== %s (%d s)\n' "$*" $((SECONDS - started)); }
give_up() { printf '\ntest.sh: %s\n' "$*" >&2; exit 1; }

# ThreadSanitizer of older compilers cannot live with much address
# randomisation; switching it off needs no rights, but some containers forbid it.
plain_addresses=()
if setarch "$(uname -m)" -R true 2>/dev/null; then
    plain_addresses=(setarch "$(uname -m)" -R)
fi

build() { # PRESET
    headline "$1: build"
    cmake --preset "$1" >"build/$1.configure.txt" 2>&1 ||
        { cat "build/$1.configure.txt"; give_up "$1: cmake failed"; }
    cmake --build --preset "$1" -j "$jobs" || give_up "$1: the build failed"
}

run() { # PRESET [ctest options]
    local preset=$1 output=build/$1.ctest.txt
    shift
    headline "$preset: test"
    "${wrapper[@]}" ctest --preset "$preset" -j "$tests" "$@" </dev/null 2>&1 | tee "$output"
    # "100% tests passed, 0 tests failed out of 42"
    local bad all
    read -r bad all < <(sed -nE \
        's/^[0-9]+% tests passed, ([0-9]+) tests? failed out of ([0-9]+)$/\1 \2/p' "$output")
    [[ -n ${all:-} ]] || give_up "$preset: ctest ended without a verdict"
    failed=$((failed + bad))
    passed=$((passed + all - bad))
}

scripts/deps build test || exit 1
mkdir -p build
export CMAKE_GENERATOR=Ninja # for the outside project of the install test as well
if command -v ccache >/dev/null; then
    export CMAKE_C_COMPILER_LAUNCHER=ccache
fi

for preset in "${builds[@]}"; do
    build "$preset"
    wrapper=()
    case $preset in
        tsan) wrapper=("${plain_addresses[@]}"); run tsan ;;
        *) run "$preset" ;;
    esac
done

headline "${builds[*]}: together"
total=$((passed + failed))
echo
printf '%d%% tests passed, %d tests failed out of %d\n' \
    $((total == 0 ? 0 : 100 * passed / total)) "$failed" "$total"
[[ $failed -eq 0 && $total -gt 0 ]]
