#!/bin/bash
# history_test.sh: kernels over commits. $1 the program, $2 make_runs.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"
make_runs=$(readlink -f "$2")
nb db schema
if [ $rc = 1 ] && grep -q 'apt-get install libsqlite3-dev' err; then
    echo "skipped: this program was built without SQLite"
    exit 77
fi
# runs of machine 0 are those of even numbers: the change is its run 20 of 30
"$make_runs" runs runs=60 cells=8 kernels=4 machines=2 step=40:0.9
"$normbench" db import --quiet --db i.sqlite runs >out 2>err
expect "import" [ $? = 0 ]
kernel='rmsnorm_fwd_onepass__*_avx512' reference='layernorm_fwd_naive__*_scalar'

nb history --db i.sqlite --kernel "$kernel" --reference "$reference" --out h
expect "exit $rc, whatever is found" [ $rc = 0 ]
# column N of history.csv where a condition of awk holds
column() { awk -F, -v OFS=, "FNR > 1 && ($2) {print \$$1}" h/history.csv; }
expect "a series a kernel, cell, machine and measure" [ "$(awk -F, 'FNR > 1 {print $2, $3, $5, $7}' h/history.csv | sort -u | wc -l)" = 32 ]
expect "each of 30 runs" [ "$(awk -F, 'FNR > 1 {n[$2 $3 $5 $7]++} END {for (s in n) print n[s]}' h/history.csv | sort -u)" = 30 ]
expect "in the order of time" awk -F, 'FNR > 1 {s = $2 $3 $5 $7; if (s == old && $11 <= t) exit 1; old = s; t = $11}' h/history.csv
changes=$(column 11 '$18 != "null"' | sort | uniq -c | sed 's/^ *//')
expect "the step is found in each cell in L2, of both machines, at its run: $changes" \
    [ "$changes" = "8 2025-01-02T16:00:00Z" -o "$changes" = $'4 2025-01-02T16:00:00Z\n4 2025-01-02T17:00:00Z' ]
expect "and nowhere else" [ "$(column 5 '$18 != "null"' | grep -vc L2)" = 0 ]
expect "by its size" awk -F, 'FNR > 1 && $18 != "null" && ($18 < 0.88 || $18 > 0.92) {exit 1}' h/history.csv

# shares of the roof are those of the files; the quotient and its interval are formed of two
run=$(jq -r .id runs/run-000010/plan.json)
line() { awk -F, -v k="$1" '$2 == k && $17 == "L1"' runs/run-000010/results.csv | head -1; }
a=$(line rmsnorm_fwd_onepass__f32_avx512) b=$(line layernorm_fwd_naive__f32_scalar)
cell=$(cut -d, -f13 <<<"$a")
expect "share of the roof" [ "$(awk -F, -v r="$run" -v c="$cell" '$2 == "roof" && index($10, r "-") == 1 && $5 == c {print $13, $14, $15, $16}' h/history.csv)" = \
    "$(cut -d, -f25,39,40 <<<"$a" | tr , ' ') 0.992188" ]
expect "over the reference" [ "$(awk -F, -v r="$run" -v c="$cell" '$2 == "reference" && index($10, r "-") == 1 && $5 == c {print $13, $14, $15, $16}' h/history.csv)" = \
    "$(paste -d, <(echo "$a") <(echo "$b") | awk -F, '{n = NF / 2; printf "%.6g %.6g %.6g %.6g", $41 / $(n + 41), $42 / $(n + 43), $43 / $(n + 42), 0.984375}')" ]
expect "a picture" [ -s h/plots/history.svg -o ! -x "$(command -v gnuplot)" ]
expect "the same again gives the same bytes" sh -c "'$normbench' history --db i.sqlite --quiet --kernel '$kernel' --reference '$reference' --out again >/dev/null && diff -r h again"
fails 1 'exists already' history --db i.sqlite --kernel "$kernel" --out h

# ---- what is asked for ----
nb history --db i.sqlite --kernel "$kernel" --residency L2,L1 --dtype f32 --cpu 'Synthetic CPU 1*'
expect "filters: exit $rc, two series" [ "$(grep -c '^roof' out)" = 2 ]
fails 1 '--kernel GLOB is missing' history --db i.sqlite
fails 1 'none of the 8 kernels' history --db i.sqlite --kernel nothing
fails 1 '--dtype: the index has no "f99"; it has: ' history --db i.sqlite --kernel '*' --dtype f32,f99
fails 1 '--residency: the index has no "L9"' history --db i.sqlite --kernel '*' --residency L9
fails 1 'no cell in' history --db i.sqlite --kernel '*' --cell 'bwd*'
fails 1 'has no run that fits' history --db i.sqlite --kernel '*' --cpu 'Other*'
fails 1 'both are in' history --db i.sqlite --kernel "$kernel" --reference 'layernorm*'
fails 1 'no number from 0.002 to 0.5' history --db i.sqlite --kernel '*' --level 2
fails 1 'normbench db import DIR' history --db none.sqlite --kernel '*'
fails 1 'cannot make the folder' history --db i.sqlite --kernel "$kernel" --out no/where
fails 1 'unexpected word' history --db i.sqlite rmsnorm

