#!/bin/bash
# explain_test.sh: every kernel of this program can be explained, as text and as JSON; no row of
# harness/explain.def is missing; wrong words are refused with near names. $2: docs/numerics.md.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"
numerics=$(readlink -f "$2")

nb list --json
jq -r '.[].name' out >names
expect "there are kernels" [ -s names ]
nb explain '*' --json
expect "explain '*' --json exits 0, not $rc" [ "$rc" = 0 ]
mv out all.json
expect "JSON, one object a kernel" [ "$(jq -r .kernel all.json)" = "$(cat names)" ]
jq -r '.missing[]' all.json | sort -u >missing
expect "harness/explain.def lacks: $(paste -sd ' ' missing)" [ ! -s missing ]

# every WHAT CONDITION: holds for all objects, and the first that breaks it is named
every() {
    local broken
    broken=$(jq -r "select($2|not)|.kernel" all.json 2>jq.err | head -1)
    expect "$1 ($broken$(head -1 jq.err))" [ -z "$broken$(head -1 jq.err)" ]
}
every "formula, scans and source are there" \
    '(.formula | length > 0) and (.scans | length > 0) and (.source | length > 0)'
every "the last scan writes y, and one writes dx" 'if .dir == "bwd" then any(.scans[]; test("dx\\]")) else .scans[-1] | test("-> y\\]") end'
# tensors read and written: x and y; x, dy and dx; x, residual, h and y; x, residual and y
tensors='(if .dir == "bwd" or .fuse != "none" then 2 else 1 end) as $in | (if .fuse == "residual" then 2 else 1 end) as $out | .'
every "least bytes are those of the tensors" \
    "$tensors"' | .bytes_per_element.least == ($in + $out) * {"f32": 4, "f64": 8, "f16": 2, "bf16": 2}[.dtype]'
every "write-allocate adds y again, or stores stream" \
    "$tensors"' | .bytes_per_element | .write_allocate == .least * ($in + 2 * $out) / ($in + $out) or .write_allocate == .least'
every "only tricks spare the write-allocate" \
    '.bytes_per_element.write_allocate > .bytes_per_element.least or (.tricks | length > 0)'
every "loops move at least x and y" '.bytes_per_element | .loops >= .least'
every "an ordinary row is inside the bound" \
    '.bound.rows[0] | .family == "benign" and .hazard == "inside" and .likely <= .worst'
every "norms say how far their bound reaches" \
    '(.op != "layernorm" and .op != "rmsnorm") or .dir == "bwd" or (.bound.reach | has("offset") and has("outlier") and has("size"))'
every "null has a reason" \
    '(.worst_seen != null or (.worst_seen_reason | length > 0)) and (.vector_bits != null or (.code_reason | length > 0))'
every "every feature has a name" 'all(.needs[]; test("without words") | not)'
every "what cannot run says why" '.runnable or (.reason | length > 0)'

# what the words say of memory is what the numbers say: [in, ... -> out, ...] is an access each, of a sum over rows two
words='def side: split(", ") | map(select(. != ""));
    def in: capture("^\\[(?<in>[^\\]]*)\\]").in | split(" -> ")[0] | side;
    def out: capture("^\\[(?<in>[^\\]]*)\\]").in | split(" -> ")[1] // "" | side;
    def count(f): [.scans[] | in[] | select(f)] | length;'
every "x and dy are read as often backward as the scans say" \
    "$words"' if .dir == "bwd" then .x_reads == count(. == "x" or . == "h") and .dy_reads == count(. == "dy") else true end'
every "unfused, every access of the scans is counted" \
    "$words"' if .algo == "unfused" and .dtype == "f32" and .op != "prmsnorm" then
    .bytes_per_element.loops / 4 == ([.scans[] | in[], out[] | select(. != "gamma" and . != "beta")] | length) +
        ([.scans[] | out[] | select(. == "dgamma" or . == "dbeta")] | length) else true end'
every "forward nothing of dy is told" '(.dir == "bwd") == (.dy_reads != null)'

# the numbers of known kernels
one() { jq -es --arg k "$1" ".[] | select(.kernel == \$k) | $2" all.json >jq.out; }
expect "two passes stand any offset" one layernorm_fwd_twopass__f32_scalar '.bound.reach.offset == null'
expect "one pass does not: k2 up to 1/sqrt(2u(3c+6))" one layernorm_fwd_onepass__f32_scalar \
    '.bound.reach.offset as $a | (1 / (2 * pow(2; -24) * (3 * .bound.c + 6)) | sqrt) as $k | $a > 0.97 * $k and $a < 1.03 * $k'
expect "a prefix sums its 64 elements alone" one prmsnorm_fwd_onepass__f32_scalar '.bound.n == 64 and .bound.c == 66'
expect "a group its 32" one groupnorm_fwd_twopass__f32_scalar '.bound.n == 32 and .bound.c == 34'
expect "rmsnorm leaves the range near 1.8e19/sqrt(n)" one rmsnorm_fwd_onepass__f32_scalar \
    '.bound.reach.size | . > 1e17 and . < 1e18'
expect "scaled does not" one rmsnorm_fwd_scaled__f32_scalar '.bound.reach.size == null'
expect "the record is read" one layernorm_fwd_twopass__f32_scalar \
    '.worst_seen.E > 0 and .worst_seen.share_of_bound <= 1 and (.worst_seen.family | length > 0)'
