#!/bin/bash
# quick_test.sh: the main job itself. Every kernel of the tables is checked, the files are complete, and
# speedups come from at least 8 processes.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"

begin=$SECONDS
nb run --preset quick --out run
echo "quick took $((SECONDS - begin)) s"
tail -n 2 err | grep harness
expect "exit 0, not $rc" [ "$rc" = 0 ]
for file in host.json plan.json checks.jsonl samples.jsonl results.csv speedup.csv gbench.json report.md \
    plots/{speedup_best,speedup_same,bandwidth,algorithms}.{svg,png,dat,gp}; do
    expect "$file is there and not empty" [ -s "run/$file" ]
done
"$normbench" list --json >list.json
# of the two norms forward, but reference lines in other forms than the plain one: they would take its time
runnable=$(jq -r '.[]|select(.runnable and .dir=="fwd" and .fuse=="none" and (.op | IN("layernorm","rmsnorm","copy","scale","affine"))).name' \
    list.json | grep -vE '^affine_.*_(rows4|nt)$' | sort -u)
expect "there are kernels" [ -n "$runnable" ]
# some are for short rows alone: the preset's long ones they refuse, short ones they must pass
jq -r 'select(.verdict=="SKIP_OPTION" and (.reason|test("for norms of at most"))).kernel' run/checks.jsonl | sort -u >short
nb check --kernel "$(paste -sd, short)" --isa all --dtype f32,f64,f16,bf16 --hidden 128 --json --quiet
expect "kernels for short rows pass there" [ "$(jq -r 'select(.verdict=="PASS").kernel' out | sort -u | comm -12 - short)" = \
    "$(cat short)" ]
expect "every runnable kernel was checked and passed" [ "$runnable" = \
    "$(jq -r 'select(.verdict=="PASS").kernel' run/checks.jsonl | cat - short | sort -u)" ]
if grep -q avx512bw /proc/cpuinfo; then
    expect "at least 208 with AVX-512" [ "$(echo "$runnable" | wc -l)" -ge 208 ]
fi
jq -r 'select(.verdict|test("^SKIP_")).kernel' run/checks.jsonl | sort -u >skipped
# shellcheck disable=SC2016 # awk's own
expect "speedups come from at least 8 processes" awk -F, 'NR==FNR{skipped[$1]=1;next}
    FNR==1{for(i=1;i<=NF;i++)c[$i]=i;next}
    $c["verdict"]=="not-measured" && $c["base_kernel"] in skipped {next}
    !($c["processes"]>=8 && $c["lo"]<=$c["hi"] && $c["confidence"]>=0.95){exit 1}' skipped run/speedup.csv
expect "no empty field" awk -F, '/,,|,$|^,/{exit 1}' run/results.csv run/speedup.csv
finish
