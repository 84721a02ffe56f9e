#!/bin/bash
# eval_test.sh: `normbench eval` on a user's tensors: published digits, files written, words refused.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"

npy() { # file, descr, shape, data as printf escapes: format 1.0, 128 bytes of header
    printf '\x93NUMPY\x01\x00v\x00' >"$1"
    printf '%-117s\n' "{'descr': '$2', 'fortran_order': ${5:-False}, 'shape': $3, }" >>"$1"
    # shellcheck disable=SC2059 # the escapes are the data
    printf "$4" >>"$1"
}
one2four_f4='\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40'
one2four_f8='\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\0\x40\0\0\0\0\0\0\x08\x40\0\0\0\0\0\0\x10\x40'
npy x4.npy '<f4' '(4,)' "$one2four_f4"
npy x8.npy '<f8' '(2, 2)' "$one2four_f8"
npy row8.npy '<f8' '(4,)' "$one2four_f8"
npy bf.npy '<u2' '(4,)' '\x80\x3f\0\x40\x40\x40\x80\x40'

says() { # text, then arguments: exit 0 and the text on stdout
    local text=$1
    shift
    nb eval "$@"
    expect "exit 0, not $rc: $*" [ "$rc" = 0 ]
    expect "stdout says \"$text\": $*" grep -qF -- "$text" "$work/out"
}
# the worked examples of docs/numerics.md
says 'y = -1.34163541997 -0.447211806656 0.447211806656 1.34163541997' --x row8.npy
says 'y = 0.365148128238 0.730296256476 1.09544438471 1.46059251295' --x row8.npy --op rmsnorm
says 'y = 0.365148370337 0.730296740674 1.09544511101 1.46059348135' --x row8.npy --op rmsnorm --eps 1e-8 \
    --eps-mode outside
says 'y = -1.34163547 -0.447211802 0.447211802 1.34163547' --x x4.npy --kernel layernorm_fwd_f64acc__f32_scalar
says 'y = 0.365148127 0.730296254 1.09544444 1.46059251' --x x4.npy --kernel rmsnorm_fwd_f64acc__f32_scalar
says 'rmsnorm_fwd_onepass__bf16' --x bf.npy --dtype bf16 --op rmsnorm
says 'PASS' --x x8.npy --kernel '*__f64_scalar'
says 'PASS' --x x4.npy --gamma x4.npy --gemma --order cast_before

# what is written can be read, and is what was judged
says 'PASS' --x x4.npy --kernel layernorm_fwd_twopass__f32_scalar --y y.npy --mean m.npy --rstd r.npy
expect "y has x's shape and 16 bytes of data" [ "$(stat -c %s y.npy)" = 144 ]
expect "the mean is 2.5" [ "$(tail -c 4 m.npy | od -An -tf4 | tr -d ' ')" = 2.5 ]
expect "rstd is 0.894423613" [ "$(tail -c 4 r.npy | od -An -tf4 | cut -c1-16 | tr -d ' ' | cut -c1-8)" = 0.894423 ]
says 'max|y-ref| 0, over max|ref| 0' --x x4.npy --kernel layernorm_fwd_twopass__f32_scalar --ref y.npy


refuses() { # text, then arguments
    local text=$1
    shift
    fails 1 "$text" eval "$@"
}
npy big.npy '>f4' '(4,)' "$one2four_f4"
npy object.npy '|O' '(4,)' "$one2four_f4"
npy fortran.npy '<f4' '(2, 2)' "$one2four_f4" True
npy scalar.npy '<f4' '()' '\0\0\x80\x3f'
npy empty.npy '<f4' '(4, 0)' ''
npy short.npy '<f4' '(5,)' "$one2four_f4"
npy three.npy '<f4' '(3,)' '\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40'
echo garbage >garbage.npy
refuses '--x FILE is needed'
refuses 'garbage.npy' --x garbage.npy
refuses 'big.npy' --x big.npy
refuses 'object.npy' --x object.npy
refuses 'fortran.npy' --x fortran.npy
refuses 'scalar.npy' --x scalar.npy
refuses 'empty.npy' --x empty.npy
refuses 'short.npy' --x short.npy
refuses 'No such file' --x nowhere.npy
refuses 'say --dtype bf16' --x bf.npy
refuses '--dtype bf16 goes with u2' --x x4.npy --dtype bf16
refuses 'holds 3 elements; expected 4' --x x4.npy --gamma three.npy
refuses 'not of the shape' --x x4.npy --ref three.npy
refuses 'is no finite number' --x x4.npy --eps nan
refuses 'give --gamma' --x x4.npy --gemma
refuses '--y, --mean and --rstd take the output of one kernel' --x x4.npy --kernel '*' --y y.npy
refuses 'no f32 kernel that goes forward' --x x4.npy --kernel '*__f64_*'
refuses 'nowhere' --x x4.npy --kernel layernorm_fwd_twopass__f32_scalar --y nowhere/y.npy
finish
