#!/bin/bash
# code_test.sh: what the build read from object files. $1 the program, $2 nb_inspect, $3 objdump, $4 an object
# whose loops are known (inspect_known.c), $5 sanitizers of this build.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"
inspect=$2 objdump=$3 known=$4 sanitize=${5:-}

# has NAME BITS LOOPS...: a function of the table and its loops, {instructions, bits, loaded, stored}
has() {
    local function
    function=$(grep -F "= {\"$1\"," table.inc)
    expect "$1: $2 bits and $(($# - 2)) inner loops, not: $function" grep -qE "\", [0-9]+, $2, $(($# - 2)), loops" <<<"$function"
    local loops="${function##*, }" want=
    shift 2
    want=$(printf '    {%s},\n' "$@")
    expect "its loops: $want" [ "$(sed -n "/ ${loops%\};}\[\]/,/^};/{/^    /p}" table.inc)" = "$want" ]
}
# leads NAME BITS FUNCTIONS: a kernel of the table
leads() {
    expect "$1: $2 bits, $3 functions with inner loops" grep -qE "^    \{\"$1\", $2, [0-9]+, $3," table.inc
}
"$inspect" table.inc "$objdump" "$known" 2>err
expect "nb_inspect exits 0" [ $? = 0 ]
has known_fwd_scalar__f32_x 0 "5, 0, 4, 0"
has known_fwd_nested__f32_x 256 "4, 256, 32, 0"
has known_fwd_outofline__f32_x 128 "7, 128, 16, 16"
has row_known 512 "3, 512, 64, 0"
has row_tail 0 "4, 0, 4, 4"
has known_fwd_table__f32_x 0 "3, 0, 0, 0" "2, 0, 0, 0"
has known_fwd_alias__f32_x 0 "5, 0, 4, 0"
leads known_fwd_scalar__f32_x 0 1
leads known_fwd_calls__f32_x 512 2
leads known_fwd_noloop__f32_x 0 0
leads known_fwd_twoways__f32_x 0 0

# without objdump, or with an object that is none, the table says so
printf '#!/bin/sh\nshift 4\n%s -tdrw -M intel "$@" | sed "s/:\t/: /"\n' "$objdump" >other
chmod +x other
# unread TOOL OBJECT
unread() {
    "$inspect" none.inc "$1" "$2" 2>err
    expect "$1: exit 0" [ $? = 0 ]
    expect "$1: says why nothing is known" grep -q 'why_not\[\] = "GNU objdump could not' none.inc
    expect "$1: names no kernel" [ "$(grep -c '^    {' none.inc)" = 1 ]
}
unread "$work/nowhere" "$known"
unread false "$known"
unread "$objdump" "$work/none.inc"
unread ./other "$known" # text of another tool is not guessed at

# the kernels of this program
nb list --json
# every WHAT SELECT CONDITION: there are such kernels, and the condition holds for all of them
every() {
    expect "$1" jq -e "[.[]|select($2)] | length > 0 and all($3)" out >jq.out
    jq -r ".[]|select($2)|select($3|not)|.name" out | head -3 >&2
}
every "every kernel's code is known" '.algo != "auto"' '.code_reason == null and (.inner_loops | length > 0)'
every "auto has no loop of its own" '.algo == "auto"' '.code_reason | test("hands over")'
every "scalar kernels have no vector instruction" '.isa == "scalar" and .algo != "auto"' '.vector_bits == 0'
if [ -z "$sanitize" ]; then # its units are compiled with -O1, and its checks keep loops from being vectorized and inlined
    every "avx2 kernels use 256 bits" '.isa == "avx2" and .algo != "auto"' '.vector_bits == 256'
    every "avx512 kernels use 512 bits" '(.isa | startswith("avx512")) and .algo != "auto"' '.vector_bits == 512'
    every "declared widths are found" '.vector_bits_declared > 0' '.vector_bits == .vector_bits_declared'
    every "every inner loop has instructions and moves bytes" '.algo != "auto"' \
        'all(.inner_loops[]; .instructions > 1 and .loaded + .stored > 0)'
    every "the compiler vectorizes the last loop of naive" \
        '(.isa | startswith("autovec")) and .dir == "fwd" and .algo == "naive" and .op != "dyt" and (.dtype == "f32" or .dtype == "f64") and (.op | startswith("batchnorm") | not)' \
        'any(.inner_loops[]; (.function | startswith("apply")) and .vector_bits >= 128 and .stored >= 16)'
    every "no call of the C library, but a tanh of our own, forward and backward" \
        '(.isa | startswith("autovec")) and .op == "dyt" and .algo == "expm1" and (.dtype == "f32" or .dtype == "f64")' \
        'any(.inner_loops[]; (.function | test("^dyt_(row|back_of)")) and .vector_bits >= 128 and .stored >= 16)'
    every "and may not reorder its sum" \
        '(.isa | startswith("autovec")) and .dir == "fwd" and .algo == "naive" and .op == "rmsnorm" and .dtype == "f32"' \
        'any(.inner_loops[]; (.function | startswith("row_squares")) and .instructions >= .loaded / 4)'
fi
nb list
expect "list shows the width" grep -qE 'layernorm_fwd_naive__f32_scalar +0 bit,( [0-9]+)+ +runs here' out
finish
