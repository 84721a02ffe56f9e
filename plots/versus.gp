# Speedup of each pair of norms, one panel a residency, one line a pair, one mark a dtype.
# Given above: NAME TITLE SUBTITLE NP PANEL FIRST LAST SERIES WINNERS NY PAIR NT TYPE
COLS = NP <= 3 ? NP : NP == 4 ? 2 : 3
ROWS = int((NP + COLS - 1) / COLS)
HEAD = 105.0; FOOT = WINNERS eq '' ? 95.0 : 127.0; ROW = 150.0 + 62.0 * NY
H = HEAD + FOOT + ROWS * ROW
LEFT = 330.0; RIGHT = 40.0; GAP = 40.0; UNDER = 90.0; OVER = 45.0
PW = (W - LEFT - RIGHT - (COLS - 1) * GAP) / COLS
stats NAME.'.dat' using 2 nooutput
LOW = STATS_min < 1 ? STATS_min : 1
stats NAME.'.dat' using 3 nooutput
HIGH = STATS_max > 1 ? STATS_max : 1
ROOM = (HIGH - LOW) * 0.08
do for [T = 1:2] {
    eval terminal(T, H)
    set output NAME.(T == 1 ? '.svg' : '.png')
    set multiplot
    set border 3 lc rgb PALE
    set xrange [LOW - ROOM : HIGH + ROOM]
    set yrange [0.4 : NY + 0.6]
    set grid xtics ls 10
    set label 1 TITLE at screen 0.5, screen 1 - 34 / H center font head_font(T)
    set label 2 SUBTITLE at screen 0.5, screen 1 - 76 / H center textcolor rgb PALE
    set arrow 1 from first 1, graph 0 to first 1, graph 1 nohead lw 2.5 lc rgb INK back
    do for [P = 1:NP] {
        C = (P - 1) % COLS; R = int((P - 1) / COLS)
        XL = LEFT + C * (PW + GAP); YB = H - HEAD - (R + 1) * ROW + UNDER
        set lmargin at screen XL / W; set rmargin at screen (XL + PW) / W
        set bmargin at screen YB / H; set tmargin at screen 1 - (HEAD + R * ROW + OVER) / H
        set xtics nomirror out textcolor rgb INK format '%.1fx'
        set ytics () nomirror out textcolor rgb INK
        do for [K = 1:NY] { set ytics add ((C == 0 ? PAIR[K] : '') NY + 1 - K) }
        set label 4 PANEL[P] at graph 0.5, graph 1 center offset 0, 0.9
        set label 5 'times as fast' at graph 0.5, screen (YB - 62) / H center
        plot for [S = FIRST[P]:LAST[P]] NAME.'.dat' index S - 1 using 1:4:2:3 with xerrorbars lw 2.5 pt POINT[SERIES[S]] ps 1.3 * SIZE(T) lc rgb COLOUR[SERIES[S]]
        unset label 1; unset label 2
    }
    unset arrow; unset label; unset tics; unset border; unset grid
    set lmargin at screen 0; set rmargin at screen 1; set bmargin at screen 0; set tmargin at screen FOOT / H
    set xrange [0:W]; set yrange [0:FOOT]
    XT = (W - NT * 190) / 2
    do for [K = 1:NT] {
        set label 10 + K TYPE[K] at XT + (K - 1) * 190 + 75, FOOT - 22
    }
    set label 1 '1.0x: no difference; right of it the first is faster. Bars: interval of the median over processes.' at W / 2, FOOT - 65 center textcolor rgb PALE
    if (WINNERS ne '') { set label 2 WINNERS at W / 2, 26 center }
    plot for [K = 1:NT] '+' using (XT + (K - 1) * 190 + 45):(FOOT - 22) every ::0::0 with points pt POINT[K] ps 1.3 * SIZE(T) lc rgb COLOUR[K]
    unset label
    unset multiplot
}
unset output
