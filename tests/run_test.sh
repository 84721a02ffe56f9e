#!/bin/bash
# run_test.sh: a run leaves every file, valid; its report is a pure function of its raw files.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"

nb run --kernels pairings --dtype f32,bf16 --hidden 65,256 --residency L1,L2 --processes 6 --rounds 2 \
    --out run
expect "exit 0, not $rc" [ "$rc" = 0 ]
for file in host.json plan.json checks.jsonl samples.jsonl results.csv speedup.csv gbench.json report.md; do
    expect "$file is there and not empty" [ -s "run/$file" ]
done
for json in host.json plan.json gbench.json; do
    expect "$json is strict JSON" jq -e . "run/$json" >jq.out
done
for lines in checks.jsonl samples.jsonl; do
    expect "$lines holds one JSON object a line" [ "$(jq -c type "run/$lines" | sort -u)" = '"object"' ]
    expect "as many objects as lines" [ "$(jq -c . "run/$lines" | wc -l)" = "$(wc -l <"run/$lines")" ]
done
for plot in speedup_best speedup_same bandwidth algorithms roofline; do
    for kind in svg png dat gp; do
        expect "plots/$plot.$kind is there and not empty" [ -s "run/plots/$plot.$kind" ]
    done
done
expect "the plots are pictures" grep -q '<svg' run/plots/speedup_best.svg

header='schema,kernel,op,dir,fuse,algo,isa,trick,source,dtype,param_dtype,stats_out,cell,rows,hidden,threads,residency,verdict,unstable_rows,ns_per_row,ns_lo,ns_hi,gbps,roof,roof_ratio,ref_cycles_per_elem,core_cycles_per_elem,instructions_per_elem,l1d_misses_per_row,l2_misses_per_row,llc_misses_per_row,E_max,ulp_max,normwise,prepare_first_ns,prepare_ns,processes,rounds,roof_lo,roof_hi,scale_ratio,scale_lo,scale_hi,bytes_per_row,bytes_per_row_allocate,streams,flops_per_elem,offset,barrier_ns,in_place,dtlb_misses_per_row,branch_misses_per_row,loads_per_elem,ipc,bytes_per_cycle,dram_bytes_per_row,dram_over_model,dram_over_model_allocate,counters,counters_missing,k,repro'
expect "header of results.csv" [ "$(head -1 run/results.csv)" = "$header" ]
header='schema,base_op,test_op,dir,fuse,dtype,param_dtype,isa,threads,residency,rows,hidden,pairing,base_kernel,test_kernel,speedup,lo,hi,confidence,processes,verdict,in_place,mde,doubtful,base_k,test_k,repro'
expect "header of speedup.csv" [ "$(head -1 run/speedup.csv)" = "$header" ]
for csv in results speedup; do
    expect "no empty field in $csv.csv" awk -F, 'NR==1{n=NF} NF!=n{exit 1} /,,|,$|^,/{exit 1}' run/$csv.csv
done
expect "one line a comparison" [ "$(tail -n +2 run/results.csv | wc -l)" = \
    "$(jq '[.cells[].kernels|length]|add' run/plan.json)" ]
expect "every comparison was checked" [ "$(jq -r '[.cell,.kernel]|@tsv' run/checks.jsonl | sort -u | wc -l)" = \
    "$(tail -n +2 run/results.csv | wc -l)" ]
expect "every comparison passes and has a time" awk -F, 'NR==1{for(i=1;i<=NF;i++)c[$i]=i;next}
    $c["verdict"]!="PASS" || !($c["ns_per_row"]>0){exit 1}' run/results.csv
expect "every speedup has an interval around it" awk -F, 'NR==1{for(i=1;i<=NF;i++)c[$i]=i;next}
    !($c["lo"]<=$c["speedup"] && $c["speedup"]<=$c["hi"] && $c["processes"]>=6){exit 1}' run/speedup.csv
expect "both pairings are there" [ "$(tail -n +2 run/speedup.csv | cut -d, -f13 | sort -u | tr '\n' ' ')" = \
    "best-of-each same-algorithm " ]
expect "winners are named" jq -e '[.cells[].pairings[]|select(.pairing=="best-of-each")|.base,.test]|all(.!=null)' \
    run/plan.json >jq.out
