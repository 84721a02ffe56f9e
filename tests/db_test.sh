#!/bin/bash
# db_test.sh: runs into the index and out of it. $1 the program, $2 make_runs, $3 the source tree.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"
make_runs=$(readlink -f "$2") source=$3

nb db schema
if [ $rc = 1 ] && grep -q 'apt-get install libsqlite3-dev' err; then
    echo "skipped: this program was built without SQLite"
    exit 77
fi
expect "the schema is that of docs/store.md" diff out <(sed -n '/^```sql$/,/^```$/p' "$source/docs/store.md" | grep -v '^```')
expect "each column has its sentence" [ "$(grep -cE '^  [a-z0-9_]+ (INTEGER|TEXT|REAL)' out)" = "$(grep -cE '^  [a-z0-9_]+ (INTEGER|TEXT|REAL).*/\* .+ \*/$' out)" ]

# ask SQL: its single value
ask() { "$normbench" db sql --db i.sqlite --csv "$1" | sed -n '2{s/\r//;p}'; }
# is WHAT SQL VALUE
is() {
    local got
    got=$(ask "$2")
    expect "$1: $3, not $got" [ "$got" = "$3" ]
}

# ---- import ----
"$make_runs" runs runs=5 cells=4 kernels=4 machines=2
nb db import --db i.sqlite runs
expect "import: exit $rc" [ $rc = 0 ]
expect "import says what it did" grep -qF '5 runs imported (80 results, 20 speedups)' out
is "runs" "SELECT count(*) FROM run" 5
is "machines" "SELECT count(*) FROM machine" 2
is "kernels" "SELECT count(*) FROM kernel WHERE op IS NOT NULL" 4
is "cells" "SELECT count(*) FROM cell" 4
is "a figure is that of its file" "SELECT of_roof FROM measured JOIN run ON run.name = run WHERE folder LIKE '%run-000003' AND kernel = 'rmsnorm_fwd_onepass__f32_avx512' AND residency = 'DRAM'" \
    "$(awk -F, '$2 == "rmsnorm_fwd_onepass__f32_avx512" && $17 == "DRAM" {print $25}' runs/run-000003/results.csv)"
is "a speedup is that of its file" "SELECT round(sum(speedup), 6) FROM speedup" "$(awk -F, 'FNR > 1 {s += $16} END {printf "%.6g", s}' runs/*/speedup.csv)"
is "null is null" "SELECT count(*) FROM result WHERE cycles IS NOT NULL" 0
nb db list --db i.sqlite --json
expect "list in the order of time" [ "$(jq -r '[.[].begun] == ([.[].begun] | sort)' out)" = true ]
expect "list names folders" [ "$(jq -r '.[0].folder' out)" = "$work/runs/run-000000" ]

cp i.sqlite before.sqlite
nb db import --db i.sqlite runs/run-000001 runs
expect "again: exit $rc" [ $rc = 0 ]
expect "again: nothing, said so" [ "$(grep -c 'known .* nothing changed' out)" = 6 ]
expect "again: not a byte of the file" cmp -s i.sqlite before.sqlite

mv runs/run-000002 moved
cp -r runs/run-000003 copy
nb db import --db i.sqlite moved copy
expect "a folder that moved: exit $rc, told" grep -qF "moved" out
is "its new place" "SELECT folder FROM run WHERE folder LIKE '%moved'" "$work/moved"
expect "a copy changes nothing" grep -qF "nothing changed: a copy of $work/runs/run-000003" out
is "no run twice" "SELECT count(*) FROM run" 5

# ---- stripped runs: of one CPU there are many ----
for n in 0 1; do
    cp -r runs/run-000001 nameless-$n
    jq --arg at "2026-01-0$((n + 1))T00:00:00Z" '.host=null | .before.time=$at' runs/run-000001/host.json >nameless-$n/host.json
done
nb db import --db nameless.sqlite nameless-0 nameless-1
expect "runs without a host name: exit $rc" [ $rc = 0 ]
nb db sql --db nameless.sqlite --csv "SELECT count(*) FROM machine"
expect "are each of a machine of their own" [ "$(tail -n 1 out)" = 2 ]

