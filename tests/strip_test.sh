#!/bin/bash
# strip_test.sh: a copy of a run that does not say whose machine it was. Names and paths are planted in every text of the raw files; none
# survives anywhere, and the figures are the same.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"
export HOME=/home/jdoe USER=jdoe LOGNAME=jdoe
HOST=gpu7.secret-lab.example

nb run --kernel 'layernorm_fwd_twopass__f32_scalar,rmsnorm_fwd_onepass__f32_scalar' --hidden 64,256 --residency L2 --processes 6 --rounds 2 --out A --quiet
expect "a run to begin with: exit $rc" [ "$rc" = 0 ]
jq --arg h $HOST '.host=$h' A/host.json >edited && mv edited A/host.json
copy() { rm -rf "$2" && cp -r "$1" "$2"; }
# without the columns that hold commands and names: ROW,ROW,... of figures
figures() { awk -F, 'NR==1{for(i=1;i<=NF;i++)if($i!~/repro|reason|^source$|kernel$|^cell$/)keep[i]=1} {s="";for(i=1;i<=NF;i++)if(i in keep)s=s "," $i;print s}' "$1"; }
raw() { (cd "$1" && sha256sum host.json plan.json checks.jsonl samples.jsonl); }

# ---- as it is ----
fails 1 'say --yes' strip A --out S </dev/null
expect "nothing is written without a yes" [ ! -e S ]
expect "but shown: what goes" grep -qF "\"$HOST\"" "$work/out"
expect "and what will be in" grep -qE 'samples.jsonl +[0-9.]+ KiB' "$work/out"
before=$(raw A)
nb strip A --out S --yes
expect "with a yes it is: exit $rc" [ "$rc" = 0 ]
expect "the run itself stays as it was" [ "$(raw A)" = "$before" ]
expect "the host has no name, and a reason" [ "$(jq -c '[.host, (.unknown.host|length > 0)]' S/host.json)" = '[null,true]' ]
expect "samples are those of the run, byte by byte" cmp -s A/samples.jsonl S/samples.jsonl
expect "so are the times" cmp -s A/results.csv S/results.csv
expect "and the speedups" cmp -s A/speedup.csv S/speedup.csv
expect "no digest: nobody resumes it" [ "$(jq 'has("digest")' S/plan.json)" = false ]
expect "gbench.json is left out" [ ! -e S/gbench.json ]
expect "pictures are made again" [ -e S/plots ]
expect "a page of facts" grep -q "^| CPU | " S/README.md
cpu=$(jq -r .cpu.model A/host.json)
expect "the CPU stays" [ "$(jq -r .cpu.model S/host.json)" = "$cpu" ]
expect "flags stay" [ "$(jq -c .units S/host.json)" = "$(jq -c .units A/host.json)" ]
nb strip S --out S2 --yes
expect "once more: nothing is left to do" [ "$(raw S)" = "$(raw S2)" ]
nb compare A S --out AS
expect "a stripped run compares with the other: exit $rc" [ "$rc" = 0 ]
fails 1 'never compared' compare A S --quantity time --out AT
fails 1 'another host name' run --resume S

# ---- names in every text ----
# Words of the program itself (verdicts, roles, types, numbers in names) stay what they are, or there would be no run; every other text
# gets a host name, a user name and paths.
cat >plant.jq <<'JQ'
def own: ["cell","verdict","role","type","kernel","isa","dtype","param_dtype","dir","fuse","residency","op","algo","stage","state","schema","id","pairing","base_op","test_op","base","test","hash","trick","bands","origin","repro","kernels"];
def planted: . + " on gpu7.secret-lab.example by jdoe in /home/jdoe/acme/x.so, '/home/jdoe/my files/y' --out ../jdoe-acme/z GPU7 (JDoe@secret-lab.example) \"/home/other/q\" /srv/private/w -I/home/jdoe/inc file:///home/jdoe/f //home/jdoe/g >/dev/shm/jdoe/h '--out=/home/al/Acme Corp/x' --out '/srv/O'\\''Brien/x' end";
def plant: if type == "object" then with_entries(.key as $k | if (own | index($k)) == null or $k == "repro" then .value |= plant else . end)
  elif type == "array" then map(plant) elif type == "string" then planted else . end;
JQ
copy A P
for f in host.json plan.json; do jq -L. 'include "plant"; plant' A/$f >P/$f; done
for f in checks.jsonl samples.jsonl; do jq -c -L. 'include "plant"; plant' A/$f >P/$f; done
# keys that are data: units, reasons of unknown facts, and a kernel of a plugin
jq '.units["/home/jdoe/acme/unit.c"]="-O2" | .unknown["jdoe.fact"]="gpu7" | .forced=["gpu7 was busy: /srv/private/w by jdoe"] | .host="gpu7.secret-lab.example"' P/host.json >edited && mv edited P/host.json
jq '.plugins=[{"path":"/home/jdoe/Acme Corp (two)/mine.so","hash":"12ab","kernels":["rmsnorm_fwd_onepass__f32_scalar"]}] | .tune={"path":"/home/jdoe/my.tune","hash":"34cd","choices":[]}
    | .kernels |= with_entries(.value.source="jdoe, unpublished")' P/plan.json >edited && mv edited P/plan.json
