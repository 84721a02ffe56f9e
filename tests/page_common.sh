# shellcheck shell=bash disable=SC2034
# page_common.sh: folders for the tests of the page. Sourced before common.sh, which leaves the folder of the tests.

# Everything that a text could try: markup, quotes, formats, ends of elements, terminal escapes, turned writing, lines.
hostile=$'<script>alert(1)</script><img src=x onerror=alert(2)>"\'`%s%n|]]>--><!-- &lt;b&gt; =cmd()|x </table></svg></style></title>**b** [a](javascript:alert(3)) \e[31m\a\xe2\x80\xae\xe2\x81\xa6\n\t# h\n- i\xc3\xbc'

# poison FILE KEYS: hostile behind every text but those of these keys, which are words of the schema.
poison() {
    jq -c --arg h "$hostile" --arg keys "$2" '
        ($keys | split(" ")) as $words |
        walk(if type == "string" then . + $h else . end) |
        walk(if type == "object" then with_entries(if .key | IN($words[]) then .value |= (if type == "string" then rtrimstr($h) else . end)
                                                   else . end) else . end)' "$1" >"$1.new" && mv "$1.new" "$1"
}

words='type op base_op test_op role stage state pairing dir fuse verdict cause bands'
# poison_run DIR: names of kernels are keys in plan.json, too.
poison_run() {
    local file
    for file in host.json plan.json checks.jsonl samples.jsonl; do
        poison "$1/$file" "$words"
    done
    jq -c --arg h "$hostile" '.kernels |= with_entries(.key += $h)' "$1/plan.json" >plan.new && mv plan.new "$1/plan.json"
    jq -c --arg h "$hostile" '.cpu["key" + $h] = $h | .forced = [$h] | .settings.governor = null | .unknown = {"settings.governor": $h}' \
        "$1/host.json" >host.new && mv host.new "$1/host.json"
}

# accuracy_folder DIR, gate_folder DIR, claims_folder DIR: small ones.
accuracy_folder() {
    "$normbench" accuracy --hidden 16 --algo twopass,onepass --isa best --dtype f32 --family benign --out "$1" --quiet >accuracy.log 2>&1
}

gate_folder() {
    mkdir -p "$1"
    jq -n '{schema: 1, exit_code: 3, invalid: null, run: {command: "normbench gate --base old", preset: "gate", cpu: "a CPU", base: "normbench a",
        head: "normbench b", base_path: null, discarded_blocks: 1, forced: []}, layouts: true, control_found: true, aa_worst: 0.001,
        comparisons: [range(6) | {cell: "fwd-none-f32-h100-r40-t1-L2", kernel: "kernel\(.)", verdict: ["SLOWER", "FASTER", "UNCHANGED"][. % 3],
        reason: "", control: false, confirmed: true, ln_ratio: 0.05, lo: 0.03, hi: 0.07, margin: 0.01, mde: 0.02}]}' >"$1/gate.json"
}

claims_folder() {
    mkdir -p "$1"
    jq -n '{schema: 1, command: "normbench claims", version: "0.1.0", git: "abc", compiler: "gcc", cpu: "a CPU", effort: "quick", seconds: 1.5,
        interrupted: false, runs: [], claims: ["REPRODUCED", "REFUTED", "CONDITIONAL", "NOT RESOLVED", "NOT TESTABLE", "UNTRIED" | {id: "C\(.)",
        title: "a claim", statement: "said", source: "where", refuted_by: "what", why: "because", verdict: ., regime: "hidden=64", reason: null,
        repro: "normbench claims --id C", cells: {holds: 1, fails: 2, open: 3, missing: 4, lost: 0},
        tests: [{name: "t", quantity: "speedup", holds: ">= 1"}]}]}' >"$1/claims.json"
}
