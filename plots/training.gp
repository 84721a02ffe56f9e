# How many times as fast each norm is as another: forward, backward and both. One panel a residency.
# Given above: NAME TITLE SUBTITLE NP PANEL FIRST LAST SERIES NY NORM BASE SUMS (1: a NORM ends in *)
HEAD = 105.0; FOOT = SUMS ? 178.0 : 142.0; ROW = 157.0 + 150.0 * NY
H = HEAD + FOOT + ROW
LONGEST = 0
do for [K = 1:NY] { LONGEST = strlen(NORM[K]) > LONGEST ? strlen(NORM[K]) : LONGEST }
LEFT = LONGEST > 11 ? 40.0 + 13.0 * LONGEST : 190.0; RIGHT = 40.0; GAP = 50.0; UNDER = 102.0; OVER = 45.0
PW = (W - LEFT - RIGHT - (NP - 1) * GAP) / NP
array KIND[3] = ['forward', 'backward', 'both: a step of training']
array KX[3] = [330, 600, 890]
stats NAME.'.dat' using 2 nooutput
LOW = STATS_min < 1 ? STATS_min : 1
stats NAME.'.dat' using 3 nooutput
HIGH = STATS_max > 1.02 ? STATS_max : 1.02
ROOM = HIGH - LOW
# At most six ticks: a step of 1, 2 or 5 times a power of ten.
STEP = ROOM * 1.3 / 5; TEN = 10.0 ** floor(log10(STEP))
STEP = TEN * (STEP <= TEN ? 1 : STEP <= 2 * TEN ? 2 : STEP <= 5 * TEN ? 5 : 10)
do for [T = 1:2] {
    eval terminal(T, H)
    set output NAME.(T == 1 ? '.svg' : '.png')
    set multiplot
    set border 3 lc rgb PALE
    set xrange [LOW - ROOM * 0.08 : HIGH + ROOM * 0.22]
    set yrange [0.4 : NY + 0.6]
    set grid xtics ls 10
    set label 1 TITLE at screen 0.5, screen 1 - 34 / H center font head_font(T)
    set label 2 SUBTITLE at screen 0.5, screen 1 - 76 / H center textcolor rgb PALE
    set arrow 1 from first 1, graph 0 to first 1, graph 1 nohead lw 2.5 lc rgb INK back
    do for [P = 1:NP] {
        XL = LEFT + (P - 1) * (PW + GAP)
        set lmargin at screen XL / W; set rmargin at screen (XL + PW) / W
        set bmargin at screen (FOOT + UNDER) / H; set tmargin at screen 1 - (HEAD + OVER) / H
        set xtics STEP nomirror out textcolor rgb INK format (STEP < 0.1 ? '%.2fx' : '%.1fx')
        set ytics () nomirror out scale 0 textcolor rgb INK
        do for [K = 1:NY] { set ytics add ((P == 1 ? NORM[K] : '') NY + 1 - K) }
        set label 4 PANEL[P] at graph 0.5, graph 1 center offset 0, 0.9
        set label 5 'times as fast as '.BASE.' (ratio of ns a row)' at graph 0.5, screen (FOOT + UNDER - 77) / H center
        plot for [S = FIRST[P]:LAST[P]] NAME.'.dat' index S - 1 using 1:4:2:3 with xerrorbars lw 3 pt POINT[SERIES[S]] ps 1.4 * SIZE(T) lc rgb COLOUR[SERIES[S]], \
             for [S = FIRST[P]:LAST[P]] NAME.'.dat' index S - 1 using (HIGH + ROOM * 0.2):4:(sprintf('%.2fx', $1)) with labels right textcolor rgb COLOUR[SERIES[S]]
        unset label 1; unset label 2
    }
    unset arrow; unset label; unset tics; unset border; unset grid
    set lmargin at screen 0; set rmargin at screen 1; set bmargin at screen 0; set tmargin at screen FOOT / H
    set xrange [0:W]; set yrange [0:FOOT]
    do for [K = 1:3] { set label 10 + K KIND[K] at KX[K] + 30, FOOT - 24 }
    set label 1 'Right of 1x: faster than '.BASE.'. Bars: interval of the median over processes. No mark: not measured, or not between the best.' at W / 2, 70 center textcolor rgb PALE
    set label 2 'Both: time of one pass forward that saves statistics and one backward, a row of each.' at W / 2, 34 center textcolor rgb PALE
    if (SUMS) { set label 3 '* of x + residual, with '.BASE.' of the same sum: h is kept, and read by the pass backward.' at W / 2, 106 center textcolor rgb PALE }
    plot for [K = 1:3] '+' using (KX[K]):(FOOT - 24) every ::0::0 with points pt POINT[K] ps 1.4 * SIZE(T) lc rgb COLOUR[K]
    unset label
    unset multiplot
}
unset output