expect "screening processes enter no ratio" [ "$(awk -F, 'NR==1{for(i=1;i<=NF;i++)c[$i]=i;next}
    {print $c["processes"]}' run/speedup.csv | sort -u)" = 6 ]
expect "missing counters have their reason" jq -e \
    '.papi.events | to_entries | all(.value.source != null or (.value.reason | length) > 0)' run/host.json >jq.out
expect "units of host.json tell the flags of each ISA" jq -e '.units | length >= 2' run/host.json >jq.out

# what the shell exports for other programs changes nothing: not the order, not the number of samples
BENCHMARK_ENABLE_RANDOM_INTERLEAVING=true BENCHMARK_FILTER=foo BENCHMARK_REPETITIONS=3 BENCHMARK_DRY_RUN=1 \
    OMP_NUM_THREADS=1 OMP_THREAD_LIMIT=1 OMP_DYNAMIC=true nb run --kernels headline --dtype f32 --hidden 64 \
    --residency L1 --threads all --processes 2 --rounds 2 --out exported --quiet
expect "exit 0 with variables of Google Benchmark and OpenMP set, not $rc" [ "$rc" = 0 ]
expect "every kernel has a time" awk -F, 'NR==1{for(i=1;i<=NF;i++)c[$i]=i;next}
    $c["verdict"]!="PASS" || !($c["ns_per_row"]>0){exit 1} END{if(NR<2)exit 1}' exported/results.csv

# the report alone, byte for byte
cp -r run before
rm -rf run/plots run/report.md run/results.csv run/speedup.csv run/gbench.json
nb report run
expect "report exits 0, not $rc" [ "$rc" = 0 ]
expect "report makes the same files again" diff -r -x '*.png' before run

# a folder of somebody else: what is written there goes through no link
cp -r run linked
echo mine >own && mkdir ours
ln -s "$PWD/own" linked/.report.md.part
nb report linked
expect "a link in the way is replaced: exit $rc" [ "$rc" = 0 ]
expect "what it leads to stays as it was" [ "$(cat own)" = mine ]
expect "and is not the report" [ ! -L linked/report.md ]
rm -r linked/plots && ln -s "$PWD/ours" linked/plots
fails 1 'nothing is written through a link' report linked
expect "nothing was" [ -z "$(ls ours)" ]

# medians by another road: ns_per_row of one kernel from the raw samples
cell=$(jq -r '.cells[0].id' run/plan.json)
kernel=$(jq -r '.cells[0].groups[0].members[0].kernel' run/plan.json)
passes=$(jq -r '.cells[0].groups[0].members[0].passes' run/plan.json)
rows=$(jq -r '.cells[0].rows' run/plan.json)
again=$(jq -rs --arg c "$cell" --argjson d "$passes" --argjson r "$rows" '
    def med: sort | if length % 2 == 1 then .[length/2|floor] else (.[length/2-1] + .[length/2]) / 2 end;
    [.[] | select(.type=="round" and .cell==$c and .group==0 and .process>=2)]
    | group_by(.process) | map(map(.ns[0]) | med) | med / $d / $r' run/samples.jsonl)
told=$(awk -F, -v k="$kernel" -v cell="$cell" 'NR==1{for(i=1;i<=NF;i++)c[$i]=i;next}
    $2==k && $c["cell"]==cell{print $c["ns_per_row"]}' run/results.csv)
expect "ns_per_row of $kernel: $told in the table, $again from the samples" \
    awk -v a="$told" -v b="$again" 'BEGIN{exit !(a > 0.9999 * b && a < 1.0001 * b)}'

# every kernel of the tables that this CPU runs was checked, at some odd size
ops=$("$normbench" list --json | jq -r 'map(.op)|unique|join(",")')
all="--op $ops --groups 3 --head 11 --isa all --dtype f32,f64,f16,bf16 --hidden 33 --rows 30"
for way in "--dir fwd,bwd" "--fuse residual,postnorm"; do
    # shellcheck disable=SC2086 # words of a command
    nb check $all $way --json
    expect "check $way exits 0, not $rc" [ "$rc" = 0 ]
    cat out >>checked
done
mv checked out
"$normbench" list --json >list.json
expect "list --json is an array with a reason for what cannot run" jq -e \
    'type == "array" and all(.runnable or (.reason | length > 0))' list.json >jq.out
expect "every runnable kernel was checked and passed" [ "$(jq -r 'select(.verdict=="PASS").kernel' out | sort -u)" = \
    "$(jq -r '.[]|select(.runnable).name' list.json | sort -u)" ]
if grep -q avx512bw /proc/cpuinfo; then
    expect "at least 208 of them with AVX-512" [ "$(jq '[.[]|select(.runnable)]|length' list.json)" -ge 208 ]
fi

# an ISA that is switched off is listed with the reason, and skipped
export NB_DISABLE_ISA=avx2,avx512
"$normbench" list isas --json >isas.json
expect "a disabled ISA says so" jq -e 'all(.[] | select(.name == "avx2"); .runnable | not)' isas.json >jq.out
nb check --kernel 'rmsnorm_fwd_onepass__f32_*' --hidden 33 --rows 30 --json
expect "skipped, not failed: $rc" [ "$rc" = 0 ]
if [ "$(uname -m)" = x86_64 ]; then
    expect "SKIP_ISA with a reason" jq -es 'any(.[]; .verdict == "SKIP_ISA" and (.reason | length > 0))' out >jq.out
fi
finish