# ---- the same id, other content ----
sed -i '2s/,PASS,/,CRASHED,/' copy/results.csv
fails 1 "was imported with other content from $work/runs/run-000003; with --replace" db import --db i.sqlite copy
expect "both folders are named" grep -qF "$work/copy: run" err
sed -i '2s/,PASS,/,CRASHED,/' runs/run-000004/results.csv
fails 1 'has changed since it was imported; with --replace' db import --db i.sqlite runs/run-000004
is "nothing of it" "SELECT count(*) FROM result WHERE verdict != 'PASS'" 0
nb db import --db i.sqlite --replace copy
expect "--replace: exit $rc" [ $rc = 0 ]
is "--replace took it" "SELECT count(*) FROM result WHERE verdict = 'CRASHED'" 1
is "and nothing of the old one stayed" "SELECT count(*) FROM result" 80

# ---- broken runs ----
"$make_runs" more runs=12 cells=2 kernels=2 seed=7
rm more/run-000000/results.csv
truncate -s -30 more/run-000001/results.csv
sed -i 's/"schema": 1/"schema": 2/' more/run-000002/plan.json
sed -i '3s/.*/"id" oops,/' more/run-000003/plan.json
awk -F, -v OFS=, 'FNR == 2 {$20 = $21 = $22 = "1e308"} 1' more/run-000004/results.csv >r && mv r more/run-000004/results.csv
sed -i '2s/,\([0-9.]*\),\([0-9.]*\),\([0-9.]*\),/,-\1,\2,\3,/' more/run-000005/speedup.csv
sed -i '2s/,layernorm,/,batchnorm,/;2s/,rmsnorm,/,batchnorm,/' more/run-000006/results.csv
sed -i 's/2025-01-01T07/tomorrow at 7/' more/run-000007/host.json
sed -n 2p more/run-000008/results.csv >>more/run-000008/results.csv
mkdir more/none
nb db import --db i.sqlite more nowhere runs/run-000000/host.json more/none
expect "the rest is imported, exit 1: $rc" [ $rc = 1 ]
expect "three came in, twelve are told" grep -qF '3 runs imported (12 results, 6 speedups), 12 failed' out
for n in 0 1 2 3 4 5 6 7 8; do
    expect "run $n is told by its folder" grep -q "run-00000$n" err
done
expect "why: 1e308" grep -qE 'run-000004/results.csv:2: .* below 1e15' err
expect "why: contradiction" grep -qE 'run-000006: results.csv:2: the kernel .* has op batchnorm here, and rmsnorm' err
expect "why: no time" grep -q 'before.time is "tomorrow at 7' err
expect "why: no folder" grep -q 'nowhere: No such file' err
expect "why: a file" grep -q 'host.json is a file' err
expect "why: no run" grep -q 'more/none is no run folder' err
is "nothing of broken runs" "SELECT count(*) FROM run" 8
is "each run is whole" "SELECT count(*) FROM run WHERE (SELECT count(*) FROM result WHERE run = run.id) NOT IN (4, 16)" 0

