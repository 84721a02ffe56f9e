#!/bin/bash
# page_browser_test.sh: the page in a real Chromium, through chromedriver: nothing in its console, sorting and filtering by mouse
# and keyboard, without JavaScript, on a desktop, a phone and paper, in both colour schemes, and for those who do not see it.
# $2: the root of the sources. NB_PAGE_SHOTS: a folder for screenshots to look at; none are made without it.
# shellcheck source=tests/page_common.sh
. "$(dirname "$0")/page_common.sh"
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"
looks=$2/tests/page_looks.js
for tool in chromium chromedriver curl jq; do
    command -v $tool >/dev/null || { echo "skipped: no $tool here (apt-get install chromium chromium-driver curl jq)"; exit 77; }
done

# ---- the browser, by the WebDriver protocol ----
mkdir home profile
export HOME=$work/home
chromedriver --port=0 >driver.log 2>&1 &
driver=$!
close_browser() {
    [ -z "${session:-}" ] || call DELETE "" >/dev/null
    kill $driver 2>/dev/null
    wait $driver 2>/dev/null
}
trap 'close_browser; cd /; rm -rf "$work"' EXIT
port=
for _ in $(seq 150); do
    port=$(sed -n 's/.*started successfully on port \([0-9]*\).*/\1/p' driver.log)
    [ -z "$port" ] || break
    sleep 0.1
done
[ -n "$port" ] || { echo "skipped: chromedriver does not start: $(tail -1 driver.log)"; exit 77; }

# call METHOD PATH [BODY]: the value of the answer
call() {
    curl -s --max-time 90 -X "$1" -H 'Content-Type: application/json' --data-binary "${3:-{\}}" \
        "http://127.0.0.1:$port/session${session:+/$session}$2" | jq -c .value
}
session=
session=$(call POST "" "$(jq -n --arg profile "$work/profile" '{capabilities: {alwaysMatch: {"goog:loggingPrefs": {browser: "ALL"},
    "goog:chromeOptions": {args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--user-data-dir=" + $profile]}}}}')" | jq -r '.sessionId // empty')
[ -n "$session" ] || { echo "skipped: chromium does not start"; exit 77; }

js() { call POST /execute/sync "$(jq -n --arg script "$1" '{script: $script, args: []}')"; }
cdp() { call POST /goog/cdp/execute "{\"cmd\":\"$1\",\"params\":${2:-{\}}}" >/dev/null; }
open_page() { call POST /url "{\"url\":\"file://$work/$1\"}" >/dev/null; }
size() { cdp Emulation.setDeviceMetricsOverride "{\"width\":$1,\"height\":$2,\"deviceScaleFactor\":1,\"mobile\":$3}"; }
scheme() { cdp Emulation.setEmulatedMedia "{\"media\":\"${2:-}\",\"features\":[{\"name\":\"prefers-color-scheme\",\"value\":\"$1\"}]}"; }
console() { call POST /se/log '{"type":"browser"}'; }
element() { call POST /element "$(jq -n --arg css "$1" '{using: "css selector", value: $css}')" | jq -r 'first(.[]?)'; }
click() { call POST "/element/$(element "$1")/click" >/dev/null; }
type_keys() { call POST "/element/$(element "$1")/value" "$(jq -n --arg text "$2" '{text: $text}')" >/dev/null; }
clear_text() { call POST "/element/$(element "$1")/clear" >/dev/null; }
shot() { [ -z "${NB_PAGE_SHOTS:-}" ] || call GET /screenshot | jq -r . | base64 -d >"$NB_PAGE_SHOTS/$1.png"; }
# is WHAT SCRIPT WANTED: what a script answers
is() {
    local got
    got=$(js "$2")
    expect "$1: $got" [ "$got" = "$3" ]
}
# clean WHAT CALL: one of page_looks.js; [] is nothing to complain of
clean() {
    is "$1" "$(cat "$looks")
return $2;" '[]'
}

# ---- pages ----
results=$2/results
nb run --kernels headline --dtype f32,bf16 --hidden 64,256 --residency L1,L2 --processes 6 --rounds 2 --out run --quiet
expect "a small run" [ "$rc" = 0 ]
accuracy_folder accuracy
gate_folder gate
nb report "$results/2026-11-21-xeon-guest-default" "$results/2026-11-22-xeon-guest-claims" accuracy gate --html page.html
expect "a page of all" [ "$rc" = 0 ]
cp -r run harm && poison_run harm
claims_folder claims && poison claims/claims.json verdict
poison gate/gate.json verdict
nb report harm claims gate --html harm.html
expect "a page of texts that mean harm" [ "$rc" = 0 ]

# ---- a desktop ----
size 1280 800 false
scheme light
open_page page.html
expect "no error and no violation of the policy: $(console)" [ "$(console)" = '[]' ]
is "the verdict and all of its picture are seen at once" \
    'const b = (e) => e.getBoundingClientRect(); return Math.max(b(document.querySelector("h1")).bottom,
     ...[...document.querySelectorAll("header .tile")].map((e) => b(e).bottom)) <= innerHeight && b(document.querySelector("h1")).top >= 0' true
