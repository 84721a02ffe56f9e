# GB/s against hidden, one panel a residency: norms, the roof, and what parameters alone cost.
# Given above: NAME TITLE SUBTITLE NP PANEL FIRST LAST SERIES NL LINE X XLABEL XFIRST XLAST XMIN XMAX XROT TAILS TRAFFIC
COLS = NP <= 3 ? NP : NP == 4 ? 2 : 3
ROWS = int((NP + COLS - 1) / COLS)
LROWS = NL <= 9 ? 3 : 4 # of the legend
HEAD = 105.0; FOOT = 27 + 36.0 * LROWS + (TAILS eq '' ? 0 : 30); ROW = NP == 1 ? 640.0 : 500.0
H = HEAD + FOOT + ROWS * ROW
LEFT = 120.0; RIGHT = 30.0; GAP = 85.0; UNDER = XROT ? 138.0 : 98.0; OVER = 45.0
PW = (W - LEFT - RIGHT - (COLS - 1) * GAP) / COLS
array LC[10] = [BLACK, BLUE, VERMILLION, SKY, ORANGE, GREY, GREY, GREEN, PURPLE, GREEN]
array LP[10] = [2, 7, 5, 6, 4, 1, 3, 9, 13, 8]
array LW[10] = [3, 3, 3, 2, 2, 1.5, 1.5, 2.5, 2.5, 2.5]
array LD[10] = [1, 1, 1, 2, 2, 4, 3, 1, 1, 2]
do for [T = 1:2] {
    eval terminal(T, H)
    set output NAME.(T == 1 ? '.svg' : '.png')
    set multiplot
    set border 3 lc rgb PALE
    set logscale x 2
    set xrange [XMIN / 1.4 : XMAX * 1.4]
    set yrange [0:*]
    set offsets 0, 0, graph 0.08, 0
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
        if (XROT) { set xtics rotate by 90 right }
        set label 4 PANEL[P] at graph 0.5, graph 1 center offset 0, 0.9
        set label 5 'hidden (elements a row)' at graph 0.5, screen (YB - (XROT ? 110 : 73)) / H center
        if (C == 0) { set ylabel 'GB/s ('.TRAFFIC.')' } else { unset ylabel }
        plot for [S = FIRST[P]:LAST[P]] NAME.'.dat' index S - 1 using 1:2 with linespoints lw LW[SERIES[S]] pt LP[SERIES[S]] ps 1.3 * SIZE(T) lc rgb LC[SERIES[S]] dt LD[SERIES[S]]
        unset label 1; unset label 2
    }
    unset label; unset ylabel; unset tics; unset border; unset grid; unset logscale x; unset offsets
    set lmargin at screen 0; set rmargin at screen 1; set bmargin at screen 0; set tmargin at screen FOOT / H
    set xrange [0:W]; set yrange [0:FOOT]
    LX(k) = 130 + int((k - 1) / LROWS) * 500
    LY(k) = FOOT - 24 - ((k - 1) % LROWS) * 36
    do for [K = 1:NL] {
        set label 10 + K LINE[K] at LX(K) + 75, LY(K)
        set arrow 10 + K from LX(K), LY(K) to LX(K) + 62, LY(K) nohead lw LW[K] lc rgb LC[K] dt LD[K]
    }
    if (TAILS ne '') { set label 9 'No line joins lengths that are no multiples of 64: '.TAILS.'.' at W / 2, 24 center textcolor rgb PALE }
    plot for [K = 1:NL] '+' using (LX(K) + 31):(LY(K)) every ::0::0 with points pt LP[K] ps 1.3 * SIZE(T) lc rgb LC[K]
    unset label; unset arrow
    unset multiplot
}
unset output