# ---- texts that want to be more ----
"$make_runs" evil runs=1 cells=1 kernels=2 seed=9
nasty="=cmd|' /C calc'!A0"$'\033'"[2J'); DROP TABLE run; --\`<script>%s\u202e"
printf '%s' "$nasty" >nasty
jq --rawfile t nasty '.host = $t | .cpu.model = $t | .git = $t | .compiler = $t' evil/run-000000/host.json >h && mv h evil/run-000000/host.json
jq --rawfile t nasty '.preset = $t | .id = $t' evil/run-000000/plan.json >p && mv p evil/run-000000/plan.json
awk -F, -v OFS=, -v t="$(sed 's/"/""/g;s/\\/\\\\/g' nasty)" 'FNR > 1 {$2 = "\"" t "\""; $13 = "\"" t "\""} 1' evil/run-000000/results.csv | head -2 >r && mv r evil/run-000000/results.csv
nb db import --db i.sqlite evil
expect "hostile texts are data: exit $rc" [ $rc = 0 ]
expect "no escape on the terminal (import)" [ "$(cat out err | grep -c $'\033')" = 0 ]
is "the tables are there" "SELECT count(*) FROM run" 9
for form in '' --csv --json; do
    # shellcheck disable=SC2086
    nb db list --db i.sqlite $form
    expect "list $form: exit $rc" [ $rc = 0 ]
    expect "list $form: no escape" [ "$(grep -c $'\033' out)" = 0 ]
    # shellcheck disable=SC2086
    nb db sql --db i.sqlite $form "SELECT host, cpu FROM machine WHERE host LIKE '=%'"
    expect "sql $form: no escape" [ "$(grep -c $'\033' out)" = 0 ]
    [ "$form" != --csv ] || expect "no formula" [ "$(grep -cE '(^|,)"?=' out)" = 0 ]
    [ "$form" != --json ] || expect "JSON keeps it as it is" [ "$(jq -r '.[0].host' out)" = "$nasty" ]
done

# ---- usage, files that are no index ----
cp -r runs/run-000000 fifo && rm fifo/host.json && mkfifo fifo/host.json
fails 1 'host.json:1: Operation not supported' db import --db fifo.sqlite fifo
fails 1 'known: import, list, sql, schema' db lisst
fails 1 'a word is missing' db
fails 1 'which runs?' db import --db i.sqlite
fails 1 'normbench db import DIR' db list --db none.sqlite
fails 1 'is no SQLite database' db list --db runs/run-000000/host.json
fails 1 'exclude each other' db list --db i.sqlite --csv --json
fails 1 'unexpected word' db list --db i.sqlite all
fails 1 'put it in quotes' db sql --db i.sqlite SELECT 1
fails 1 'unable to open database file' db import --db nowhere/i.sqlite runs
fails 1 'only read here' db sql --db i.sqlite 'DELETE FROM run'
for sub in import list sql schema; do
    nb db $sub --help
    expect "db $sub --help: exit $rc" [ $rc = 0 ]
done
printf '\0\0\0\143' | dd of=i.sqlite bs=1 seek=60 conv=notrunc 2>/dev/null
fails 1 'has version 99, this program knows up to' db import --db i.sqlite runs

# ---- killed ----
"$make_runs" many runs=60 cells=100 kernels=4
killed=0
if (ulimit -f 100 && trap '' XFSZ && "$normbench" db import --quiet --db full.sqlite many >out 2>err); then
    expect "a file that cannot grow is an error" false
else
    expect "a file that cannot grow: why is told" grep -qE 'full.sqlite: .*(full|has the disk room)' err
fi
for ms in 010 020 040 060 080 110 150 200 300; do
    "$normbench" db import --quiet --db k.sqlite many >out 2>err &
    pid=$!
    sleep 0.$ms
    kill -9 $pid 2>/dev/null && killed=$((killed + 1))
    wait $pid 2>/dev/null
    [ -s k.sqlite ] || continue
    "$normbench" db sql --db k.sqlite --csv "SELECT count(*) FROM run WHERE (SELECT count(*) FROM result WHERE run = run.id) != 400" >out 2>err ||
        grep -q 'is empty' err || expect "killed after $ms ms: it can be read" false
    grep -q 'is empty' err || expect "killed after $ms ms: each run is whole: $(tail -1 out)" [ "$(tail -1 out)" = 0 ]
done
expect "some were killed" [ $killed -gt 0 ]
stopped=0
for ms in 030 050 070 090 120 150 200 300; do
    rm -f t.sqlite
    "$normbench" db import --quiet --db t.sqlite many >out 2>err &
    pid=$!
    sleep 0.$ms
    kill -TERM $pid 2>/dev/null
    wait $pid
    [ $? = 130 ] && stopped=1 && break
done
expect "interrupted: exit 130" [ $stopped = 1 ]
expect "what was imported is kept, and said so" grep -qF 'interrupted; the runs imported so far are kept' err
nb db import --quiet --db k.sqlite many
expect "and the rest comes in: exit $rc" [ $rc = 0 ]
nb db sql --db k.sqlite --csv "SELECT count(*) FROM result"
expect "all is there" [ "$(tail -1 out)" = 24000 ]

# ---- one plan, several runs ----
"$make_runs" plan runs=1 cells=2 kernels=2 seed=9
cp -r plan/run-000000 plan/elsewhere && sed -i 's/"host": "[^"]*"/"host": "another"/' plan/elsewhere/host.json
cp -r plan/run-000000 plan/later && sed -i 's/"time": "20[0-9][0-9]/"time": "2031/' plan/later/host.json
nb db import --db plan.sqlite plan
expect "a plan that ran elsewhere, and again later: exit $rc" [ $rc = 0 ]
expect "each is a run of its own" [ "$("$normbench" db sql --db plan.sqlite --csv "SELECT count(*) FROM run" | tail -1)" = 3 ]
finish
