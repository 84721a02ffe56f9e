# GFLOP/s against flops a byte: the roofs of each residency, and kernels under them.
# Given above: NAME TITLE SUBTITLE NR GBPS ROOFNAME NK KIND TRAFFIC CARRIER AS_FAST_AS XMAX
HEAD = 105.0; FOOT = NK > 4 ? 171.0 : 135.0; H = 900.0
XL = 130.0; XR = W - 260.0
XMIN = 1.0 / 16
array KP[7] = [3, 1, 5, 7, 9, 13, 11]
LOW = GBPS[1]; HIGH = GBPS[1]
do for [R = 2:NR] { LOW = GBPS[R] < LOW ? GBPS[R] : LOW; HIGH = GBPS[R] > HIGH ? GBPS[R] : HIGH }
stats NAME.'.dat' using 3 nooutput
YMIN = LOW * XMIN < STATS_min ? LOW * XMIN / 1.5 : STATS_min / 1.5 # a slow kernel lies below all roofs
YMAX = HIGH * XMAX * 1.2
# Labels of roofs that nearly coincide stand apart.
array LABELY[NR]
do for [R = 1:NR] {
    LABELY[R] = GBPS[R] * XMAX
    do for [Q = 1:R - 1] {
        if (LABELY[R] > LABELY[Q] / 1.35 && LABELY[R] < LABELY[Q] * 1.35) { LABELY[R] = LABELY[Q] / 1.35 }
    }
}
do for [T = 1:2] {
    eval terminal(T, H)
    set output NAME.(T == 1 ? '.svg' : '.png')
    set multiplot
    set border 3 lc rgb PALE
    set logscale xy 2
    set xrange [XMIN:XMAX]; set yrange [YMIN:YMAX]
    set lmargin at screen XL / W; set rmargin at screen XR / W
    set bmargin at screen (FOOT + 98) / H; set tmargin at screen 1 - HEAD / H
    set xtics ('1/16' 1. / 16, '1/8' 0.125, '1/4' 0.25, '1/2' 0.5, '1' 1, '2' 2, '4' 4) nomirror out textcolor rgb INK
    set ytics nomirror out textcolor rgb INK
    set format y '%g'
    set grid xtics ytics ls 10
    set ylabel 'GFLOP/s'
    set label 1 TITLE at screen 0.5, screen 1 - 34 / H center font head_font(T)
    set label 2 SUBTITLE at screen 0.5, screen 1 - 76 / H center textcolor rgb PALE
    set label 3 'flops a byte ('.TRAFFIC.')' at graph 0.5, screen (FOOT + 25) / H center
    do for [R = 1:NR] { set label 10 + R ROOFNAME[R] at first XMAX * 1.08, LABELY[R] textcolor rgb COLOUR[R] }
    plot for [R = 1:NR] GBPS[R] * x with lines lw 3 lc rgb COLOUR[R], \
         for [R = 1:NR] for [K = 1:NK] NAME.'.dat' index R - 1 using ($1 == K ? $2 : NaN):3 with points pt KP[K] ps 2.2 * SIZE(T) lw 2.5 lc rgb COLOUR[R]
    unset label; unset ylabel; unset tics; unset border; unset grid; unset logscale
    set lmargin at screen 0; set rmargin at screen 1; set bmargin at screen 0; set tmargin at screen FOOT / H
    set xrange [0:W]; set yrange [0:FOOT]
    LX(k) = k <= 4 ? 170 + (k - 1) * 350 : 170 + (k - 5) * 490
    LY(k) = k <= 4 ? FOOT - 24 : FOOT - 60
    do for [K = 1:NK] { set label 10 + K KIND[K] at LX(K) + 25, LY(K) }
    set label 1 'Lines: what '.CARRIER.' carries from there. A norm on the line of its colour is as fast as '.AS_FAST_AS.'.' at W / 2, 66 center textcolor rgb PALE
    set label 2 'The peak of arithmetic was not measured and is not drawn.' at W / 2, 30 center textcolor rgb PALE
    plot for [K = 1:NK] '+' using (KIND[K] eq '' ? NaN : LX(K)):(LY(K)) every ::0::0 with points pt KP[K] ps 2.2 * SIZE(T) lw 2.5 lc rgb INK
    unset label
    unset multiplot
}
unset output
