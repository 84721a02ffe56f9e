# GB/s against hidden, one panel a residency: norms, the roof, and what parameters alone cost.
# Given above: NAME TITLE SUBTITLE NP PANEL FIRST LAST SERIES NL LINE NX X XLABEL XROT
COLS = NP <= 3 ? NP : NP == 4 ? 2 : 3
ROWS = int((NP + COLS - 1) / COLS)
HEAD = 110.0; FOOT = 130.0; ROW = NP == 1 ? 620.0 : 500.0
H = HEAD + FOOT + ROWS * ROW
LEFT = 110.0; RIGHT = 30.0; GAP = 95.0; UNDER = XROT ? 140.0 : 95.0; OVER = 45.0
PW = (W - LEFT - RIGHT - (COLS - 1) * GAP) / COLS
array LC[7] = [BLACK, BLUE, VERMILLION, SKY, ORANGE, GREY, GREY]
array LP[7] = [2, 7, 5, 6, 4, 1, 3]
array LW[7] = [3, 3, 3, 2, 2, 1.5, 1.5]
array LD[7] = [1, 1, 1, 2, 2, 4, 3]
do for [T = 1:2] {
    eval T == 1 ? svg_terminal(W, H) : png_terminal(W, H)
    set output T == 1 ? NAME.'.svg' : NAME.'.png'
    set multiplot
    set label 1 TITLE at screen 0.5, screen 1 - 34 / H center font 'DejaVu Sans,'.(T == 1 ? '28' : '21')
    set label 2 SUBTITLE at screen 0.5, screen 1 - 78 / H center textcolor rgb '#444444'
    set logscale x 2
    set xrange [X[1] / 1.4 : X[NX] * 1.4]
    set yrange [0:*]
    set offsets 0, 0, graph 0.08, 0
    set format y '%g'
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
        if (XROT) { set xtics rotate by 90 right }
        set title PANEL[P] offset 0, -0.4
        set xlabel 'hidden (elements a row)' offset 0, (XROT ? 1.4 : 0)
        if (C == 0) { set ylabel 'GB/s: x read once, y written once' } else { unset ylabel }
        plot for [S = FIRST[P]:LAST[P]] NAME.'.dat' index S - 1 using 1:2 with linespoints lw LW[SERIES[S]] pt LP[SERIES[S]] ps 1.3 lc rgb LC[SERIES[S]] dt LD[SERIES[S]]
        unset label 1; unset label 2
    }
    unset title; unset xlabel; unset ylabel; unset tics; unset border; unset grid; unset label
    unset logscale x; unset offsets
    set lmargin at screen 0.02; set rmargin at screen 0.98
    set bmargin at screen 20 / H; set tmargin at screen 120 / H
    set xrange [0:1]; set yrange [0:1]
    set key at screen 0.5, screen 112 / H center top horizontal Left reverse samplen 3 width 2 maxrows 3
    plot for [K = 1:NL] NaN with linespoints lw LW[K] pt LP[K] ps 1.3 lc rgb LC[K] dt LD[K] title LINE[K]
    unset multiplot
    set border 3 lc rgb '#555555'; set tics nomirror out textcolor rgb '#222222'
}
unset output
