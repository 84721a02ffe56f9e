# shellcheck shell=sh disable=SC2034 # the package lists are used by those who source this
# setup.sh: what scripts/bench and scripts/test share; sourced, not run.
# Installs the Debian packages that are missing, and builds.

RUN_PACKAGES="gcc g++ make cmake pkg-config git libbenchmark-dev libhwloc-dev libjansson-dev libopenblas-dev
 libpapi-dev libsqlite3-dev gnuplot-nox fonts-dejavu-core"
TEST_PACKAGES="$RUN_PACKAGES libcmocka-dev libmpfr-dev jq procps valgrind"
GATE_PACKAGES="$RUN_PACKAGES valgrind"
ALL_PACKAGES="$TEST_PACKAGES clang llvm libomp-dev libclang-rt-dev shellcheck
 libdnnl-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static curl"
# Without these a test is skipped, and says why; group by group.
OPTIONAL_PACKAGES="slurm-wlm,slurm-wlm-basic-plugins chromium,chromium-driver tidy"

die() {
    echo "$0: $*" >&2
    exit 1
}

# Names of the packages in "$@" that dpkg does not know as installed.
missing_packages() {
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -q '^installed' ||
            echo "$package"
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "not root and no sudo; as root run: apt-get install $missing"
    fi
}

setup_packages() {
    if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
        missing_tools "$@"
        return
    fi
    missing=$(missing_packages "$@" | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    echo "installing: $missing" >&2
    log=$(mktemp)
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # a list of words
    if ! { as_root apt-get install -y -q --no-install-recommends $missing ||
        { as_root apt-get update -q &&
            as_root apt-get install -y -q --no-install-recommends $missing; }; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        die "apt-get could not install: $missing"
    fi
    rm -f "$log"
}

# Groups of packages, commas within: what cannot be installed is told.
setup_optional() {
    for group in "$@"; do
        # shellcheck disable=SC2046 # a list of words
        (setup_packages $(echo "$group" | tr ',' ' ')) || echo "$0: goes on without $group" >&2
    done
}

# Not a Debian: nothing is installed, but what is not there is named.
missing_tools() {
    for tool in cc c++ cmake make pkg-config git gnuplot; do
        command -v "$tool" >/dev/null || absent="${absent:-} $tool"
    done
    for library in hwloc jansson sqlite3; do
        pkg-config --exists "$library" 2>/dev/null || absent="${absent:-} $library"
    done
    [ -z "${absent:-}" ] || die "this is no Debian: install these yourself, and Google Benchmark:$absent
(their Debian names: $*)"
}

# build DIR [cmake options]: configures once, then builds all or $TARGETS; quiet unless it fails.
build() {
    dir=$1
    shift
    log=$(mktemp)
    # shellcheck disable=SC2086 # a list of words
    if ! { cmake -S . -B "$dir" "$@" && cmake --build "$dir" -j "$(nproc)" ${TARGETS:+--target $TARGETS}; } >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        die "the build in $dir failed"
    fi
    rm -f "$log"
}
