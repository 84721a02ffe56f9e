# GB/s against threads, one panel a residency: the roof, the norms below it, and their percent of it.
# Given above: NAME TITLE SUBTITLE NP PANEL FIRST LAST SERIES NL LINE IDEAL X XLABEL XFIRST XLAST XMIN XMAX XROT YLABEL
COLS = NP <= 3 ? NP : NP == 4 ? 2 : 3
ROWS = int((NP + COLS - 1) / COLS)
LROWS = int(NL / 4) + 1 # of the legend
HEAD = 105.0; FOOT = 62.0 + 36.0 * LROWS; ROW = NP == 1 ? 640.0 : 540.0
H = HEAD + FOOT + ROWS * ROW
LEFT = 120.0; RIGHT = 30.0; GAP = 85.0; UNDER = 98.0; OVER = 45.0
PW = (W - LEFT - RIGHT - (COLS - 1) * GAP) / COLS
array LC[6] = [BLUE, VERMILLION, BLACK, GREEN, PURPLE, ORANGE]
array LP[6] = [7, 5, 2, 9, 13, 8]
# Rows of percent stand below the lines; the roof has none.
array TEXTROW[6] = [2, 1, 0, 3, 4, 5]
TEXTS = NL - 1
PH = ROW - UNDER - OVER
BELOW = (TEXTS * 30.0 + 12) / PH
array LOW[NP]; array HIGH[NP]
do for [P = 1:NP] {
    do for [S = FIRST[P]:LAST[P]] {
        stats NAME.'.dat' index S - 1 using 2 nooutput
        LOW[P] = S == FIRST[P] || STATS_min < LOW[P] ? STATS_min : LOW[P]
        HIGH[P] = S == FIRST[P] || STATS_max > HIGH[P] ? STATS_max : HIGH[P]
    }
    LOW[P] = LOW[P] / 1.08; HIGH[P] = HIGH[P] * 1.12
    LOW[P] = LOW[P] * (LOW[P] / HIGH[P]) ** (BELOW / (1 - BELOW))
}
do for [T = 1:2] {
    eval terminal(T, H)
    set output NAME.(T == 1 ? '.svg' : '.png')
    set multiplot
    set border 3 lc rgb PALE
    set logscale x 2
    set logscale y 10
    set xrange [XMIN / 1.3 : XMAX * 1.3]
    set grid ytics ls 10
    set datafile missing 'null'
    set label 1 TITLE at screen 0.5, screen 1 - 34 / H center font head_font(T)
    set label 2 SUBTITLE at screen 0.5, screen 1 - 76 / H center textcolor rgb PALE
    do for [P = 1:NP] {
        C = (P - 1) % COLS; R = int((P - 1) / COLS)
        XL = LEFT + C * (PW + GAP); YB = H - HEAD - (R + 1) * ROW + UNDER
        set lmargin at screen XL / W; set rmargin at screen (XL + PW) / W
        set bmargin at screen YB / H; set tmargin at screen 1 - (HEAD + R * ROW + OVER) / H
        set yrange [LOW[P]:HIGH[P]]
        TEXTY(k) = LOW[P] * (HIGH[P] / LOW[P]) ** ((30.0 * TEXTROW[k] - 12) / PH)
        set ytics () nomirror out textcolor rgb INK
        # A narrow range has more labels of a power of ten than a wide one.
        WIDE = HIGH[P] / LOW[P] > 12
        do for [E = -2:6] {
            do for [M in (WIDE ? '1 2 5' : '1 1.5 2 3 4 5 6 8')] {
                V = real(M) * 10.0 ** E
                if (V > LOW[P] && V < HIGH[P]) { set ytics add (sprintf('%g', V) V) }
            }
        }
        set xtics () nomirror out textcolor rgb INK
        do for [I = XFIRST[P]:XLAST[P]] { set xtics add (XLABEL[I] X[I]) }
        set label 4 PANEL[P] at graph 0.5, graph 1 center offset 0, 0.9
        set label 5 'threads (one a core)' at graph 0.5, screen (YB - 73) / H center
        if (C == 0) { set ylabel YLABEL } else { unset ylabel }
        plot IDEAL[P] > 0 ? IDEAL[P] * x : NaN with lines lw 2 dt 2 lc rgb GREY, \
             for [S = FIRST[P]:LAST[P]] NAME.'.dat' index S - 1 using 1:2 with linespoints lw 3 pt LP[SERIES[S]] ps 1.4 * SIZE(T) lc rgb LC[SERIES[S]], \
             for [S = FIRST[P]:LAST[P]] '' index S - 1 using 1:(SERIES[S] == 3 ? NaN : TEXTY(SERIES[S])):(sprintf('%.0f %%', $3)) with labels textcolor rgb LC[SERIES[S]]
        unset label 1; unset label 2
    }
    unset label; unset ylabel; unset tics; unset border; unset grid; unset logscale
    set lmargin at screen 0; set rmargin at screen 1; set bmargin at screen 0; set tmargin at screen FOOT / H
    set xrange [0:W]; set yrange [0:FOOT]
    SLOT(k) = k <= 3 ? k - 1 : k # the fourth of the first row is the ideal
    array COLUMN[4] = [60, 420, 780, 1220] # the third is the longest
    LX(k) = COLUMN[SLOT(k) % 4 + 1]
    LY(k) = FOOT - 24 - int(SLOT(k) / 4) * 36
    do for [K = 1:NL] {
        set label 10 + K LINE[K] at LX(K) + 75, LY(K)
        set arrow 10 + K from LX(K), LY(K) to LX(K) + 62, LY(K) nohead lw 3 lc rgb LC[K]
    }
    set label 20 'ideal, from the first roof' at COLUMN[4] + 75, FOOT - 24
    set arrow 20 from COLUMN[4], FOOT - 24 to COLUMN[4] + 62, FOOT - 24 nohead lw 2 dt 2 lc rgb GREY
    set label 1 'Percent: of the roof of as many threads, in the same rounds.' at W / 2, 28 center textcolor rgb PALE
    plot for [K = 1:NL] '+' using (LX(K) + 31):(LY(K)) every ::0::0 with points pt LP[K] ps 1.4 * SIZE(T) lc rgb LC[K]
    unset label; unset arrow
    unset multiplot
}
unset output
