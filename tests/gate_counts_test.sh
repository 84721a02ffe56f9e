#!/bin/bash
# gate_counts_test.sh: scripts/gate on a copy of the sources. A comment changes no count; an instruction more in the
# loop of one kernel is found in that kernel, and in auto which runs it, and nowhere else. $1 the program (unused),
# $2 the source tree, which is only read.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"
source=$2
skip() {
    echo "skipped: $*"
    exit 77
}
for tool in valgrind git cmake; do
    command -v $tool >/dev/null || skip "no $tool"
done
[ -e /usr/include/valgrind/callgrind.h ] || skip "no valgrind/callgrind.h"
git -C "$source" rev-parse 2>/dev/null || skip "$source is no work tree of git, so its files cannot be told from built ones"
before=$(ls -A "$source")

# A repository of its own: what is there now, committed or not, with the ISAs that are counted and no others.
mkdir copy
git -C "$source" ls-files -z -co --exclude-standard --deduplicate | (cd "$source" && tar -c --null -T - --ignore-failed-read) 2>/dev/null |
    tar -x -C copy
sed -i '/autovec_/,/)$/d; /avx512/,/)$/d' copy/kernels/CMakeLists.txt
sed -i '/autovec_/d; /avx512/d' copy/kernels/isas.def
sed -i 's/-O3/-O1/' copy/cmake/isa.cmake # three builds of the kernels, of which no one asks speed
export HOME=$work GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=test GIT_AUTHOR_EMAIL=test@localhost \
    GIT_COMMITTER_NAME=test GIT_COMMITTER_EMAIL=test@localhost TMPDIR=$work/tmp
mkdir tmp
in_copy() { git -C copy "$@"; }
in_copy init -q
in_copy add -A
in_copy commit -qm base
expect "the copy builds two ISAs by hand and none by the compiler" [ "$(grep -c '^nb_isa' copy/kernels/CMakeLists.txt)" = 2 ]

# gate OPTIONS...: as nb
gate() {
    copy/scripts/gate "$@" >"$work/out" 2>"$work/err"
    rc=$?
}
kernels=(--counts --kernel 'rmsnorm_fwd_*' --dtype "f32,bf16" --hidden 100)
file=copy/kernels/algo/rmsnorm_fwd.inc

gate nonesuch --counts
expect "no such revision: exit 1, not $rc" [ "$rc" = 1 ]
expect "and says so" grep -q 'there is no revision "nonesuch"' err
gate --help
expect "--help: exit 0, not $rc" [ "$rc" = 0 ]

sed -i '1i /* A comment more. */' "$file"
gate HEAD "${kernels[@]}" --out comment
cat out
expect "a comment: exit 0, not $rc" [ "$rc" = 0 ]
expect "counted are some" jq -e '[.counts[] | select(.instructions > 0)] | length >= 20' comment/base.json >/dev/null
expect "a comment changes nothing" [ "$(jq -c '.counts' comment/base.json)" = "$(jq -c '.counts' comment/head.json)" ]
expect "all that is counted is identical" grep -qE '^[0-9]+ IDENTICAL(, [0-9]+ NOT_COUNTED)? of' out

# the f32 kernels of both ISAs: bf16 is left as it was by the type that the loop is for
sed -i '/^static void NB_FN(rmsnorm_fwd_onepass, )/,/^}/s|/ c.len;|& for (size_t i = 0; sizeof(elem) == 4 \&\& i < c.n; i++) __asm__ volatile("nop");|' "$file"
expect "the kernel was changed" [ "$(in_copy diff | grep -c '^+.*nop')" = 1 ]
built=$(stat -c %Y copy/build-gate/*/built)
gate HEAD "${kernels[@]}" --out more
cat out
expect "a slower kernel: exit 3, not $rc" [ "$rc" = 3 ]
expect "the base is not built again" [ "$(stat -c %Y copy/build-gate/*/built)" = "$built" ]
expect "it and auto that runs it have more, and nothing else differs" [ "$(awk '$1=="MORE"{print $2} /^ /&&$1!="MORE"{print}' out |
    sort)" = "$(printf '%s\n' rmsnorm_fwd_auto__f32_scalar rmsnorm_fwd_onepass__f32_{avx2,scalar})" ]
# of_row FILE KERNEL: its instructions
of_row() { jq -r --arg k "$2" '.counts[] | select(.kernel == $k).instructions' "$1"; }
for kernel in rmsnorm_fwd_onepass__f32_{avx2,scalar}; do
    expect "$kernel: one nop an element and what its loop takes" [ "$(($(of_row more/head.json "$kernel") - $(of_row more/base.json "$kernel")))" -ge 2700 ]
done
# shellcheck disable=SC2016 # no command
expect "counts.md names them" grep -qF '| MORE | `rmsnorm_fwd_onepass__f32_avx2` |' more/counts.md
gate HEAD "${kernels[@]}" --count-tolerance 1000 --quiet
expect "within a tolerance: exit 0, not $rc" [ "$rc" = 0 ]

# the base is of another build: other options of cmake, another folder
gate HEAD --counts --base-cmake '-DNB_NONE=1 -DCMAKE_C_COMPILER=/none/cc' "${kernels[@]}"
expect "a base that cannot be built: exit 1, not $rc" [ "$rc" = 1 ]

# killed in the middle of a build, with all that it started
setsid copy/scripts/gate HEAD --counts --base-cmake -DNB_NONE=2 >out 2>err &
pid=$!
for _ in {1..100}; do
    [ -z "$(ls -d tmp/*/tree 2>/dev/null)" ] || break
    sleep 0.1
done
expect "a checkout was made" [ "$(in_copy worktree list | wc -l)" = 2 ]
sleep 1
kill -TERM -- -$pid
wait $pid
rc=$?
expect "a signal: exit 130, not $rc" [ $rc = 130 ]

expect "no checkout is left" [ -z "$(ls -d tmp/*/tree 2>/dev/null)" ]
expect "nor known to git" [ "$(in_copy worktree list | wc -l)" = 1 ]
expect "nothing was built in the work tree" [ "$(ls -A "$source")" = "$before" ]
expect "and its git knows no checkout of ours" [ -z "$(git -C "$source" worktree list | grep -F "$work")" ]
finish