sed -i 's/rmsnorm_fwd_onepass__f32_scalar/rmsnorm_fwd_secret-lab_acme__f32_scalar/g' P/*.json P/*.jsonl
nb report P
expect "the planted run is one: exit $rc" [ "$rc" = 0 ]
survivors() { grep -rliaE 'jdoe|gpu7|secret-lab|acme|corp|brien|/home/|/srv/|/dev/shm' "$1"; }
expect "names are everywhere" [ "$(survivors P | wc -l)" -ge 6 ]
nb strip P --out Q --yes --remove acme
expect "it is stripped: exit $rc" [ "$rc" = 0 ]
expect "no name survives: $(survivors Q | tr '\n' ' ')" [ -z "$(survivors Q)" ]
expect "another user of whom there is a home is found, too" grep -q 'user name "other"' out
expect "the figures of results.csv are the same" [ "$(figures P/results.csv)" = "$(figures Q/results.csv)" ]
expect "the figures of speedup.csv are the same" [ "$(figures P/speedup.csv)" = "$(figures Q/speedup.csv)" ]
expect "these are figures" [ "$(figures Q/speedup.csv | wc -l)" -gt 2 ]
expect "what stands behind a path stays" [ "$(jq -r .compiler Q/host.json | grep -c "'--out=PATH' --out PATH end$")" = 1 ]
expect "a plugin is still known by its hash" [ "$(jq -r '.plugins[0].hash' Q/plan.json)" = 12ab ]

# ---- words that were asked for ----
jq '.compiler += " of the build farm"' A/host.json >edited && copy A W && mv edited W/host.json
nb strip W --out R --yes --remove build --remove farm
expect "words that are nobody's go where they are asked for: exit $rc" [ "$rc" = 0 ]
expect "both" [ "$(jq -r .compiler R/host.json | grep -cE 'build|farm')" = 0 ]
rm -r R
fails 1 'three letters at least' strip A --out R --yes --remove HP

# ---- words that cannot go ----
fails 1 'a word of the results' strip A --out R --yes --remove ceiling
expect "nothing is written" [ ! -e R ]
expect "and nothing left behind" [ ! -e R.part ]
nb strip A --out R --yes --remove ceiling --keep Ceiling
expect "it may be kept: exit $rc" [ "$rc" = 0 ]

# ---- what a file says does nothing ----
hostile=$'<script>alert(1)</script>\'"`|touch pwned|$(touch pwned)\\\n\033]0;pwned\007\u202E%s%n[x](http://x)# =cmd ../../up'
copy A H
jq --arg h "$hostile" '.cpu.model=$h | .host=$h | .compiler=$h | .git=$h | .before.time=$h | .version=$h | .units={($h):$h} | .os.kernel=$h | .settings.governor=$h' A/host.json >H/host.json
jq --arg h "$hostile" '.preset=$h | .command=$h | .plugins=[$h]' A/plan.json >H/plan.json
nb strip H --yes
expect "hostile strings: exit $rc" [ "$rc" = 0 ]
expect "nothing ran" [ -z "$(find . -name 'pwned*')" ]
expect "no escape on the terminal" [ "$(LC_ALL=C grep -cP '[\x00-\x08\x0b-\x1f\x7f]|\xe2\x80\xae' out)" = 0 ]
made=$(sed -n 's|^written: \(.*\)/README.md$|\1|p' out)
expect "a folder of plain letters, where it should be: $made" grep -qE '^results/submitted/[a-z0-9-]+$' <<<"$made"
expect "no markup on its page" [ "$(grep -v '^    ' "$made/README.md" | grep -cE '<script>|(^|[^\\])\]\(http')" = 0 ]

# ---- bad input ----
fails 1 'exists already' strip A --out S --yes
fails 1 'which run' strip
fails 1 'one run at a time' strip A S
fails 1 'a run folder holds' strip nowhere --out R2 --yes
copy A B && rm B/samples.jsonl
fails 1 'samples.jsonl: No such file' strip B --out R2 --yes
copy A B && sed -i '3s/.*/{"type":"round",/' B/samples.jsonl
fails 1 'B/samples.jsonl:3:' strip B --out R2 --yes
copy A B && printf 'x\0y' >>B/checks.jsonl
fails 1 'a zero byte' strip B --out R2 --yes
copy A B && jq '.schema=2' A/host.json >B/host.json
fails 1 'use a newer normbench' strip B --out R2 --yes
copy A B && printf '{"schema":1,"host":"a","host":"b"}' >B/host.json
fails 1 'B/host.json:1:' strip B --out R2 --yes
copy A B && jq '.host = ([range(200) | "part\(.)"] | join("."))' A/host.json >B/host.json
nb strip B --out R3 --yes
expect "a name of 200 parts: exit $rc" [ "$rc" = 0 ]
copy A B && rm B/host.json && mkfifo B/host.json
fails 1 'host.json: Operation not supported' strip B --out R2 --yes
fails 1 '' strip A --out nowhere/deep --yes
expect "no folder is made" [ ! -e R2 ]
copy A B && truncate -s -5 B/samples.jsonl
nb strip B --out R2 --yes
expect "a line that was cut off goes: exit $rc" [ "$(tail -c 1 R2/samples.jsonl | xxd -p 2>/dev/null || tail -c 1 R2/samples.jsonl | od -An -tx1 | tr -d ' ')" = 0a ]

# ---- by itself ----
nb strip A --yes
name=results/submitted/$(jq -r .cpu.model A/host.json | sed -E 's/\([^)]*\)//g; s/[^A-Za-z0-9]+/-/g; s/^-|-$//g' | tr "[:upper:]" "[:lower:]")-$(jq -r '.before.time[:10]' A/host.json)
expect "its folder is named after CPU and day: $name" [ -e "$name/README.md" ]
nb strip A --yes
expect "a second one has a number" [ -e "$name-2/README.md" ]
finish
