#!/bin/bash
# refuse_test.sh: a run whose results would mean nothing is refused; forced, it is marked.
# usage: refuse_test.sh PROGRAM SANITIZERS
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"
sanitizers=${2:-}
unset NB_FORCE
args=(--kernels headline --hidden 64 --processes 1 --rounds 1)

# forced DIR WORDS: the marks of a run that was forced.
forced() {
    expect "host.json holds the reason" jq -e --arg w "$2" '.forced | any(contains($w))' "$1/host.json" >jq.out
    expect "report.md begins with it" grep -q "^\\*\\*FORCED\\*\\*: .*$2" "$1/report.md"
    expect "so does the table" [ "$(grep -c "^FORCED: .*$2" out)" = 1 ]
}

NB_FORCE=yes fails 1 'NB_FORCE: "yes" is neither 1 nor 0' run "${args[@]}" --out word
expect "nothing is left behind" [ ! -e word ]

if [ -n "$sanitizers" ]; then
    fails 1 "compiled with -fsanitize=$sanitizers" run "${args[@]}" --out refused
    fails 1 "--force" run "${args[@]}" --out refused
    expect "nothing is left behind" [ ! -e refused ]
    nb run "${args[@]}" --out sanitized --force
    expect "exit 0, not $rc" [ "$rc" = 0 ]
    forced sanitized "-fsanitize=$sanitizers"
    finish
fi

# other processes on every CPU
spinners=()
for _ in $(seq "$(nproc)") $(seq "$(nproc)"); do
    timeout 120 sh -c 'while :; do :; done' &
    spinners+=($!)
done
sleep 0.5
fails 1 "cores free, too few for 1 thread" run "${args[@]}" --out busy
expect "it says what would help" grep -q "top -o %CPU" err
expect "and how to measure all the same" grep -q -- "--force" err
expect "nothing is left behind" [ ! -e busy ]
nb run "${args[@]}" --out busy --force
expect "forced: exit 0, not $rc" [ "$rc" = 0 ]
forced busy "cores free"
expect "stderr says so, too" grep -q "^forced: other processes" err
NB_FORCE=1 nb run "${args[@]}" --out environment
expect "forced by NB_FORCE: exit 0, not $rc" [ "$rc" = 0 ]
forced environment "cores free"
nb check "${args[@]:0:4}"
expect "a check measures nothing and is not refused: $rc" [ "$rc" = 0 ]
kill "${spinners[@]}" 2>/dev/null
wait "${spinners[@]}" 2>/dev/null

"$normbench" report busy >out
expect "the mark stays: it is made of the files" grep -q "^FORCED" out

if command -v valgrind >/dev/null && NB_FORCE=1 valgrind -q "$normbench" --version >out 2>err; then
    valgrind -q "$normbench" run "${args[@]}" --out inside >out 2>err
    rc=$?
    expect "inside valgrind: exit 1, not $rc" [ $rc = 1 ]
    expect "it says inside what" grep -q "runs inside memcheck" err
fi
finish
