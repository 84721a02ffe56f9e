#!/bin/bash
# conditions_test.sh: a disturbed unit is measured again, blind to its times, up to a share of the run.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"

# 4 cells in 2 + 6 processes: 32 units, of which at most 6 may be measured again
select_args=(--kernels headline --dtype f32 --hidden 64,65 --residency L1,L2 --processes 6 --rounds 2)
lines() { jq -c "select($2)" "$1/samples.jsonl" | wc -l; } # DIR FILTER
done_units() { jq -r 'select(.type=="done")|"\(.process) \(.cell)"' "$1/samples.jsonl" | sort; }
again='.type=="discard" and .cause=="conditions"'

# what a real unit tells
NB_TEST_CONDITIONS='' nb run "${select_args[@]:0:4}" --hidden 64 --residency L2 --processes 2 --rounds 2 --out real --quiet
expect "exit 0, not $rc" [ "$rc" = 0 ]
expect "every unit tells its conditions, or why not" jq -es 'map(select(.type=="done").conditions) | length >= 2 and all(
    .clock_before_ns > 0 and .clock_after_ns > 0 and .involuntary_switches >= 0 and .page_faults_major >= 0 and
    (.steal_ticks != null or (.unknown.steal_ticks | length > 0)) and .steal_ticks <= .cpu_ticks and
    (.migrations != null or (.unknown.migrations | length > 0)) and .invented == null)' real/samples.jsonl >jq.out

# quiet: nothing is measured twice, and the report says so
NB_TEST_CONDITIONS=none:0 nb run "${select_args[@]}" --out quiet
expect "exit 0, not $rc" [ "$rc" = 0 ]
expect "nothing is thrown away" [ "$(lines quiet '.type=="discard"')" = 0 ]
expect "the report counts none" grep -q "Of 32 units (a cell in a process) 0 were measured again\\." quiet/report.md
expect "the terminal does not speak of it" [ "$(grep -c '^units' out)" = 0 ]
expect "what was invented is marked" [ "$(lines quiet '.conditions.invented')" = 32 ]

# a few: each is measured again, its samples stay, and no kernel is blamed
for kind in clock steal migration; do
    NB_TEST_CONDITIONS=$kind:1 nb run "${select_args[@]}" --processes 4 --out few-$kind
    expect "$kind: exit 0, not $rc" [ "$rc" = 0 ]
    expect "$kind: as many as may be, and no more" [ "$(lines few-$kind "$again")" = 4 ]
    expect "$kind: the reason stands there" [ "$(lines few-$kind "$again and (.reason|length>0)")" = 4 ]
    expect "$kind: samples of what was thrown away stay" jq -es 'map(select(.type=="discard"))[0] as $d |
        any(.[]; .type=="round" and .process==$d.process and .cell==$d.cell and .attempt==$d.attempt)' \
        few-$kind/samples.jsonl >jq.out
    expect "$kind: each unit ends once" [ "$(done_units few-$kind | uniq -d)" = "" ]
    expect "$kind: all end" [ "$(done_units few-$kind | wc -l)" = 24 ]
    expect "$kind: no kernel is blamed" [ "$(jq -s '[.[]|select(.verdict!="PASS")]|length' few-$kind/checks.jsonl)" = 0 ]
    expect "$kind: the two above the share are kept and marked" \
        [ "$(lines few-$kind '.type=="done" and .kept=="share" and (.disturbed|length>0)')" = 2 ]
    expect "$kind: report.md counts both" grep -q "24 units (a cell in a process) 4 were measured again (.* 4); 2 kept although \
disturbed, because 20 % of all units" few-$kind/report.md
    expect "$kind: so does the terminal" grep -q "^units   4 of 24 measured again" out
    expect "$kind: nothing of it while the run goes on" [ "$(grep -ci 'disturbed\|again' err)" = 0 ]
done
expect "a report is a pure function of the files" cmp -s few-clock/report.md <(
    cp -r few-clock copy && "$normbench" report copy >/dev/null && cat copy/report.md)

# the same unit again and again: given up after three times, so that others have their share
NB_TEST_CONDITIONS=steal:4 nb run "${select_args[@]}" --out stubborn --quiet
expect "exit 0, not $rc" [ "$rc" = 0 ]
expect "no unit is thrown away more than three times" \
    [ "$(jq -r "select($again)|\"\(.process) \(.cell)\"" stubborn/samples.jsonl | sort | uniq -c | sort -rn | awk '{print $1; exit}')" = 3 ]
expect "then it is kept" [ "$(lines stubborn '.type=="done" and .kept=="tries"')" -ge 1 ]
expect "all together at most a fifth" [ "$(lines stubborn "$again")" = 6 ]
expect "all units end" [ "$(done_units stubborn | wc -l)" = 32 ]

# discarded screening samples choose no winner
expect "a choice is made all the same" jq -e '[.cells[].pairings[]|select(.pairing=="best-of-each")|.base]|all(.!=null)' \
    stubborn/plan.json >jq.out

# what was thrown away counts after --resume, too
head -n "$(grep -n '"discard"' stubborn/samples.jsonl | sed -n 5p | cut -d: -f1)" stubborn/samples.jsonl >first_part
cp -r stubborn resumed
cp first_part resumed/samples.jsonl
jq '.after = null' stubborn/host.json >resumed/host.json
NB_TEST_CONDITIONS=steal:4 nb run --resume resumed --quiet
expect "exit 0, not $rc" [ "$rc" = 0 ]
expect "before and after together a fifth" [ "$(lines resumed "$again")" = 6 ]
expect "all units end" [ "$(done_units resumed | wc -l)" = 32 ]
finish
