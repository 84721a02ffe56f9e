#!/bin/bash
# counters_run_test.sh: the whole way of counters through a run, with and without something to count. Where no PMU
# is, stand-ins for hardware events (PAPI presets over software events) fill every column, marked as uncertified.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"
small=(--kernels headline --dtype f32 --hidden 64 --residency L1 --processes 3 --rounds 2 --quiet)
unset NB_COUNTERS_BANDS PAPI_CSV_EVENT_FILE NB_PAPI
columns=(core_cycles_per_elem instructions_per_elem l1d_misses_per_row l2_misses_per_row llc_misses_per_row
    dtlb_misses_per_row branch_misses_per_row loads_per_elem ipc bytes_per_cycle dram_bytes_per_row dram_over_model
    dram_over_model_allocate)
hardware='["cycles","instructions","loads","l1d_misses","l2_misses","llc_misses","dtlb_misses","branch_misses"]'

# every DIR CONDITION: of each timed row, where v is the value of each of the columns and c the row by column names
every() {
    awk -F, -v names="${columns[*]}" 'NR==1{for(i=1;i<=NF;i++)at[$i]=i;n=split(names,name," ");next}
        {rows++; for(k=1;k<=n;k++){if(!(name[k] in at))exit 1; v=$(at[name[k]]); if(!('"$2"'))exit 1}}
        END{if(!rows)exit 1}' "$1/results.csv"
}

# as this machine is
nb run "${small[@]}" --out plain
expect "exit 0, not $rc" [ "$rc" = 0 ]
expect "bands hold" jq -e '.papi.bands == "hold" and (.papi.loops | length > 0)' plain/host.json >jq.out
expect "every event has a source with a certificate, or a reason and a way to be had" jq -e '.papi.events |
    length == 12 and all(if .source then .certificate.verdict == "certified"
        else (.reason | length > 0) and (.remedy | length > 0) end)' plain/host.json >jq.out
expect "a certificate says what was seen, inside its band" jq -e '[.papi.events[] | select(.source) | .certificate] |
    all((.loop | length > 0) and .seen >= .lo * .expected and .seen <= .hi * .expected)' plain/host.json >jq.out
expect "processes that count prove it for themselves" jq -se '[.[] | select(.type == "certificates")] |
    length == 2 and all(.papi.bands == "hold" and (.papi.events | length == 12))' plain/samples.jsonl >jq.out
expect "counts say that bands held" jq -se '[.[] | select(.type == "counters")] |
    length > 0 and all(.bands == "hold")' plain/samples.jsonl >jq.out
expect "nothing is uncertified" [ "$(grep -c uncertified plain/results.csv plain/report.md plain/host.json |
    grep -cv ':0$')" = 0 ]
if jq -e --argjson h "$hardware" '.papi.events as $e | $h | any($e[.].source)' plain/host.json >jq.out; then
    echo "this machine has a PMU"
    expect "rows are certified" every plain '$(at["counters"]) == "certified"'
else
    expect "without a PMU every figure is null" every plain 'v == "null" && $(at["counters"]) == "null"'
    expect "and names what it lacks" every plain \
        '$(at["counters_missing"]) == "cycles|instructions|l1d_misses|l2_misses|llc_misses|dtlb_misses|branch_misses|loads"'
    expect "the report gives the reason" grep -q '^- no cycles, instructions, .*, loads: .' plain/report.md
fi
nb doctor
for event in $(jq -r '.papi.events | to_entries[] | select(.value.source) | .key' plain/host.json); do
    expect "doctor shows the certificate of $event" grep -q "^  $event  *[^ ].*" out
done
expect "doctor shows figures, or how they could be had" grep -qE 'certified: seen|to have ' out

# an unknown word is no switch
NB_COUNTERS_BANDS=wide fails 1 'NB_COUNTERS_BANDS: unknown word "wide"; known: off' doctor

# stand-ins: presets of PAPI, by the name of each event table it has here, over the kernel's task clock
tables=$(jq -r '.papi.state | capture("event tables:(?<t>[^;]*)").t // ""' plain/host.json | tr ' ' '\n' |
    grep -vx -e perf -e perf_raw -e '')
