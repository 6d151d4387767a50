#!/bin/sh
# Install what fedtill needs from Debian 12. Usage: deploy/install-deps.sh [build|test|bench]
# build: compile and run. test: also what the test suite uses. bench: also what benchmarks are compared with.
# Asks before it uses sudo; silent as root.
set -eu

build_packages="
gcc
libc6-dev
cmake
ninja-build
pkg-config
libgrpc-dev
libprotobuf-c-dev
protobuf-c-compiler
libopenblas-serial-dev
libsodium-dev
libssl-dev
libsqlite3-dev
libyaml-dev
libjansson-dev
libpopt-dev
libcsv-dev
libseccomp-dev
zlib1g-dev
linux-libc-dev
jq
"
test_packages="
libcmocka-dev
python3
python3-grpcio
sqlite3
procps
iproute2
git
libopenmpi-dev
openmpi-bin
dataset-fashion-mnist
"

what=${1:-build}
case $what in
build) packages=$build_packages ;;
test) packages="$build_packages $test_packages" ;;
bench) packages="$build_packages $test_packages python3-torch" ;;
*)
    echo "usage: $0 [build|test|bench]" >&2
    exit 64
    ;;
esac

missing=
for package in $packages; do
    status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
    [ "$status" = "install ok installed" ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null 2>&1; then
    if [ ! -t 0 ]; then
        echo "These Debian packages are missing:$missing" >&2
        echo "Install them as root (apt-get install$missing), or run this on a terminal." >&2
        exit 75
    fi
    printf 'Install with sudo:%s? [y/N] ' "$missing" >&2
    read -r answer
    case $answer in
    y | Y | yes) as_root=sudo ;;
    *) exit 75 ;;
    esac
else
    echo "These Debian packages are missing and there is no sudo; as root: apt-get install$missing" >&2
    exit 75
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
        # shellcheck disable=SC2086 # a list of names
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
} >"$log" 2>&1; then
    cat "$log" >&2
    echo "installing$missing failed" >&2
    exit 69
fi