is "a tile for each residency" 'return document.querySelectorAll("header .tile").length' 4
is "nothing is wider than the page" 'return document.documentElement.scrollWidth <= innerWidth' true
clean "light: contrast of at least 4.5" 'lowContrast()'
is "the check of contrast sees texts" "$(cat "$looks")
return texts().length > 500" true
clean "every control has a label" 'unlabelled()'
clean "headings descend one level at a time" 'skippedHeadings()'
clean "headers of tables have a scope" 'unscoped()'
clean "pictures have a title and a description" 'untitledPictures()'
clean "ids are unique, and links lead somewhere" 'brokenIds()'
is "the language is told" 'return document.documentElement.lang' '"en"'
is "regions that scroll can be reached by keyboard" \
    'return [...document.querySelectorAll(".scroll")].every((e) => e.tabIndex === 0 && e.getAttribute("aria-label"))' true
shot desktop-light
scheme dark
clean "dark: contrast of at least 4.5" 'lowContrast()'
shot desktop-dark
# the checks above can fail
is "a text that is hard to read is found" "$(cat "$looks")
document.querySelector('.lede').style.color = '#777'; return lowContrast().length > 0" true
is "so is a control without a label" "$(cat "$looks")
document.querySelector('.lede').append(document.createElement('input')); return unlabelled().length" 1
js 'const i = new Image(); i.src = "http://127.0.0.1:9/x.png"; document.body.append(i); return 1' >/dev/null
sleep 0.5
expect "so is what the policy forbids" grep -q 'Content Security Policy' <<<"$(console)"

# ---- sorting ----
scheme light
open_page page.html
sorted() { # COLUMN of the table of speedups, from 0: its numbers ascend, descend or neither
    js "const v = [...document.querySelectorAll('#p1-speedups tbody tr')].map((r) => parseFloat(r.cells[$1].textContent)).filter((x) => !isNaN(x));
        const up = v.every((x, i) => !i || v[i - 1] <= x), down = v.every((x, i) => !i || v[i - 1] >= x); return up ? 'up' : down ? 'down' : 'none'"
}
header='#p1-speedups thead th:nth-child(5)'
expect "not sorted at first" [ "$(sorted 4)" = '"none"' ]
click "$header button"
expect "ascending after a click" [ "$(sorted 4)" = '"up"' ]
is "and the header says so" "return document.querySelector('$header').getAttribute('aria-sort')" '"ascending"'
click "$header button"
expect "descending after another" [ "$(sorted 4)" = '"down"' ]
js "document.querySelector('#p1-speedups thead th:nth-child(4) button').focus(); return 1" >/dev/null
type_keys '#p1-speedups thead th:nth-child(4) button' $'\xee\x80\x87' # Enter
expect "ascending by the Enter key" [ "$(sorted 3)" = '"up"' ]
type_keys '#p1-speedups thead th:nth-child(4) button' ' '
expect "descending by the space bar" [ "$(sorted 3)" = '"down"' ]
is "one column is the sorted one" "return document.querySelectorAll('#p1-speedups [aria-sort]').length" 1
is "no row is lost" "return document.querySelectorAll('#p1-speedups tbody tr').length" 252
click '#p1-speedups thead th:nth-child(2) button'
is "texts, too" "const v = [...document.querySelectorAll('#p1-speedups tbody tr')].map((r) => r.cells[1].textContent);
    return v[0] + ' ' + v[v.length - 1]" '"bf16 f64"'
click '#p2-claims thead th:nth-child(2) button'
is "claims by their verdict" "return document.querySelector('#p2-claims tbody tr').cells[1].textContent" '"CONDITIONAL"'

