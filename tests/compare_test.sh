#!/bin/bash
# compare_test.sh: `normbench compare` on folders that are edited copies of one small run: what is told apart, what is marked, what is
# refused, and that nothing in a file does anything.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"

nb run --kernel 'layernorm_fwd_twopass__f32_scalar,rmsnorm_fwd_onepass__f32_scalar' --hidden 64,256 --residency L1,L2 --processes 6 --rounds 2 --out A --quiet
expect "a run to begin with: exit $rc" [ "$rc" = 0 ]

copy() { rm -rf "$2" && cp -r "$1" "$2"; }
edit() { jq "$2" "$1" >edited && mv edited "$1"; } # FILE FILTER
# field FILE LINE COLUMN VALUE: sets a cell that holds no comma
field() {
    awk -F, -v OFS=, -v line="$2" -v column="$3" -v value="$4" 'NR==1{for(i=1;i<=NF;i++)c[$i]=i} NR==line{$c[column]=value} {print}' "$1" >edited && mv edited "$1"
}
column() { awk -F, -v name="$1" 'NR==1{for(i=1;i<=NF;i++)c[$i]=i;next} {print $c[name]}' "$2"; }
# refused TEXT ARGS...: exit 1, that text, and no folder
refused() {
    local text=$1
    shift
    fails 1 "$text" compare "$@" --out refused
    expect "nothing is written: $*" [ ! -e refused ]
}

# ---- what is told apart ----
copy A B
nb compare A B --out same
expect "a run and its copy: exit $rc" [ "$rc" = 0 ]
expect "cells" [ "$(column statement same/compare.csv | wc -l)" = 16 ]
expect "no difference" [ "$(grep -cE ',(higher|lower),' same/compare.csv)" = 0 ]
expect "a copy is marked" grep -q 'a copy of the first run' same/compare.md
expect "both are numbered" grep -q ' \\#1 ' same/compare.md
expect "so are its machines on the terminal" grep -qE '^ +2 .* #2 ' out

field B/speedup.csv 2 speedup 9 && field B/speedup.csv 2 lo 8 && field B/speedup.csv 2 hi 10
nb compare A B --out differs
expect "one cell differs" [ "$(grep -c ',higher,' differs/compare.csv)" = 1 ]
expect "no other" [ "$(grep -c ',lower,' differs/compare.csv)" = 0 ]
expect "and is stated" grep -qE '^Against the first run, 8 statements: higher 1, lower 0, intervals overlap 7, too few processes 0' out
nb compare B A --out other
expect "the other way round it is lower" [ "$(grep -c ',lower,' other/compare.csv)" = 1 ]

nb compare A B --quantity roof,cycles,time,speedup --out all
expect "all quantities of one host: exit $rc" [ "$rc" = 0 ]
expect "times are shown" grep -q '^1,time,' all/compare.csv
expect "and carry no statement" [ "$(grep -E '^1,(time|cycles),' all/compare.csv | grep -cvE ',none,null,null,null$')" = 0 ]
expect "cycles need certificates" grep -qE '^1,cycles,.*,not-certified,' all/compare.csv
nb compare A B --cells '*-L1' --pairing best-of-each --out some
expect "cells can be chosen" [ "$(column statement some/compare.csv | wc -l)" = 4 ]

# ---- too few ----
for i in $(seq 2 24); do copy A "many$i"; done
nb compare A many* --out few --quiet
expect "184 statements of 6 processes each cannot be made" [ "$(grep -c ',too-few-processes,' few/compare.csv)" = 184 ]
expect "how many would do" grep -qE '8 a run would do' few/compare.md
nb compare A many* --pairing best-of-each --cells '*h64-*-L1' --out enough --quiet
expect "23 can" [ "$(grep -c ',overlap,' enough/compare.csv)" = 23 ]
copy A five && sed -i 's/,6,\(faster\|slower\|unresolved\)/,5,\1/' five/speedup.csv
nb compare A five --out five_out --quiet
expect "5 processes have no interval" [ "$(grep -c ',too-few-processes,' five_out/compare.csv)" = 8 ]
nb compare A five --samples --out five_samples --quiet
expect "but the samples have 6" [ "$(grep -c ',overlap,' five_samples/compare.csv)" -gt 0 ]

# ---- marks and names ----
copy A C
edit C/host.json '.kernel_sources="0000" | .compiler="clang 14" | .units.scalar="-O0" | .host="elsewhere" | .after=null | .cpu.model="Other CPU"'
edit C/plan.json '.seed=7 | .allow_weak=true'
nb compare A C --out marks
for mark in 'other kernel sources' 'other compiler' 'other compile flags (unit scalar)' 'other data (seed)' 'other rule of who may win' 'not finished'; do
    expect "marked: $mark" grep -qF "$mark" out
    expect "in compare.md too: $mark" grep -qF "$mark" marks/compare.md
done
expect "unlike CPUs need no numbers" [ "$(grep -cE ' \\#[12] ' marks/compare.md)" = 0 ]
expect "no host name unless asked" [ "$(grep -rc elsewhere marks/compare.md)" = 0 ]
edit C/host.json 'del(.kernel_sources)'
nb compare A C --names host --out byhost
expect "a hash that is not there is not known" grep -q 'kernel sources not known' byhost/compare.md
expect "host names where asked" grep -q elsewhere byhost/compare.md
nb compare A C --names folder --out byfolder
expect "folders where asked" grep -qE '^\| 2 \| C \|' byfolder/compare.md
refused 'never compared' A C --quantity time