if [ -z "$tables" ]; then
    echo "skipped: this PAPI has no event table of the CPU to hang presets on: $(jq -r .papi.state plain/host.json)"
    finish
fi
{
    for table in $tables; do echo "CPU,$table"; done
    for preset in TOT_CYC TOT_INS LD_INS L1_DCM L2_DCM L3_TCM TLB_DM BR_MSP; do
        echo "PRESET,PAPI_$preset,NOT_DERIVED,perf::TASK-CLOCK"
    done
} >presets.csv
export PAPI_CSV_EVENT_FILE=$work/presets.csv

# they lose against the bands, each with the figure that was seen
nb doctor
expect "doctor exits 0, not $rc" [ "$rc" = 0 ]
nb run "${small[@]}" --out banded
expect "exit 0 with stand-ins, not $rc" [ "$rc" = 0 ]
expect "no stand-in keeps a certificate" jq -e --argjson h "$hardware" '.papi.events as $e | $h |
    all($e[.].source == null or ($e[.].source | contains("TASK-CLOCK") | not))' banded/host.json >jq.out
expect "and the figure seen is told" jq -e --argjson h "$hardware" '.papi.events as $e | $h |
    all($e[.].source != null or ($e[.].reason | contains(": counted ")))' banded/host.json >jq.out

# without bands they fill every column, and everything says what they are
export NB_COUNTERS_BANDS=off
nb run "${small[@]}" --threads 1,all --out off
expect "exit 0 without bands, not $rc" [ "$rc" = 0 ]
expect "the program warns" grep -q 'NB_COUNTERS_BANDS=off: .* uncertified' err
expect "every column is filled" every off 'v != "null" && v + 0 >= 0'
expect "derived ones too: task clock over task clock" every off \
    'name[k] != "ipc" || (v > 0.2 && v < 5)'
expect "every row is uncertified and lacks nothing" every off \
    '$(at["counters"]) == "uncertified" && $(at["counters_missing"]) == "none"'
expect "host.json has it" jq -e '.papi.bands == "off" and ([.papi.events[].certificate.verdict] |
    all(. != "certified"))' off/host.json >jq.out
expect "raw lines have it" jq -se '[.[] | select(.type == "counters")] | length > 0 and all(.bands == "off")' \
    off/samples.jsonl >jq.out
expect "the report opens its figures with it" grep -q '^\*\*UNCERTIFIED\*\*' off/report.md
nb doctor
expect "doctor has it as a finding" grep -q 'NB_COUNTERS_BANDS=off' out
expect "and at each event" grep -q 'uncertified: seen' out
unset NB_COUNTERS_BANDS PAPI_CSV_EVENT_FILE

# a report made later, by who knows of no switch, says it still; so does one of a mixed run
nb report off
expect "still uncertified" every off '$(at["counters"]) == "uncertified"'
expect "and the terminal says so" grep -q 'counters UNCERTIFIED' out
cp -r off mixed
for process in $(jq -s '[.[] | select(.type == "counters") | .process] | unique[]' off/samples.jsonl); do
    jq -c --argjson p "$process" 'if .type == "counters" and .process == $p then .bands = "hold" else . end' \
        off/samples.jsonl >mixed/samples.jsonl
    expect "process $process is another" [ "$(cmp -s off/samples.jsonl mixed/samples.jsonl; echo $?)" = 1 ]
    nb report mixed
    expect "one uncertified process beside $process is enough" every mixed '$(at["counters"]) == "uncertified"'
done

# a run of before certificates: figures stay readable, and are not certified
jq -c 'del(.bands) | select(.type != "certificates")' off/samples.jsonl >mixed/samples.jsonl
jq 'del(.papi.bands, .papi.loops, .caches.line) | .papi.events |= map_values(del(.certificate))' off/host.json >mixed/host.json
nb report mixed
expect "an older run is reported, not $rc" [ "$rc" = 0 ]
expect "its counts are there, without a certificate" every mixed \
    '$(at["counters"]) == "uncertified" && (name[k] ~ /^dram/ ? v == "null" : v != "null")'
expect "what lacks the cache line says so" every mixed '$(at["counters_missing"]) == "line"'
finish
