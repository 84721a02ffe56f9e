#!/bin/bash
# layering_test.sh: who may include whom (CONTRIBUTING.md). $1 is the root of the source tree.
set -uo pipefail
cd "$1" || exit 1
failures=0

# headers DIR: names of all headers of a folder
headers() { find "$1" -name '*.h' -o -name '*.inc' -o -name '*.def' | xargs -n 1 basename | sort -u; }

# forbid FOLDER FROM...: no file of FOLDER includes a header of another FROM
forbid() {
    local folder=$1 from name hits
    shift
    for from in "$@"; do
        for name in $(headers "$from"); do
            hits=$(grep -rlE "#include [<\"]([a-z_/]*/)?${name//./\\.}[>\"]" "$folder" --include='*.[ch]' --include='*.inc')
            [ -z "$hits" ] || { echo "FAILED: $hits includes $name of $from" >&2; failures=$((failures + 1)); }
        done
    done
}
forbid kernels harness reference inspect experiments court fleet page
forbid reference kernels harness inspect experiments court fleet page
forbid inspect kernels harness reference experiments court fleet page
forbid harness kernels/algo kernels/simd experiments
forbid experiments kernels/algo kernels/simd inspect court fleet page
forbid fleet kernels reference inspect experiments court page # it reads files of runs
forbid page kernels reference inspect experiments court fleet # it shows files of runs
forbid court kernels inspect fleet page # it judges what experiments observe, and calls no kernel itself
# of the harness the program's main alone knows the court, the fleet and the page
for name in $(headers court) $(headers fleet) $(headers page); do
    if grep -rln "#include \"${name//./\\.}\"" harness | grep -v '^harness/main\.c$'; then
        echo "FAILED: the harness includes $name" >&2
        failures=$((failures + 1))
    fi
done
# of harness/ an experiment knows errors and statistics alone
for name in $(headers harness | grep -vE '^(err|stats)\.h$'); do
    if grep -rn "#include \"${name//./\\.}\"" experiments; then
        echo "FAILED: an experiment includes $name" >&2
        failures=$((failures + 1))
    fi
done
# of kernels/ an adapter knows the contract alone
for name in $(find kernels -maxdepth 1 -name '*.h' ! -name nb_kernel.h -printf '%f\n'); do
    if grep -rn "#include \"\(.*/\)\?${name//./\\.}\"" kernels/peers; then
        echo "FAILED: an adapter includes $name" >&2
        failures=$((failures + 1))
    fi
done
[ "$(find . -path ./build\* -prune -o \( -name '*.cpp' -o -name '*.cc' \) -print | tr '\n' ' ')" = "./harness/gbench_shim.cpp " ] ||
    { echo "FAILED: C++ beside the shim" >&2; failures=$((failures + 1)); }
if grep -rnE 'ffast-math|funsafe-math' kernels cmake CMakeLists.txt harness reference --include='*.txt' --include='*.cmake' |
    grep -v ':[0-9]*: *#'; then
    echo "FAILED: fast-math" >&2
    failures=$((failures + 1))
fi
if grep -rnE '\b(fopen|printf|fprintf)\(' kernels --include='*.c' --include='*.inc' --include='*.h' ||
    grep -rnE '\b(malloc|calloc|realloc)\(' kernels --include='*.c' --include='*.inc' --include='*.h' --exclude-dir=peers; then
    echo "FAILED: a kernel allocates or does I/O" >&2
    failures=$((failures + 1))
fi
echo "$failures failures"
[ $failures = 0 ]
