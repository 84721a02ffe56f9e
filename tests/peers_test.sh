#!/bin/bash
# peers_test.sh: another library's kernels are checked and timed like ours, in the same table.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"

"$normbench" || exit 1
nb list kernels --json
peers=$(jq -r '.[]|select(.isa=="peer" and .runnable).name' out)
if [ -z "$peers" ]; then
    echo "skipped: no peer was built, or none runs on this CPU"
    exit 77
fi

# verdicts KERNEL: what the check lines in out say of it
verdicts() { jq -r --arg k "$1" 'select(.kernel==$k).verdict' out | sort -u | tr '\n' ' '; }
all_pass() {
    local k
    for k in $peers; do
        expect "$k: $(verdicts "$k")in: $*" [ "$(verdicts "$k")" = "PASS " ]
    done
}
check() { # OPTIONS...: every peer of the types asked for passes, in both directions
    nb check --kernel '*_twopass__f32_scalar' --op layernorm,rmsnorm --dir fwd,bwd --dtype f32,bf16,f16 --json --quiet "$@"
    all_pass "$@"
}
# another_gradient: peers that are refused for what they compute, which their adapter has asked them.
another_gradient() {
    nb check --kernel '*_twopass__f32_scalar' --op layernorm,rmsnorm --dir fwd,bwd --dtype f32,bf16,f16 --hidden 64 --rows 1 --json --quiet
    jq -r 'select(.verdict=="SKIP_OPTION" and (.reason|test("subtracts mean\\(g\\)"))).kernel' out | sort -u
}
for k in $(another_gradient); do
    echo "$k: refused, its gradient is another norm's"
    peers=$(grep -vx "$k" <<<"$peers")
done
check --hidden 1,17,64,768,1000,4096 --rows 8
check --hidden 63,129,16384 --rows 70
check --hidden 768 --rows 33 --stats yes --param-dtype f32
check --hidden 768 --rows 3 --threads all

nb run --kernel 'layernorm_*_twopass__*_scalar' --op layernorm,rmsnorm --dir fwd,bwd --dtype f32,bf16,f16 --hidden 768 --residency L1,cold \
    --processes 2 --rounds 2 --out run --quiet
expect "exit 0, not $rc" [ "$rc" = 0 ]
for k in $peers; do
    expect "$k has a time and an E in both cells" [ "$(awk -F, -v k="$k" 'NR==1{for(i=1;i<=NF;i++)c[$i]=i;next}
        $2==k && $c["verdict"]=="PASS" && $c["ns_per_row"]>0 && $c["E_max"]>0{n++} END{print n+0}' run/results.csv)" = 2 ]
done
for k in $peers; do
    expect "the time to create $k is told apart" jq -se --arg k "$k" '[.[]|select(.kernel==$k and .verdict=="PASS")]|
        length >= 2 and all(.prepare_first_ns > 0 and .prepare_ns > 0)' run/checks.jsonl >jq.out
done
expect "what prepares nothing has no such time" jq -se '[.[]|select(.prepare_ns)|.kernel]|all(test("_peer$"))' \
    run/checks.jsonl >jq.out
for dir in fwd bwd; do
    expect "ours is in the same cells" [ "$(grep -c ",layernorm_${dir}_twopass__f32_scalar," run/results.csv)" = 2 ]
done
finish
