# Machines beside each other, one row each: one panel a residency with the speedup of each dtype, and one with the hard roofs.
# Given above: NAME TITLE SUBTITLE NM MACHINE NP PANEL FIRST LAST SERIES NT TYPE XMIN XMAX NR RFIRST RTYPE GMIN GMAX STEP XLABEL LEGEND
# Blocks of NAME.dat: row, value, lower and upper end (NaN: none), panel after panel; then one a residency of row and GB/s.
ROWH = NM <= 4 ? 92.0 : NM <= 24 ? 58.0 : 34.0
HEAD = 150.0; FOOT = 205.0
H = HEAD + FOOT + NM * ROWH
LEFT = 470.0; RIGHT = 40.0; GAP = 34.0
COLS = NP + (NR > 0)
PW = (W - LEFT - RIGHT - (COLS - 1) * GAP) / COLS
do for [T = 1:2] {
    eval terminal(T, H)
    set output NAME.(T == 1 ? '.svg' : '.png')
    set multiplot
    set border 1 lc rgb PALE
    set bmargin at screen FOOT / H; set tmargin at screen 1 - HEAD / H
    set yrange [NM + 0.5 : 0.5]
    set label 1 TITLE at screen 0.5, screen 1 - 34 / H center font head_font(T)
    set label 2 SUBTITLE at screen 0.5, screen 1 - 76 / H center textcolor rgb PALE
    set xtics out nomirror textcolor rgb INK
    set grid xtics ls 10
    do for [P = 1:COLS] {
        ROOF = P > NP
        XL = LEFT + (P - 1) * (PW + GAP)
        set lmargin at screen XL / W; set rmargin at screen (XL + PW) / W
        unset ytics
        if (P == 1) { set ytics () scale 0 textcolor rgb INK; do for [I = 1:NM] { set ytics add (MACHINE[I] I) } }
        unset arrow; unset logscale x
        do for [I = 1:NM - 1] { set arrow from graph 0, first I + 0.5 to graph 1, first I + 0.5 nohead lw 0.5 lc rgb '#dddddd' back }
        set label 4 (ROOF ? 'hard roof, GB/s' : PANEL[P]) at graph 0.5, graph 1 center offset 0, 0.9
        set label 5 'not compared' at graph 0.5, screen (FOOT - 72) / H center textcolor rgb PALE
        if (!ROOF) { unset label 5 }
        if (P == 1) { set label 6 XLABEL at screen (LEFT + (NP * (PW + GAP) - GAP) / 2) / W, screen (FOOT - 72) / H center textcolor rgb PALE }
        if (ROOF) {
            set logscale x 10
            set xrange [GMIN : GMAX]
            set format x '%g'
            set xtics auto
            plot for [R = 1:NR] NAME.'.dat' index RFIRST + R - 2 using 2:1 with points pt POINT[R] ps 1.4 * SIZE(T) lc rgb COLOUR[R]
        } else {
            set xrange [XMIN : XMAX]
            set format x '%g'
            set xtics STEP
            set arrow from first 1, graph 0 to first 1, graph 1 nohead lw 2 lc rgb INK back
            plot for [S = FIRST[P]:LAST[P]] NAME.'.dat' index S - 1 using 2:1:3:4 with xerrorbars lw 2.5 pt POINT[SERIES[S]] ps 1.3 * SIZE(T) lc rgb COLOUR[SERIES[S]], \
                 for [S = FIRST[P]:LAST[P]] NAME.'.dat' index S - 1 using 2:1 with points pt POINT[SERIES[S]] ps 1.3 * SIZE(T) lc rgb COLOUR[SERIES[S]]
        }
        unset label 1; unset label 2; unset label 6
    }
    # The legend, in pixels from the lower left corner.
    unset object; unset arrow; unset label; unset tics; unset border; unset grid; unset logscale x
    set lmargin at screen 0; set rmargin at screen 1; set bmargin at screen 0; set tmargin at screen FOOT / H
    set xrange [0:W]; set yrange [0:FOOT]
    XR = W - RIGHT - 90 * NR
    do for [K = 1:NT] { set label 10 + K TYPE[K] at LEFT + (K - 1) * 150 + 25, 92 }
    do for [K = 1:NR] { set label 20 + K RTYPE[K] at XR + (K - 1) * 90 + 20, 92 }
    set label 1 LEGEND at W / 2, 55 center
    set label 2 'Whether two machines differ is stated in compare.md, for all cells together; GB/s are no part of it.' at W / 2, 24 center textcolor rgb PALE
    plot for [K = 1:NT] '+' using (LEFT + (K - 1) * 150 + 8):(92) every ::0::0 with points pt POINT[K] ps 1.3 * SIZE(T) lc rgb COLOUR[K], \
         for [K = 1:NR] '+' using (XR + (K - 1) * 90 + 6):(92) every ::0::0 with points pt POINT[K] ps 1.4 * SIZE(T) lc rgb COLOUR[K]
    unset label
    unset multiplot
}
unset output
