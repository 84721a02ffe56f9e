#!/bin/bash
# plugin_test.sh: the README's lines for a kernel of one's own work, and a plugin that lies gets its verdict
# while the run goes on. $1: the program, $2: the source tree, $3: folder of the built tests/plugins,
# $4: the C compiler, $5: the build folder, $6: cmake.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"
source_dir=$2 lies=$3/liblies.so none=$3/libnone.so function=$3/libfunction.so build=$5 cmake=$6
export CC=$4
# a fault is a signal under a sanitizer, too
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}handle_segv=0"
column() { # CSV KERNEL COLUMN: of its first line
    awk -F, -v k="$2" -v n="$3" 'FNR==1{for(i=1;i<=NF;i++)c[$i]=i} $2==k{print $c[n]; exit}' "$1"
}

# ---- the README's own lines ----
mkdir -p tree/build tree/kernels tree/examples
cp -r "$source_dir/examples/plugin" tree/examples/
rm -f tree/examples/plugin/*.so
cp "$source_dir/kernels/nb_kernel.h" tree/kernels/
ln -s "$normbench" tree/build/normbench
sed -n '/^## A kernel of your own/,/^## /{/^```/,/^```/p}' "$source_dir/README.md" | grep -v '^```' >lines
expect "README.md has such lines" grep -q -- --plugin lines
while read -r line; do
    line=${line%%#*}
    [ -n "${line// /}" ] || continue
    (cd tree && bash -c "$line") >out 2>err
    expect "README: $line" [ $? = 0 ]
done <lines
run=$(find tree/results -mindepth 1 -maxdepth 1 -type d | head -1)
mine=rmsnorm_fwd_mine__f32_c
expect "the example passed" [ "$(column "$run/results.csv" $mine verdict)" = PASS ]
expect "and has a time" [ "$(column "$run/results.csv" $mine ns_per_row)" != null ]
expect "and no creation time, for it has no prepare" [ "$(column "$run/results.csv" $mine prepare_ns)" = null ]
expect "it is in the report" grep -q "$mine" "$run/report.md"
nb explain $mine --plugin tree/examples/plugin/rmsnorm_mine.so --hidden 64
expect "it is explained" grep -qE '^bound +rms; ' out
expect "with what is not known of it" grep -q "^formula *null: not this program's" out
sed -n 's/^check *normbench //p' out >line
# shellcheck disable=SC2046
eval "nb $(cat line)"
expect "and checked by the line that stands there: $(cat line)" [ "$rc" = 0 ]
for plot in bandwidth algorithms; do
    expect "and in $plot" grep -q " $mine\$" "$run/plots/$plot.dat"
done
expect "and in the legend" grep -q "$mine" "$run/plots/bandwidth.gp"
expect "it is timed in the rounds of ours" jq -e --arg k $mine '[.cells[].groups[]|select(.stage!="measure").members|map(.kernel)|select(index($k))]
    |all(map(test("^rmsnorm_fwd_.*avx|scalar|neon"))|any) and length > 0' "$run/plan.json" >jq.out
example=$work/tree/examples/plugin/rmsnorm_mine.so
expect "the build is short" [ "$(wc -l <tree/examples/plugin/Makefile)" -le 20 ]

# ---- installed ----
"$cmake" --install "$build" --prefix "$work/inst" >out 2>err
expect "installs" [ $? = 0 ]
cp -r inst/share/normbench/examples/plugin outside
rm -f outside/*.so
if command -v pkg-config >/dev/null; then
    PKG_CONFIG_PATH=$work/inst/share/pkgconfig make -C outside >out 2>err
    expect "the example builds against the installation" [ -s outside/rmsnorm_mine.so ]
    expect "with the header there" grep -q inst/share out
fi
normbench_here=$normbench
normbench=$work/inst/bin/normbench
nb list presets
expect "an installed program has presets" grep -q '^quick ' out
nb check --plugin "$example" --kernel none --hidden 100 --rows 10
expect "and takes the plugin: $rc" [ "$rc" = 0 ]
normbench=$normbench_here

# ---- files that are no plugins ----
refuses() { # TEXT FILE
    fails 1 "$1" list --plugin "$2"
    fails 1 "$1" check --plugin "$2" --hidden 64
}
refuses "No such file" ./missing.so
refuses "is no regular file" /dev/zero
refuses "is no regular file" "$work"
mkfifo fifo.so
refuses "is no regular file" ./fifo.so
: >empty.so
refuses "no ELF file" ./empty.so
echo 'int main;' >text.so
refuses "no ELF file" ./text.so
head -c 17 "$none" >short.so
refuses "cut off" ./short.so
head -c 600 "$none" >cut.so
refuses "is cut off: 600 bytes" ./cut.so
patch_byte() { # FILE OFFSET OCTAL
    cp "$none" "$1"
    printf "\\$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}
patch_byte riscv.so 18 363 # EM_RISCV
refuses "was built for riscv; this program runs on" ./riscv.so
patch_byte narrow.so 4 001
refuses "pointers of another width" ./narrow.so
patch_byte object.so 16 001
refuses "but an object file" ./object.so
refuses "exports no symbol nb_plugin" "$none"
refuses "no struct nb_kernel_table" "$function"
cp "$none" "$(printf 'bad\377.so')"
refuses "no UTF-8" "$(printf 'bad\377.so')"
fails 1 "given twice" list --plugin "$example" --plugin "$example"
fails 1 "No such file" run --plugin ./missing.so --hidden 64
fails 1 "No such file" accuracy --plugin ./missing.so
fails 1 "No such file" eval --plugin ./missing.so --x x.npy

# ---- lies of the descriptors: each is named, and its kernel never called ----
says() { # LIE TEXT: the file cannot be loaded
    LIE=$1 fails 1 "$2" list --plugin "$lies"
}
says wild_kernels "killed by signal"
says name_wild "killed by signal"
says load_crashes "killed by signal"
says load_exits "ended the process (exit code 0)"
says load_hangs "was not loaded within 10 s"
refused() { # LIE TEXT: the file is loaded, and its kernel is not run
    LIE=$1 nb list --plugin "$lies"
    expect "$1: list goes on, exit $rc" [ "$rc" = 0 ]
    expect "$1: list says why not" grep -q "^.*lies.*cannot run: .*" out
    expect "$1 is told: $2, not: $(cat err)" grep -qF -- "$2" err
}
refused abi "NB_KERNEL_ABI"
refused no_kernels "kernels is NULL"
refused count_0 "count is 0"
refused count_huge "count is 4294967295"
refused count_2 "of this name already"
refused sizes_differ "that of the first descriptor"
refused size_small "sizeof(struct nb_kernel)"
refused size_0 "sizeof(struct nb_kernel)"
refused name_null "kernels[0]: name is NULL"
refused name_markup "name may hold a-z"
refused name_other 'its name is "rmsnorm_fwd_lies__f32_c"'
refused name_ours "of this name already"
refused algo_null "algo is NULL"
refused isa_two_words "isa may hold"
refused trick_null "trick is NULL"
refused source_newline "source must be"
refused op_99 "op is 99"
refused op_other 'its name is "layernorm_fwd_lies'
refused dtype_99 "dtype is 99"
refused dtype_other 'its name is "rmsnorm_fwd_lies__f64_c"'
refused dir_99 "dir is 99"
refused dir_bwd "dir bwd"
refused fuse_99 "fuse is 99"
refused bound_nan "bound.c0 is"
refused bound_wide "bound.c0 is 1e+09"
refused bound_kind "bound.kind is 0"
refused groups_round "no bound of a groupnorm"
refused groups_rms "no bound of a groupnorm"
refused run_null "rmsnorm_fwd_lies__f32_c: run is NULL"
refused supports_null "supports is NULL"
refused prepare_null "finish without prepare"
refused x_reads_0 "x_reads is 0"
refused dy_reads_1 "dy_reads is 1; a pass forward reads no dy"
LIE=groups nb list --plugin "$lies"
expect "a groupnorm may be of two passes" grep -q groupnorm_fwd_lies__f32_c out
LIE=load_prints nb list --json --plugin "$lies"
expect "what a constructor prints is no output of ours" jq -e 'any(.origin == "plugin")' out

# ---- lies at run time: a verdict, and the others are checked ----
verdict() { # LIE VERDICT EXIT: the liar's, with one of ours beside it
    LIE=$1 nb check --plugin "$lies" --kernel rmsnorm_fwd_naive__f32_scalar --hidden 100 --rows 40 \
        --timeout 3s --json
    expect "$1: exit $3, not $rc" [ "$rc" = "$3" ]
    expect "$1 gets $2" [ "$(jq -r 'select(.kernel|test("_lies__")).verdict' out)" = "$2" ]
    expect "$1: ours passes" [ "$(jq -r 'select(.kernel|test("_naive__")).verdict' out)" = PASS ]
}
because() { # TEXT: the reason of the liar's verdict in out
    local is
    is=$(jq -r 'select(.kernel|test("_lies__")).reason' out)
    expect "because: $1, not: $is" [ "${is#*"$1"}" != "$is" ]
}
verdict run_null FAIL_ABI 2
because "run is NULL; it must be the function"
verdict bound_nan FAIL_ABI 2
because "bound.c0 is"
whole() { # LIE REASON: one line for what cannot be told apart, in cells of whatever op
    LIE=$1 nb check --plugin "$lies" --kernel layernorm_fwd_naive__f32_scalar --op layernorm --hidden 100 --rows 40 --json
    expect "$1: exit 2, not $rc" [ "$rc" = 2 ]
    expect "$1: one line of the file" [ "$(jq -r 'select(.kernel=="liblies__f32").verdict' out)" = FAIL_ABI ]
    expect "$1: because: $2" [ "$(jq -r --arg t "$2" 'select(.kernel=="liblies__f32").reason|contains($t)' out)" = true ]
    expect "$1: ours passes" [ "$(jq -r 'select(.kernel|test("_naive__")).verdict' out)" = PASS ]
}
whole abi "nb_plugin.abi is 2, this program's NB_KERNEL_ABI 1"
whole size_small "kernels[0]: size is"
whole size_0 "say sizeof(struct nb_kernel)"
whole op_99 'kernels[0] "rmsnorm_fwd_lies__f32_c": op is 99'
LIE=count_2 nb check --plugin "$lies" --kernel none --hidden 100 --rows 40 --json
expect "beside one that is wrong its right one passes" [ "$(jq -r 'select(.kernel|test("_lies__")).verdict' out)" = PASS ]
expect "and the wrong one has its verdict" [ "$(jq -r 'select(.kernel=="liblies__f32").verdict' out)" = FAIL_ABI ]
cp "$lies" ./liblies.so
LIE=abi nb check --plugin "$lies" --plugin ./liblies.so --kernel none --hidden 100 --rows 40 --json
expect "two files of one name are two" [ "$(jq -r 'select(.verdict=="FAIL_ABI").kernel' out | sort | xargs)" = "liblies_2__f32 liblies__f32" ]
verdict "" PASS 0
expect "its creation is timed" jq -es 'map(select(.kernel|test("_lies__")))|all(.prepare_first_ns > 0 and .prepare_ns > 0)' out
expect "ours has none" jq -es 'map(select(.kernel|test("_naive__")))|all(.prepare_ns == null)' out
verdict no_strides PASS 0
verdict prints PASS 0
verdict wrong FAIL_VALUE 2
verdict overruns FAIL_OOB_WRITE 2
because "the guard page just behind y"
verdict underruns FAIL_OOB_WRITE 2
because "bytes just before y were overwritten"
verdict changes_input FAIL_OOB_WRITE 2
because "wrote to x, which is an input"
verdict changes_gamma FAIL_OOB_WRITE 2
because "wrote to gamma, which is an input"
verdict crashes CRASHED 2
verdict exits CRASHED 2
verdict hangs TIMED_OUT 2
verdict supports_crashes CRASHED 2
verdict supports_hangs TIMED_OUT 2
verdict supports_nothing SKIP_OPTION 0
verdict supports_garbage SKIP_OPTION 0
verdict scratch_crashes CRASHED 2
verdict prepare_crashes CRASHED 2
verdict prepare_hangs TIMED_OUT 2
verdict prepare_fails SKIP_OPTION 0
verdict finish_crashes CRASHED 2

runs() { # LIE VERDICT EXIT [NAME]: a whole run with the liar in it
    local liar=${4:-rmsnorm_fwd_lies__f32_c}
    LIE=$1 nb run --plugin "$lies" --kernel rmsnorm_fwd_naive__f32_scalar --hidden 100 --rows 40 --timeout 3s \
        --processes 2 --rounds 2 --quiet --out "run-$1"
    expect "run $1: exit $3, not $rc" [ "$rc" = "$3" ]
    expect "run $1: the report names it" grep -q "$liar" "run-$1/report.md"
    expect "run $1: $2" [ "$(column "run-$1/results.csv" "$liar" verdict)" = "$2" ]
    expect "run $1: ours has a time" [ "$(column "run-$1/results.csv" rmsnorm_fwd_naive__f32_scalar ns_per_row)" != null ]
}
runs abi FAIL_ABI 2 liblies__f32
runs size_small FAIL_ABI 2 liblies__f32
runs run_null FAIL_ABI 2
expect "the reason is in the report" grep -q 'rmsnorm_fwd_lies__f32_c.*run is NULL' run-run_null/report.md
expect "no time of one that is not called" [ "$(column run-run_null/results.csv rmsnorm_fwd_lies__f32_c ns_per_row)" = null ]
LIE=abi nb run --resume run-abi --quiet
expect "such a run is continued: exit 2, not $rc" [ "$rc" = 2 ]
runs scratch_crashes CRASHED 2
runs changes_input FAIL_OOB_WRITE 2
runs changes_gamma FAIL_OOB_WRITE 2
runs overruns FAIL_OOB_WRITE 2
runs underruns FAIL_OOB_WRITE 2
expect "the reason is in the report" grep -q 'rmsnorm_fwd_lies__f32_c.*bytes just before y were overwritten' run-underruns/report.md
runs supports_hangs TIMED_OUT 2
runs crashes_late CRASHED 2
runs exits_late CRASHED 2
runs prints PASS 0
expect "creation time is in the report" grep -q "## Creation time" run-prints/report.md

# ---- accuracy and eval ----
LIE=supports_crashes nb accuracy --plugin "$lies" --kernel none --hidden 67 --dtype f32 --family 'sweep-*' --out acc --quiet
expect "accuracy survives it: $rc" [ "$rc" = 2 ]
expect "and gives the verdict" grep -q 'rmsnorm_fwd_lies__f32_c.*CRASHED' acc/accuracy.csv
LIE=run_null nb accuracy --plugin "$lies" --kernel none --hidden 67 --dtype f32 --family 'sweep-*' --out acc-null --quiet
expect "accuracy goes on beside what cannot be called: $rc" [ "$rc" = 2 ]
expect "and gives the verdict" grep -q 'rmsnorm_fwd_lies__f32_c.*FAIL_ABI' acc-null/accuracy.csv
printf '\223NUMPY\001\000\166\000%-117s\n' "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 4), }" >x.npy
printf '\000\000\200\077\000\000\000\100\000\000\100\100\000\000\200\100' >>x.npy
nb eval --x x.npy --plugin "$lies" --kernel '*_lies__*'
expect "eval runs it: $rc" [ "$rc" = 0 ]
expect "and judges it" grep -q 'rmsnorm_fwd_lies__f32_c: PASS' out
LIE=supports_crashes nb eval --x x.npy --plugin "$lies" --kernel '*_lies__*'
expect "eval survives it: $rc" [ "$rc" = 2 ]
LIE=abi nb eval --x x.npy --plugin "$lies"
expect "eval names a plugin that it cannot read: $rc" [ "$rc" = 2 ]
expect "and judges ours" grep -q 'layernorm_fwd_.*: PASS' out

# ---- a run that is continued ----
cp "$example" changing.so
start=(run --plugin ./changing.so --kernel rmsnorm_fwd_naive__f32_scalar --hidden 64 --rows 40 --processes 40 --rounds 8
    --quiet --out continued)
"$normbench" "${start[@]}" >out 2>err &
pid=$!
for _ in $(seq 600); do
    [ "$(grep -c '"done"' continued/samples.jsonl 2>/dev/null)" -ge 2 ] 2>/dev/null && break
    sleep 0.05
done
kill -9 $pid
wait $pid 2>/dev/null
expect "the plan names the plugin" jq -e --arg p "$work/changing.so" '.plugins[0]|.path == $p and (.hash|length) == 16' \
    continued/plan.json
cp changing.so kept.so
printf x >>changing.so
fails 1 "was changed since continued began" run --resume continued --quiet
fails 1 "other plugins" run --resume continued --quiet --plugin ./changing.so
fails 1 "--peers" run --resume continued --quiet --peers
cp kept.so changing.so
nb run --resume continued --quiet
expect "with the same file it goes on: $rc" [ "$rc" = 0 ]
expect "to its end" [ "$(column continued/results.csv $mine verdict)" = PASS ]

# ---- peers ----
nb run --peers --kernels headline --hidden 64 --rows 40 --processes 2 --rounds 2 --out peers
expect "--peers runs: $rc" [ "$rc" = 0 ]
expect "the plan says so" jq -e '.peers|length > 0' peers/plan.json
if ! jq -e '.peers|any(.version)' peers/plan.json >jq.out; then
    expect "and one line says how to get one" [ "$(grep -c '^--peers: .*apt-get install' err)" = 1 ]
fi
finish
