# ns a call against its rows, one panel a hidden: one thread, a team, and the team's empty barrier.
# Given above: NAME TITLE SUBTITLE NP PANEL FIRST LAST SERIES NL LINE X XLABEL XFIRST XLAST XMIN XMAX XROT
COLS = NP <= 3 ? NP : NP == 4 ? 2 : 3
ROWS = int((NP + COLS - 1) / COLS)
# Of the legend: the place of each line, three a row; kernels that are not ours begin one.
array SLOT[NL]
N = 0
do for [K = 1:NL] {
    if (K == 8 && N % 3 > 0) { N = N + 3 - N % 3 }
    SLOT[K] = N
    if (LINE[K] ne '') { N = N + 1 }
}
LROWS = int((N + 2) / 3)
HEAD = 105.0; FOOT = 24 + 36.0 * LROWS; ROW = NP == 1 ? 640.0 : 520.0
H = HEAD + FOOT + ROWS * ROW
LEFT = 150.0; RIGHT = 40.0; GAP = 60.0; UNDER = 98.0; OVER = 45.0
PW = (W - LEFT - RIGHT - (COLS - 1) * GAP) / COLS
array LC[13] = [BLACK, BLUE, VERMILLION, BLACK, BLUE, VERMILLION, GREY, GREEN, PURPLE, ORANGE, GREEN, PURPLE, ORANGE]
array LP[13] = [2, 7, 5, 1, 6, 4, 0, 9, 13, 11, 8, 12, 10]
array LD[13] = [1, 1, 1, 2, 2, 2, 4, 1, 1, 1, 2, 2, 2]
stats NAME.'.dat' using 2 nooutput
YMIN = STATS_min / 1.6; YMAX = STATS_max * 1.6
do for [T = 1:2] {
    eval terminal(T, H)
    set output NAME.(T == 1 ? '.svg' : '.png')
    set multiplot
    set border 3 lc rgb PALE
    set logscale x 2
    set logscale y 10
    set xrange [XMIN / 1.3 : XMAX * 1.3]; set yrange [YMIN:YMAX]
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
        set format y (C == 0 ? '%g' : '')
        set label 4 PANEL[P] at graph 0.5, graph 1 center offset 0, 0.9
        set label 5 'rows of a call' at graph 0.5, screen (YB - 73) / H center
        if (C == 0) { set ylabel 'ns a call (lower is faster)' offset -1, 0 } else { unset ylabel }
        plot for [S = FIRST[P]:LAST[P]] NAME.'.dat' index S - 1 using 1:2 with linespoints lw 2.5 pt LP[SERIES[S]] ps 1.3 * SIZE(T) lc rgb LC[SERIES[S]] dt LD[SERIES[S]]
        unset label 1; unset label 2
    }
    unset label; unset ylabel; unset tics; unset border; unset grid; unset logscale
    set lmargin at screen 0; set rmargin at screen 1; set bmargin at screen 0; set tmargin at screen FOOT / H
    set xrange [0:W]; set yrange [0:FOOT]
    LX(k) = 60 + (SLOT[k] % 3) * 510
    LY(k) = FOOT - 24 - int(SLOT[k] / 3) * 36
    do for [K = 1:NL] {
        if (LINE[K] eq '') { continue }
        set label 10 + K LINE[K] at LX(K) + 75, LY(K)
        set arrow 10 + K from LX(K), LY(K) to LX(K) + 62, LY(K) nohead lw 2.5 lc rgb LC[K] dt LD[K]
    }
    plot for [K = 1:NL] '+' using (LINE[K] eq '' ? NaN : LX(K) + 31):(LY(K)) every ::0::0 with points pt LP[K] ps 1.3 * SIZE(T) lc rgb LC[K]
    unset label; unset arrow
    unset multiplot
}
unset output
