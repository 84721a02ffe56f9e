#!/bin/bash
# symbols_test.sh: no two libraries of the program define a function of one name: a linker would take the first and say nothing.
# usage: symbols_test.sh NM LIBRARY...
set -uo pipefail
nm=$1
shift
defined() { "$nm" --defined-only --extern-only --format=posix "$1" | awk '$2 ~ /^[TDBR]$/ { print $1 }' | sort -u; }
total=$(for library; do defined "$library"; done | wc -l)
twice=$(for library; do defined "$library"; done | sort | uniq -d)
echo "$total names in $# libraries"
[ -z "$twice" ] || echo "FAILED: defined in two libraries: $twice" >&2
[ "$total" -gt 100 ] && [ -z "$twice" ]