# ---- refused ----
refused 'two run folders or more' A
refused 'given twice' A A
refused 'given twice' A B ./A
refused 'none of cpu, host, folder' A B --names name
refused 'none of speedup, roof, cycles, time' A B --quantity speed
refused 'no cell stands in two of these runs' A B --cells 'nowhere'
copy A D && rm D/results.csv
refused '1 of 3 folders cannot be compared' A D B
expect "and which: no table" grep -q 'D: no results.csv' err
copy A D && edit D/host.json '.schema=2'
refused '1 of 2 folders' A D
expect "which: a newer schema" grep -q 'use a newer normbench' err
copy A E && truncate -s -5 E/speedup.csv
refused '2 of 3 folders' A D E
expect "which: both" [ "$(grep -cE 'newer normbench|is cut off' err)" = 2 ]
refused '1 of 2 folders' A nowhere
for value in 1e308 -3 nan inf word 0; do
    copy A D && field D/speedup.csv 2 speedup "$value"
    refused '1 of 2 folders' A D
    expect "$value: file and line" grep -q 'D/speedup.csv:2: speedup' err
done
copy A D && field D/speedup.csv 2 processes 20000
refused '1 of 2 folders' A D
expect "too many processes: file and line" grep -q 'D/speedup.csv:2: processes is above 10000' err
copy A D && awk '{print} /"type":"(begin|round|done)"/ && /"process":0[,}]/ {line[n++] = $0}
    END {for (p = 100; p < 10200; p++) for (i = 0; i < n; i++) {s = line[i]; sub(/"process":0/, "\"process\":" p, s); print s}}' A/samples.jsonl >D/samples.jsonl
fails 1 'the cell has more than 10000 processes' compare A D --samples
copy A D && rm D/results.csv && ln -s /dev/zero D/results.csv
refused '1 of 2 folders' A D
copy A D && field D/results.csv 3 ns_per_row -1
refused '1 of 2 folders' A D
copy A D && field D/speedup.csv 2 lo 100 && field D/speedup.csv 2 hi 100
refused '1 of 2 folders' A D
copy A D && sed -i '2p' D/results.csv
refused '1 of 2 folders' A D
expect "a line twice" grep -q 'both are about' err
mkdir there && echo mine >there/compare.md
fails 1 'exists already' compare A B --out there
expect "and stays as it was" [ "$(cat there/compare.md)" = mine ]
fails 1 '' compare A B --out nowhere/deep
expect "no folder is made for it" [ ! -e nowhere ]

# ---- what a file says does nothing ----
hostile=$'<script>alert(1)</script>\'"`|touch pwned|$(touch pwned)\\\n\033]0;pwned\007\u202E%s%n[x](http://x)# =cmd'
copy A H
jq --arg h "$hostile" '.cpu.model=$h | .host=("=2+5"+$h) | .compiler=$h | .git=$h | .before.time=$h | .version=$h | .units={($h):$h} | .kernel_sources=$h | .os.kernel=$h' A/host.json >H/host.json
jq --arg h "$hostile" '.id=$h | .preset=$h | .command=$h | .plugins=[$h] | .tune={"path":$h}' A/plan.json >H/plan.json
nasty='<b>x`|$(touch pwned)'
for file in results speedup; do # in every field of text
    awk -F, -v OFS=, -v n="$nasty" 'NR==1{for(i=1;i<=NF;i++)c[$i]=i;print;next} {split("kernel op base_op test_op dir fuse algo isa trick source param_dtype cell pairing base_kernel test_kernel verdict roof",names," ");
        for(k in names) if(names[k] in c) $c[names[k]]=$c[names[k]] n; print}' A/$file.csv >H/$file.csv
done
copy H I
for names in cpu host folder; do
    nb compare H I A --names $names --out "hostile_$names"
    expect "hostile strings, by $names: exit $rc" [ "$rc" = 0 ]
    expect "nothing ran" [ -z "$(find . -name 'pwned*')" ]
    expect "no escape on the terminal" [ "$(LC_ALL=C grep -cP '[\x00-\x08\x0b-\x1f\x7f]|\xe2\x80\xae' out)" = 0 ]
    expect "no markup in Markdown" [ "$(grep -cE "<(script|b)>|(^|[^\\])\]\(http" "hostile_$names/compare.md")" = 0 ]
    expect "no lines of its own in Markdown" [ "$(grep -cE '^(\| )?1 \|' "hostile_$names/compare.md")" = "$(grep -cE '^(\| )?3 \|' "hostile_$names/compare.md")" ]
    expect "no formula in CSV" [ "$(grep -cE '(^|,)"?[=@]' "hostile_$names/compare.csv")" = 0 ]
done
if [ -e hostile_cpu/plots/compare.svg ]; then expect "gnuplot drew it as text" grep -q "script" hostile_cpu/plots/compare.svg; fi
expect "and no element of it" [ "$(grep -c '<script' hostile_cpu/plots/compare.svg)" = 0 ]

# ---- 100 machines ----
for i in $(seq 1 100); do copy A "pc$i" && edit "pc$i/host.json" ".cpu.model=\"CPU $((i % 60))\""; done
begin=$(date +%s%N)
nb compare pc* --out hundred --quiet
took=$((($(date +%s%N) - begin) / 1000000))
expect "100 machines: exit $rc" [ "$rc" = 0 ]
echo "100 machines of $(($(wc -l <A/results.csv) - 1)) lines each took $took ms"
expect "in less than 5 s: $took ms" [ $took -lt 5000 ]
finish
