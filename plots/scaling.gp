# Throughput relative to the fewest threads, one panel a residency.
# Given above: NAME TITLE SUBTITLE NP PANEL FIRST LAST SERIES NL LINE X XLABEL XFIRST XLAST XMIN XMAX XROT YLABEL
COLS = NP <= 3 ? NP : NP == 4 ? 2 : 3
ROWS = int((NP + COLS - 1) / COLS)
stats NAME.'.dat' using 2 nooutput
LOW = STATS_min
HEAD = 105.0; FOOT = LOW < 1 ? 110.0 : 60.0; ROW = NP == 1 ? 640.0 : 520.0
H = HEAD + FOOT + ROWS * ROW
LEFT = 140.0; RIGHT = 30.0; GAP = 40.0; UNDER = 98.0; OVER = 45.0
PW = (W - LEFT - RIGHT - (COLS - 1) * GAP) / COLS
array LC[4] = [BLUE, VERMILLION, GREEN, GREY]
array LP[4] = [7, 5, 9, 0]
array LD[4] = [1, 1, 1, 2]
do for [T = 1:2] {
    eval terminal(T, H)
    set output NAME.(T == 1 ? '.svg' : '.png')
    set multiplot
    set border 3 lc rgb PALE
    set logscale xy 2
    set xrange [XMIN / 1.15 : XMAX * 1.15]
    set yrange [(LOW < 1 ? LOW / 1.25 : 0.8) : XMAX / XMIN * 1.25]
    set grid ytics ls 10
    set label 1 TITLE at screen 0.5, screen 1 - 34 / H center font head_font(T)
    set label 2 SUBTITLE at screen 0.5, screen 1 - 76 / H center textcolor rgb PALE
    do for [P = 1:NP] {
        C = (P - 1) % COLS; R = int((P - 1) / COLS)
        XL = LEFT + C * (PW + GAP); YB = H - HEAD - (R + 1) * ROW + UNDER
        set lmargin at screen XL / W; set rmargin at screen (XL + PW) / W
        set bmargin at screen YB / H; set tmargin at screen 1 - (HEAD + R * ROW + OVER) / H
        set ytics nomirror out textcolor rgb INK
        set xtics () nomirror out textcolor rgb INK
        do for [I = XFIRST[P]:XLAST[P]] { set xtics add (XLABEL[I] X[I]) }
        set label 4 PANEL[P] at graph 0.5, graph 1 center offset 0, 0.9
        set label 5 'threads (one a core)' at graph 0.5, screen (YB - 73) / H center
        set format y (C == 0 ? '%gx' : '')
        if (C == 0) { set ylabel YLABEL } else { unset ylabel }
        plot x / XMIN with lines lw 2 dt 2 lc rgb GREY, \
             for [S = FIRST[P]:LAST[P]] NAME.'.dat' index S - 1 using 1:2 with linespoints lw 3 pt LP[SERIES[S]] ps 1.4 * SIZE(T) lc rgb LC[SERIES[S]]
        unset label 1; unset label 2
    }
    unset label; unset ylabel; unset tics; unset border; unset grid; unset logscale
    set lmargin at screen 0; set rmargin at screen 1; set bmargin at screen 0; set tmargin at screen FOOT / H
    set xrange [0:W]; set yrange [0:FOOT]
    LX(k) = 110 + (k - 1) * 370 + (k == 4 ? 50 : 0) # the third is the longest
    do for [K = 1:NL] {
        set label 10 + K LINE[K] at LX(K) + 75, FOOT - 24
        set arrow 10 + K from LX(K), FOOT - 24 to LX(K) + 62, FOOT - 24 nohead lw 3 lc rgb LC[K] dt LD[K]
    }
    if (LOW < 1) {
        set label 1 'Below 1x: the barrier behind each pass over the data costs more than the other threads save.' at W / 2, 28 center textcolor rgb PALE
    }
    plot for [K = 1:3] '+' using (LX(K) + 31):(FOOT - 24) every ::0::0 with points pt LP[K] ps 1.4 * SIZE(T) lc rgb LC[K]
    unset label; unset arrow
    unset multiplot
}
unset output