# ---- filtering ----
all=$(js "return document.querySelectorAll('.filtered tbody tr').length")
is "the filter counts rows" "return document.querySelector('.filter output').textContent" "\"$all of $all rows\""
shown="[...document.querySelectorAll('.filtered tbody tr')].filter((r) => !r.hidden)"
type_keys '.filter input' 'welford avx512'
is "by kernel: all words" "const r = $shown; return r.length > 0 && r.length < $all && r.every((x) => /welford/.test(x.textContent) && /avx512/.test(x.textContent))" true
is "it says how many" "return document.querySelector('.filter output').textContent === $shown.length + ' of $all rows'" true
clear_text '.filter input'
pick() { js "const s = document.querySelector('.filter [name=$1]'); s.value = '$2'; s.dispatchEvent(new Event('input', {bubbles: true})); return 1" >/dev/null; }
pick dtype bf16
is "by dtype" "const r = $shown; return r.length > 0 && r.length < $all && r.every((x) => [...x.cells].some((c) => c.textContent === 'bf16'))" true
pick residency L2
is "and by residency" "const r = $shown; return r.length > 0 && r.every((x) => [...x.cells].some((c) => c.textContent === 'L2'))" true
type_keys '.filter input' $'rmsnorm\xee\x80\x87' # Enter sends no form
is "and by kernel" "const r = $shown; return r.length > 0 && r.every((x) => /rmsnorm/.test(x.textContent) || x.closest('#p1-speedups'))" true
is "which a table of both norms has in each row" "return $shown.filter((r) => r.closest('#p1-speedups')).length" 18
shot filtered
clear_text '.filter input'
pick dtype ''
pick residency ''
is "and all are back" "return $shown.length" "$all"
expect "nothing in the console after all of it: $(console)" [ "$(console)" = '[]' ]

# ---- a phone, and paper ----
size 390 844 true
open_page page.html
js 'document.querySelectorAll("details").forEach((d) => d.open = true); return 1' >/dev/null
is "nothing is wider than a phone, with all details open" 'return document.documentElement.scrollWidth <= innerWidth' true
is "the verdict is seen at once" 'return document.querySelector(".lede").getBoundingClientRect().bottom <= innerHeight' true
clean "contrast with all details open" 'lowContrast()'
open_page page.html
shot phone
size 1280 800 false
js 'document.querySelectorAll("details").forEach((d) => d.open = true); return 1' >/dev/null
is "nothing is wider than a desktop, with all details open" 'return document.documentElement.scrollWidth <= innerWidth' true
scheme light print
is "paper has no filter and no contents" 'return [".filter", "nav"].every((s) => getComputedStyle(document.querySelector(s)).display === "none")' true
is "and tables in full" 'return [...document.querySelectorAll(".scroll")].every((e) => getComputedStyle(e).overflowY === "visible")' true
scheme light
nb report run --html small.html
open_page small.html
expect "it prints" [ "$(call POST /print | jq -r . | base64 -d | head -c 5)" = '%PDF-' ]

# ---- without JavaScript ----
cdp Emulation.setScriptExecutionDisabled '{"value":true}'
open_page page.html
is "no script has run" "return document.querySelectorAll('thead button').length" 0
is "all rows are there" "return document.querySelectorAll('.filtered tbody tr').length" "$all"
is "and none is hidden" "return [...document.querySelectorAll('tr')].some((r) => r.hidden)" false
is "nothing that needs a script is shown" "return getComputedStyle(document.querySelector('.filter')).display" '"none"'
is "a table takes its place" "return document.querySelector('#p1-speedups table').getBoundingClientRect().height > 1000" true
is "so does the verdict" "return document.querySelector('h1').getBoundingClientRect().height > 20" true
cdp Emulation.setScriptExecutionDisabled '{"value":false}'

# ---- texts that mean harm ----
open_page harm.html
expect "nothing in the console: $(console)" [ "$(console)" = '[]' ]
is "no dialog, and one script" 'return document.scripts.length' 1
is "no element of theirs" 'return document.querySelectorAll("img, iframe, object, embed, base, b b, form form").length' 0
is "they are seen as they are written" 'return document.body.textContent.includes("<script>alert(1)</script><img src=x onerror=alert(2)>")' true
is "links lead into the page alone" 'return [...document.links].every((a) => a.getAttribute("href").startsWith("#"))' true
clean "ids are unique" 'brokenIds()'
click '#p1-speedups thead th:nth-child(2) button'
type_keys '.filter input' '<script>'
is "they are sorted and filtered as others are" "return $shown.length > 0" true
is "nothing is wider than the page" 'return document.documentElement.scrollWidth <= innerWidth' true
size 390 844 true
is "nor than a phone" 'return document.documentElement.scrollWidth <= innerWidth' true
finish
