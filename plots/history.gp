# Ratios over runs in the order of time, one panel a series, and where their level changes.
# Given above: NAME TITLE SUBTITLE NP KERNEL CELL LABEL AXIS RUNS FIRST LAST AT MARK
COLS = NP == 1 ? 1 : 2
ROWS = int((NP + COLS - 1) / COLS)
HEAD = 105.0; FOOT = 20.0; ROW = NP == 1 ? 640.0 : 460.0
H = HEAD + FOOT + ROWS * ROW
LEFT = 150.0; RIGHT = 30.0; GAP = 150.0; UNDER = 85.0; OVER = 80.0
PW = (W - LEFT - RIGHT - (COLS - 1) * GAP) / COLS
do for [T = 1:2] {
    eval terminal(T, H)
    set output NAME.(T == 1 ? '.svg' : '.png')
    set multiplot
    set border 3 lc rgb PALE
    set grid ytics ls 10
    set label 1 TITLE at screen 0.5, screen 1 - 34 / H center font head_font(T)
    set label 2 SUBTITLE at screen 0.5, screen 1 - 76 / H center textcolor rgb PALE
    set xtics nomirror out textcolor rgb INK
    set ytics nomirror out textcolor rgb INK
    set format y '%.3g'
    do for [P = 1:NP] {
        C = (P - 1) % COLS; R = int((P - 1) / COLS)
        XL = LEFT + C * (PW + GAP); YB = H - HEAD - (R + 1) * ROW + UNDER
        set lmargin at screen XL / W; set rmargin at screen (XL + PW) / W
        set bmargin at screen YB / H; set tmargin at screen 1 - (HEAD + R * ROW + OVER) / H
        set xrange [*:*]; set yrange [*:*]
        stats NAME.'.dat' index 2 * (P - 1) using 3 nooutput name 'LO'
        stats NAME.'.dat' index 2 * (P - 1) using 4 nooutput name 'HI'
        SPAN = HI_max - LO_min; if (SPAN <= 0) { SPAN = 0.1 * abs(HI_max) }
        set xrange [0.5 : RUNS[P] + 0.5]
        set yrange [LO_min - 0.06 * SPAN : HI_max + 0.22 * SPAN]
        set label 4 KERNEL[P] at graph 0.5, graph 1 center offset 0, 1.7
        set label 5 CELL[P] at graph 0.5, graph 1 center offset 0, 0.6 textcolor rgb PALE
        set label 6 AXIS[P] at graph 0.5, screen (YB - 62) / H center
        set ylabel LABEL[P]
        unset arrow
        unset for [K = 20:90] label K
        do for [K = FIRST[P]:LAST[P]] {
            set arrow 20 + K from AT[K] - 0.5, graph 0 to AT[K] - 0.5, graph 1 nohead lw 2 dt 2 lc rgb VERMILLION
            F = (AT[K] - 0.5) / RUNS[P]
            Y = 0.96 - 0.07 * ((K - FIRST[P]) % 3)
            if (F > 0.6) { set label 20 + K MARK[K] at AT[K] - 0.5, graph Y right offset -0.5, 0 textcolor rgb VERMILLION } \
            else { set label 20 + K MARK[K] at AT[K] - 0.5, graph Y left offset 0.5, 0 textcolor rgb VERMILLION }
        }
        DENSE = RUNS[P] > 200
        set errorbars (DENSE ? 0 : 0.6)
        set pointintervalbox 0
        DAT = NAME.'.dat'
        plot DAT index 2 * (P - 1) using 1:2:3:4 with yerrorbars lw (DENSE ? 1 : 2) pt 0 lc rgb (DENSE ? '#B9DCF2' : SKY), \
             DAT index 2 * (P - 1) using 1:2 with points pt 7 ps (DENSE ? 0.35 : 0.8) * SIZE(T) lc rgb BLUE, \
             DAT index 2 * (P - 1) + 1 using 1:2 with lines lw 3.5 lc rgb INK
        unset label 1; unset label 2
    }
    unset label; unset arrow; unset ylabel
    unset multiplot
}
unset output
