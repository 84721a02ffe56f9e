# Throughput relative to one thread, one panel a residency.
# Given above: NAME TITLE SUBTITLE NP PANEL FIRST LAST SERIES NL LINE NX X XLABEL XROT YLABEL
COLS = NP <= 3 ? NP : NP == 4 ? 2 : 3
ROWS = int((NP + COLS - 1) / COLS)
HEAD = 110.0; FOOT = 90.0; ROW = NP == 1 ? 620.0 : 520.0
H = HEAD + FOOT + ROWS * ROW
LEFT = 110.0; RIGHT = 30.0; GAP = 40.0; UNDER = 95.0; OVER = 45.0
PW = (W - LEFT - RIGHT - (COLS - 1) * GAP) / COLS
array LC[3] = [BLUE, VERMILLION, GREEN]
array LP[3] = [7, 5, 9]
do for [T = 1:2] {
    eval T == 1 ? svg_terminal(W, H) : png_terminal(W, H)
    set output T == 1 ? NAME.'.svg' : NAME.'.png'
    set multiplot
    set label 1 TITLE at screen 0.5, screen 1 - 34 / H center font 'DejaVu Sans,'.(T == 1 ? '28' : '21')
    set label 2 SUBTITLE at screen 0.5, screen 1 - 78 / H center textcolor rgb '#444444'
    set logscale xy 2
    set xrange [X[1] / 1.15 : X[NX] * 1.15]
    set yrange [0.8 : X[NX] / X[1] * 1.25]
    set grid ytics ls 10
    unset key
    do for [P = 1:NP] {
        C = (P - 1) % COLS; R = int((P - 1) / COLS)
        set lmargin at screen (LEFT + C * (PW + GAP)) / W
        set rmargin at screen (LEFT + C * (PW + GAP) + PW) / W
        set tmargin at screen 1 - (HEAD + R * ROW + OVER) / H
        set bmargin at screen 1 - (HEAD + (R + 1) * ROW - UNDER) / H
        set xtics () nomirror out; set ytics nomirror out
        do for [I = 1:NX] { set xtics add (XLABEL[I] X[I]) }
        set title PANEL[P] offset 0, -0.4
        set xlabel 'threads (one a core)'
        set format y (C == 0 ? '%gx' : '')
        if (C == 0) { set ylabel YLABEL } else { unset ylabel }
        plot x / X[1] with lines lw 2 dt 2 lc rgb GREY, \
             for [S = FIRST[P]:LAST[P]] NAME.'.dat' index S - 1 using 1:2 with linespoints lw 3 pt LP[SERIES[S]] ps 1.4 lc rgb LC[SERIES[S]]
        unset label 1; unset label 2
    }
    unset title; unset xlabel; unset ylabel; unset tics; unset border; unset grid; unset label
    unset logscale
    set lmargin at screen 0.02; set rmargin at screen 0.98
    set bmargin at screen 10 / H; set tmargin at screen 80 / H
    set xrange [0:1]; set yrange [0:1]
    set key at screen 0.5, screen 72 / H center top horizontal Left reverse samplen 3 width 2 maxrows 1
    plot for [K = 1:NL] NaN with linespoints lw 3 pt LP[K] ps 1.4 lc rgb LC[K] title LINE[K], NaN with lines lw 2 dt 2 lc rgb GREY title 'ideal'
    unset multiplot
    set border 3 lc rgb '#555555'; set tics nomirror out textcolor rgb '#222222'
}
unset output