expect "unfused counts its temporaries" one layernorm_fwd_unfused__f32_scalar '.bytes_per_element.loops == 48'
expect "and backward, where t is used again after dx" one layernorm_bwd_unfused__f32_scalar \
    '.bytes_per_element.loops == (1 + 3 + 1 + 24) * 4 and (.scans | (map(test("-> dx\\]")) | index(true)) < (map(test("xhat, dy -> t")) | index(true)))'

# sources are quoted as docs/numerics.md has them
tr -s ' \n' '  ' <"$numerics" >flat
jq -r '.source' all.json | sort -u | grep -v '^textbook' | while read -r source; do
    grep -qF -- "$source" flat || echo "$source"
done >unknown
expect "docs/numerics.md has no: $(cat unknown)" [ ! -s unknown ]

# text, hidden, and its commands
nb explain layernorm_fwd_onepass__f32_scalar --hidden 16
expect "explain exits 0, not $rc" [ "$rc" = 0 ]
for word in formula scans bytes flops bound 'worst seen' code needs check measure judge source; do
    expect "text has: $word" grep -qE "^$word " out
done
expect "bounds are those of the hidden asked for" grep -q 'at n = 16;' out
check=$(sed -n 's/^check *normbench //p' out)
measure=$(sed -n 's/^measure *normbench //p' out)
judge=$(sed -n 's/^judge *normbench //p' out)
# shellcheck disable=SC2086 # words of a command
{
    nb $check
    expect "its check command works: $rc" [ "$rc" = 0 ]
    nb $judge --quiet
    expect "its judging command works: $rc" [ "$rc" = 0 ]
    nb $measure --residency L2 --processes 1 --rounds 1 --quiet --out measured
    expect "its measuring command works: $rc" [ "$rc" = 0 ]
    expect "and times the kernel" grep -q '^1,layernorm_fwd_onepass__f32_scalar,.*,PASS,' measured/results.csv
}

fails 1 'no kernel is called "layernorm_fwd_onepas__f32_scalar"; did you mean layernorm_fwd_onepass__f32_scalar,' \
    explain layernorm_fwd_onepas__f32_scalar
fails 1 'did you mean' explain ''
fails 1 'did you mean' explain "$(printf 'x%.0s' {1..5000})"
fails 1 'which kernel?' explain
nb explain groupnorm_fwd_twopass__f32_scalar --hidden 48
expect "a shape that it refuses is told" grep -q 'takes  *no rows of 48 elements: k, the number of groups, does not divide hidden' out
nb explain groupnorm_fwd_twopass__f32_scalar --hidden 64
expect "and none that it takes" [ "$(grep -c '^takes' out)" = 0 ]
nb explain groupnorm_fwd_twopass__f32_scalar --hidden 8
expect "where none shorter is taken, commands have a longer one" grep -q '^check .*--hidden 32$' out

# commands are of a length that the kernel takes, and words of a trick those of the kernel
every "commands have the hidden asked for, or one that is taken" \
    'if .hidden_reason == null then .commands.check | endswith("--hidden 1024") else .commands | (.check, .measure) | test("--hidden (512|[1-9][0-9]?[0-9]?)( |$)") end'
if jq -e 'select(.kernel == "layernorm_fwd_twopass__f32_avx512_rows4" and .runnable)' all.json >jq.out; then
    nb explain layernorm_fwd_twopass__f32_avx512_rows4
    # shellcheck disable=SC2046 # words of a command
    nb $(sed -n 's/^check *normbench //p' out)
    expect "the check of rows4 passes: $rc, $(tail -1 out)" [ "$rc$(grep -c SKIP out)" = 00 ]
fi
tricks() { jq -r --arg k "$1" --arg w "$2" 'select(.kernel | test($k)) | .tricks[] | select(.word == $w) | .does' all.json | sort -u; }
says() { # says PATTERN WORD TEXT: a trick's words of all these kernels
    expect "$2 of $1 says $3" [ -n "$(tricks "$1" "$2")" -a -z "$(tricks "$1" "$2" | grep -v -- "$3")" ]
}
never() { expect "$2 of $1 says nothing of $3" [ -n "$(tricks "$1" "$2")" -a -z "$(tricks "$1" "$2" | grep -- "$3")" ]; }
if grep -q avx2 names; then
    never '^affine_fwd' rows4 'sum'
    says '^(layernorm|rmsnorm)_fwd.*_rows4' rows4 '4 horizontal sums'
    says '^layernorm_bwd' rows4 dbeta
    never '^rmsnorm_bwd' rows4 dbeta
    never '^(l2norm|scalenorm)_' rows4 gamma
    never '_rows4_nt$' nt pipe
    never '_once_nt$' nt pipe
    never '^(scale|affine|dyt|triad)_' nt pipe
    says '^(layernorm|rmsnorm)_fwd_[a-z]*__f32_avx2_nt$' nt pipe
fi
nb explain 'copy_fwd_plain__f[36]*_scalar'
expect "patterns name several: $rc" [ "$rc$(grep -c '^formula ' out)" = 02 ]
fails 1 'no kernel is called "copy_bwd*"' explain 'copy_bwd*'
fails 1 'one name or pattern at a time' explain copy_fwd_plain__f32_scalar scale_fwd_plain__f32_scalar
fails 1 'not a whole number' explain copy_fwd_plain__f32_scalar --hidden 0
fails 1 'unrecognized option' explain copy_fwd_plain__f32_scalar --frobnicate
finish
