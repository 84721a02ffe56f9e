# Share of the fastest roof against (y - x) modulo 4096, one panel a residency.
# Given above: NAME TITLE SUBTITLE NP PANEL FIRST LAST SERIES VERDICT NL LINE OUT USUAL YMAX
COLS = NP <= 3 ? NP : NP == 4 ? 2 : 3
ROWS = int((NP + COLS - 1) / COLS)
HEAD = 105.0
LROWS = NL > 3 ? 2 : 1 # of the legend
FOOT = 64.0 + 36 * LROWS + 34 * NP; ROW = NP == 1 ? 640.0 : 520.0
H = HEAD + FOOT + ROWS * ROW
LEFT = 130.0; RIGHT = 40.0; GAP = 60.0; UNDER = 98.0; OVER = 45.0
PW = (W - LEFT - RIGHT - (COLS - 1) * GAP) / COLS
STEP = NP == 1 ? 512 : 1024
array LC[6] = [BLACK, BLUE, VERMILLION, GREEN, PURPLE, ORANGE]
array LP[6] = [2, 7, 5, 9, 13, 11]
do for [T = 1:2] {
    eval terminal(T, H)
    set output NAME.(T == 1 ? '.svg' : '.png')
    set multiplot
    set border 3 lc rgb PALE
    set xrange [-64:4160]; set yrange [0:YMAX]
    set grid ytics ls 10
    set label 1 TITLE at screen 0.5, screen 1 - 34 / H center font head_font(T)
    set label 2 SUBTITLE at screen 0.5, screen 1 - 76 / H center textcolor rgb PALE
    do for [P = 1:NP] {
        C = (P - 1) % COLS; R = int((P - 1) / COLS)
        XL = LEFT + C * (PW + GAP); YB = H - HEAD - (R + 1) * ROW + UNDER
        set lmargin at screen XL / W; set rmargin at screen (XL + PW) / W
        set bmargin at screen YB / H; set tmargin at screen 1 - (HEAD + R * ROW + OVER) / H
        set xtics 0, STEP, 4096 nomirror out textcolor rgb INK
        set ytics 0, 0.2 nomirror out textcolor rgb INK
        set format y (C == 0 ? '%.1f' : '')
        set label 4 PANEL[P] at graph 0.5, graph 1 center offset 0, 0.9
        set label 5 '('.OUT.' - x) modulo 4096, bytes' at graph 0.5, screen (YB - 73) / H center
        set arrow 1 from first USUAL, graph 0 to first USUAL, graph 1 nohead lw 2 dt 2 lc rgb GREY back
        if (C == 0) { set ylabel 'speed, best roof = 1' } else { unset ylabel }
        plot for [S = FIRST[P]:LAST[P]] NAME.'.dat' index S - 1 using 1:2:3:4 with yerrorlines lw 2 pt LP[SERIES[S]] ps 0.9 * SIZE(T) lc rgb LC[SERIES[S]]
        unset label 1; unset label 2
    }
    unset label; unset ylabel; unset tics; unset border; unset grid; unset arrow
    set lmargin at screen 0; set rmargin at screen 1; set bmargin at screen 0; set tmargin at screen FOOT / H
    set xrange [0:W]; set yrange [0:FOOT]
    LX(k) = 130 + ((k - 1) % 3) * 490
    LY(k) = FOOT - 24 - int((k - 1) / 3) * 36
    do for [K = 1:NL] {
        set label 10 + K LINE[K] at LX(K) + 75, LY(K)
        set arrow 10 + K from LX(K), LY(K) to LX(K) + 62, LY(K) nohead lw 2.5 lc rgb LC[K]
    }
    do for [P = 1:NP] { set label 20 + P VERDICT[P] at W / 2, FOOT + 8 - 36 * LROWS - 34 * P center }
    set label 1 'Dashed: '.sprintf('%d', USUAL).', the usual offset, where '.OUT.' lies in all other measurements. Bars: interval of the ratio to it, over processes.' at W / 2, 30 center textcolor rgb PALE
    plot for [K = 1:NL] '+' using (LX(K) + 31):(LY(K)) every ::0::0 with points pt LP[K] ps 1.3 * SIZE(T) lc rgb LC[K]
    unset label; unset arrow
    unset multiplot
}
unset output
