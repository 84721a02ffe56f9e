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

# norms of columns: [1 2; 3 4] has means 2 and 3 and variances 1; in inference by what is given
npy zeros8.npy '<f8' '(2,)' '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'
npy ones8.npy '<f8' '(2,)' '\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\xf0\x3f'
npy two8.npy '<f8' '(2,)' '\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\0\x40'
npy less8.npy '<f8' '(2,)' '\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\xf0\xbf'
says 'y = -0.999995000037 -0.999995000037 0.999995000037 0.999995000037' --x x8.npy --op batchnorm
says 'y = 4.99996250025e-06 9.9999250005e-06 1.99999500004 3.99999000007' --x x8.npy --op batchnorm --gamma two8.npy --beta two8.npy
says 'y = 0.999995000037 1.99999000007 2.99998500011 3.99998000015' --x x8.npy --op batchnorm_infer --run-mean zeros8.npy \
    --run-var ones8.npy
says 'PASS' --x x8.npy --kernel 'batchnorm_fwd_*__f64_*' --gamma two8.npy --beta two8.npy
expect "each of them: $(grep -c ': PASS$' out)" [ "$(grep -c ': PASS$' out)" -ge 14 ]
says 'PASS' --x x8.npy --kernel batchnorm_fwd_twopass__f64_scalar --mean m8.npy --rstd r8.npy --y y8.npy
expect "a mean a column: 2 and 3" [ "$(tail -c 16 m8.npy | od -An -tf8 | xargs)" = "2 3" ]
expect "of that shape" grep -aq "'shape': (2,)" m8.npy
says 'max|y-ref| 0, over max|ref| 0' --x x8.npy --kernel batchnorm_fwd_twopass__f64_scalar --ref y8.npy
says 'SKIP_OPTION (needs --run-mean FILE and --run-var FILE)' --x x8.npy --kernel batchnorm_infer_fwd_naive__f64_scalar
# a factor of its own: tanh(0.5), tanh(1), ...; or another
says 'y = 0.46211715726 0.761594155956 0.905148253645 0.964027580076' --x row8.npy --op dyt
says 'y = 0.761594155956 0.964027580076 0.995054753687 0.999329299739' --x row8.npy --op dyt --alpha 1
# groups, heads and prefixes: those of `run`, or as they are asked for
says 'y = -0.9999800006 0.9999800006 -0.9999800006 0.9999800006' --x row8.npy --op groupnorm --groups 2
says 'y = 0.632454267126 1.26490853425 0.848527798013 1.13137039735' --x row8.npy --op qknorm --head 2
says 'y = 0.632454267126 1.26490853425 1.89736280138 2.52981706851' --x row8.npy --op prmsnorm --prefix 50%
says 'does not divide hidden' --x row8.npy --op groupnorm
says 'PASS' --x row8.npy --kernel groupnorm_fwd_twopass__f64_scalar --groups 2 --mean m8.npy
expect "a mean a group" [ "$(tail -c 16 m8.npy | od -An -tf8 | xargs)" = "1.5 3.5" ]

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
refuses 'batchnorm_infer needs --run-mean FILE and --run-var FILE' --x x8.npy --op batchnorm_infer
refuses '--run-var is missing' --x x8.npy --op batchnorm_infer --run-mean zeros8.npy
refuses 'less8.npy: element 1 is -1; with eps 1e-05 that is no variance' --x x8.npy --run-mean zeros8.npy --run-var less8.npy
refuses 'zeros8.npy: element 0 is 0; with eps 0 that is no variance' --x x8.npy --run-mean zeros8.npy --run-var zeros8.npy --eps 0
refuses 'row8.npy: holds 4 elements; expected 2' --x x8.npy --run-mean row8.npy --run-var ones8.npy
refuses 'holds f4; expected f8, as statistics of' --x row8.npy --run-mean x4.npy --run-var x4.npy
refuses '--rstd: batchnorm_infer makes none' --x x8.npy --kernel batchnorm_infer_fwd_naive__f64_scalar --run-mean zeros8.npy \
    --run-var ones8.npy --rstd r8.npy
refuses '--alpha: "half" is no finite number' --x x4.npy --op dyt --alpha half
refuses '--groups: one value; there is one tensor' --x x4.npy --op groupnorm --groups 1,2
refuses '--prefix: "2" is no share' --x x4.npy --op prmsnorm --prefix 2
refuses 'nowhere' --x x4.npy --kernel layernorm_fwd_twopass__f32_scalar --y nowhere/y.npy
finish
