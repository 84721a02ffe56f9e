NAME = 'scaling'
TITLE = 'What more threads bring'
SUBTITLE = 'Intel(R) Xeon(R) Processor, gcc 12.2.0, f32'
NP = 4
array PANEL[4] = ['data in L1, hidden 1024', 'data in L2, hidden 1024', 'data in L3, hidden 1024', 'data in DRAM, hidden 1024']
array FIRST[4] = [1, 4, 7, 10]
array LAST[4] = [3, 6, 9, 12]
array SERIES[12] = [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3]
NL = 4
array LINE[4] = ['two-pass LayerNorm', 'one-pass RMSNorm', 'scale: y = a*x', 'ideal']
NX = 2
XROT = 0
array X[2] = [1, 2]
array XLABEL[2] = ['1', '2']
YLABEL = 'throughput, 1 thread = 1x'

# Common to all pictures. Colours: Okabe and Ito, told apart by colour-blind readers too.
# Each picture is drawn twice with one layout, in pixels of a page W wide: NAME.svg and NAME.png.
# Legends are set by hand: gnuplot's own depend on each terminal's guess at the width of text.
set encoding utf8
BLUE = '#0072B2'; SKY = '#56B4E9'; GREEN = '#009E73'; ORANGE = '#E69F00'
VERMILLION = '#D55E00'; PURPLE = '#CC79A7'; BLACK = '#000000'; GREY = '#777777'
array COLOUR[8] = [BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK, GREY]
array POINT[8] = [7, 5, 9, 13, 11, 4, 6, 8]
do for [K = 1:8] { set linetype K lc rgb COLOUR[K] }
INK = '#222222'; PALE = '#555555'
W = 1600.0
svg_terminal(w, h) = sprintf("set terminal svg noenhanced size %d,%d dynamic background '#ffffff' font 'DejaVu Sans,20'", w, h)
png_terminal(w, h) = sprintf("set terminal pngcairo noenhanced size %d,%d background '#ffffff' font 'DejaVu Sans,15'", w, h)
terminal(t, h) = t == 1 ? svg_terminal(W, h) : png_terminal(W, h)
head_font(t) = 'DejaVu Sans,'.(t == 1 ? '28' : '21')
SIZE(t) = t == 1 ? 0.6 : 1.0 # points of the svg terminal grow with its font
set style line 10 lc rgb '#dddddd' lw 1
set style fill solid 0.85 noborder
unset key

# Throughput relative to the fewest threads, one panel a residency.
# Given above: NAME TITLE SUBTITLE NP PANEL FIRST LAST SERIES NL LINE NX X XLABEL XROT YLABEL
COLS = NP <= 3 ? NP : NP == 4 ? 2 : 3
ROWS = int((NP + COLS - 1) / COLS)
stats NAME.'.dat' using 2 nooutput
LOW = STATS_min
HEAD = 105.0; FOOT = LOW < 1 ? 110.0 : 60.0; ROW = NP == 1 ? 640.0 : 520.0
H = HEAD + FOOT + ROWS * ROW
LEFT = 140.0; RIGHT = 30.0; GAP = 40.0; UNDER = 98.0; OVER = 45.0
PW = (W - LEFT - RIGHT - (COLS - 1) * GAP) / COLS
array LC[4] = [BLUE, VERMILLION, GREEN, GREY]
array LP[4] = [7, 5, 9, 0]
array LD[4] = [1, 1, 1, 2]
do for [T = 1:2] {
    eval terminal(T, H)
    set output NAME.(T == 1 ? '.svg' : '.png')
    set multiplot
    set border 3 lc rgb PALE
    set logscale xy 2
    set xrange [X[1] / 1.15 : X[NX] * 1.15]
    set yrange [(LOW < 1 ? LOW / 1.25 : 0.8) : X[NX] / X[1] * 1.25]
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
        do for [I = 1:NX] { set xtics add (XLABEL[I] X[I]) }
        set label 4 PANEL[P] at graph 0.5, graph 1 center offset 0, 0.9
        set label 5 'threads (one a core)' at graph 0.5, screen (YB - 73) / H center
        set format y (C == 0 ? '%gx' : '')
        if (C == 0) { set ylabel YLABEL } else { unset ylabel }
        plot x / X[1] with lines lw 2 dt 2 lc rgb GREY, \
             for [S = FIRST[P]:LAST[P]] NAME.'.dat' index S - 1 using 1:2 with linespoints lw 3 pt LP[SERIES[S]] ps 1.4 * SIZE(T) lc rgb LC[SERIES[S]]
        unset label 1; unset label 2
    }
    unset label; unset ylabel; unset tics; unset border; unset grid; unset logscale
    set lmargin at screen 0; set rmargin at screen 1; set bmargin at screen 0; set tmargin at screen FOOT / H
    set xrange [0:W]; set yrange [0:FOOT]
    LX(k) = 110 + (k - 1) * 370
    do for [K = 1:NL] {
        set label 10 + K LINE[K] at LX(K) + 75, FOOT - 24
        set arrow 10 + K from LX(K), FOOT - 24 to LX(K) + 62, FOOT - 24 nohead lw 3 lc rgb LC[K] dt LD[K]
    }
    if (LOW < 1) {
        set label 1 'Below 1x: the barrier behind each pass over the data costs more than the other threads save.' at W / 2, 28 center textcolor rgb PALE
    }
    plot for [K = 1:3] '+' using (LX(K) + 31):(FOOT - 24) every ::0::0 with points pt LP[K] ps 1.4 * SIZE(T) lc rgb LC[K]
    unset label; unset arrow
    unset multiplot
}
unset output
