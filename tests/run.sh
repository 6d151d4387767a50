#!/bin/sh
# Pass the tests: install what is missing, build (release, and ASan with UBSan), run everything through ctest.
# Usage: tests/run.sh [release|asan ...]   (no name: both)
set -eu
cd "$(dirname "$0")/.."

./deploy/install-deps.sh test
presets=${*:-release asan}
for preset in $presets; do
    echo "== $preset: configure and build"
    log=$(mktemp)
    if ! { cmake --preset "$preset" -DFT_TESTS=ON && cmake --build --preset "$preset"; } >"$log" 2>&1; then
        tail -n 60 "$log"
        rm -f "$log"
        echo "building the $preset preset failed" >&2
        exit 1
    fi
    rm -f "$log"
done
for preset in $presets; do
    echo "== $preset: tests"
    ctest --preset "$preset" --no-tests=error -j 2
done