# ---- never one series: other flags, other compilers; forced runs are left out ----
"$make_runs" other runs=20 cells=1 kernels=3
for n in 10 11 12 13 14; do sed -i 's/gcc 12.2.0/clang 14.0.6/' other/run-0000$n/host.json; done
for n in 15 16 17 18 19; do sed -i 's/mavx512f/mavx512f -mtune=native/' other/run-0000$n/host.json; done
sed -i 's/"tsc_hz"/&/; s/ "binary"/ "forced": ["busy"],&/' other/run-000000/host.json
sed -i 's/"time": "[^"]*"/"load1": 1/' other/run-000001/host.json
sed -i '2s/,PASS,/,CRASHED,/; 2s/\(,CRASHED,0\),[0-9.]*,[0-9.]*,[0-9.]*,/\1,null,null,null,/' other/run-000002/results.csv
awk -F, -v OFS=, 'FNR == 2 {$25 = $39 = $40 = $41 = $42 = $43 = "null"} 1' other/run-000002/results.csv >r && mv r other/run-000002/results.csv
sed -i '/layernorm_fwd_naive/d' other/run-000003/results.csv
nb db import --quiet --db o.sqlite other
expect "import: exit $rc" [ $rc = 0 ]
nb history --db o.sqlite --kernel "$kernel" --reference "$reference" --out o
expect "three series, of 8, 5 and 5 runs: $(grep -E '^(roof|reference)' out)" \
    [ "$(awk -F, 'FNR > 1 && $2 == "roof" {n[$8 $9]++} END {for (s in n) print n[s]}' o/history.csv | sort | tr '\n' ' ')" = "5 5 8 " ]
expect "the forced one is told" grep -q '1 forced run was left out' out
expect "the one without a time is told" grep -q '1 run has no time and was left out' out
expect "a crash is a gap with its reason" grep -qE '^1,roof,.*,null,null,null,null,null,null,null,CRASHED$' o/history.csv
expect "so is a missing reference" grep -qE '^1,reference,.*,null,null,null,null,null,null,null,no reference$' o/history.csv
expect "too few runs for a change" grep -q 'too few runs' out
nb history --db o.sqlite --kernel "$kernel" --forced
expect "--forced takes it" grep -qE '^roof .* 8  ' out

# ---- processes too few for an interval ----
"$make_runs" few runs=10 cells=1 kernels=4 processes=3
"$normbench" db import --quiet --db f.sqlite few >out 2>err
nb history --db f.sqlite --kernel "$kernel" --reference "$reference" --out f
expect "no interval: exit $rc, said so" grep -q 'no interval' out
expect "null, never a guess" [ "$(awk -F, 'FNR > 1 && ($14 != "null" || $15 != "null" || $16 != "null")' f/history.csv | wc -l)" = 0 ]

# ---- texts that want to be more ----
"$make_runs" evil runs=9 cells=1 kernels=3 seed=9
nasty="'\`system(\"touch gotcha\")\`=1+1|<b>"$'\033'"[2J%s\$(touch gotcha)\u202e@{x}"
printf '%s' "$nasty" >nasty
for d in evil/*; do
    jq --rawfile t nasty '.cpu.model = $t | .git = $t | .compiler = $t' "$d/host.json" >h.json && mv h.json "$d/host.json"
    jq --rawfile t nasty '.id += $t' "$d/plan.json" >p.json && mv p.json "$d/plan.json"
    awk -F, -v OFS=, -v t="$(sed 's/"/""/g;s/\\/\\\\/g' nasty)" 'FNR > 1 {$2 = "\"rms" t "\""; $13 = "\"" t "\""} 1' "$d/results.csv" | head -2 >r.csv && mv r.csv "$d/results.csv"
done
"$normbench" db import --quiet --db e.sqlite evil >out 2>err
expect "import of hostile texts" [ $? = 0 ]
nb history --db e.sqlite --kernel 'rms*' --out e
expect "hostile texts: exit $rc" [ $rc = 0 ]
expect "no escape anywhere but raw in CSV" [ "$(cat out err e/history.md e/plots/history.gp e/plots/history.svg 2>/dev/null | grep -c $'\033')" = 0 ]
expect "no direction of writing" [ "$(cat out err e/history.md e/plots/history.gp e/plots/history.svg 2>/dev/null | grep -c $'\u202e')" = 0 ]
expect "no HTML in Markdown" [ "$(sed 's/`[^`]*`//g' e/history.md | grep -c '<b>')" = 0 ]
expect "nothing was run" [ ! -e gotcha -a ! -e e/gotcha -a ! -e e/plots/gotcha ]
expect "a picture was drawn" [ -s e/plots/history.svg -o ! -x "$(command -v gnuplot)" ]
finish
