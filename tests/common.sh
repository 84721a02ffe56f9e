# shellcheck shell=bash
# common.sh: what the script tests share. $1 of a test is the program.
set -uo pipefail
# Tests are no measurements: they run on machines that others use, and under sanitizers. Conditions of units are
# quiet and nothing is refused; conditions_test and refuse_test look at what is real.
export LC_ALL=C NB_LOCK_DIR NB_TEST_CONDITIONS=none:0 NB_FORCE=1
normbench=$(readlink -f "$1")
work=$(mktemp -d)
NB_LOCK_DIR=$work
failures=0 checks=0
# Where ctest runs tests side by side it deals the CPUs: "id:1,slots:1".
cpu=${CTEST_RESOURCE_GROUP_0_CPUS:-}
[ -z "$cpu" ] || taskset -pc "$(expr "$cpu" : 'id:\([0-9]*\)')" $$ >/dev/null
cd "$work" || exit 1
trap 'rm -rf "$work"' EXIT

# expect WHAT CONDITION...: counts, and tells what failed.
expect() {
    local what=$1
    shift
    checks=$((checks + 1))
    if ! "$@"; then
        failures=$((failures + 1))
        echo "FAILED: $what" >&2
        [ ! -s "$work/err" ] || sed 's/^/  stderr: /' "$work/err" | tail -5 >&2
    fi
}

# nb ARGS...: runs the program; sets rc, files out and err.
nb() {
    "$normbench" "$@" >"$work/out" 2>"$work/err"
    rc=$?
}

# fails RC TEXT ARGS...: the program must end with RC and say TEXT on stderr.
fails() {
    local want=$1 text=$2
    shift 2
    nb "$@"
    expect "exit $want, not $rc: $*" [ "$rc" = "$want" ]
    expect "stderr says \"$text\": $*" grep -qF -- "$text" "$work/err"
}

finish() {
    echo "$checks checks, $failures failures"
    [ $checks -gt 0 ] && [ $failures = 0 ]
    exit
}
