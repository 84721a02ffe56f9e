NAME = 'algorithms'
TITLE = 'Every algorithm: time of a row'
SUBTITLE = 'Intel(R) Xeon(R) Processor, gcc 12.2.0, f32, hidden 1024, data in L2, 1 thread'
NP = 2
array PANEL[2] = ['LayerNorm', 'RMSNorm']
array COUNT[2] = [12, 11]
NA = 23
array LABEL[23] = ['unfused avx512', 'naive avx512', 'twopass avx512', 'welford avx512', 'onepass avx512', 'f64acc avx512', 'twopass scalar', 'twopass autovec_avx2', 'twopass autovec_avx2 ompsimd', 'twopass autovec_avx512', 'twopass autovec_avx512 ompsimd', 'twopass avx2', 'unfused avx512', 'naive avx512', 'onepass avx512', 'welford avx512', 'f64acc avx512', 'onepass scalar', 'onepass autovec_avx2', 'onepass autovec_avx2 ompsimd', 'onepass autovec_avx512', 'onepass autovec_avx512 ompsimd', 'onepass avx2']
NG = 5
array ISA[5] = ['avx512', 'scalar', 'autovec_avx2', 'autovec_avx512', 'avx2']
XMAX = 1612.69
ROOF = 76.9563
ROOFNAME = 'roof: copy avx512'

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

# ns a row of every algorithm in one cell: LayerNorm left, RMSNorm right, one scale for both.
# Given above: NAME TITLE SUBTITLE NP PANEL COUNT NA LABEL NG ISA XMAX ROOF ROOFNAME
MOST = 6
do for [P = 1:NP] { MOST = COUNT[P] > MOST ? COUNT[P] : MOST }
NL = NG + (ROOF > 0)
HEAD = 150.0; LEGEND = int((NL + 3) / 4) * 36.0 + 14; FOOT = 96.0 + LEGEND
H = HEAD + FOOT + MOST * 36.0
LEFT = 375.0; RIGHT = 45.0; GAP = 385.0
PW = (W - LEFT - RIGHT - (NP - 1) * GAP) / NP
# At most five ticks: a step of 1, 2 or 5 times a power of ten.
STEP = XMAX * 1.2 / 5; TEN = 10.0 ** floor(log10(STEP))
STEP = TEN * (STEP <= TEN ? 1 : STEP <= 2 * TEN ? 2 : STEP <= 5 * TEN ? 5 : 10)
do for [T = 1:2] {
    eval terminal(T, H)
    set output NAME.(T == 1 ? '.svg' : '.png')
    set multiplot
    set border 3 lc rgb PALE
    set xrange [0 : XMAX * 1.2]
    set yrange [MOST + 0.6 : 0.4]
    set xtics STEP nomirror out textcolor rgb INK
    set grid xtics ls 10
    set bmargin at screen FOOT / H; set tmargin at screen 1 - HEAD / H
    set label 1 TITLE at screen 0.5, screen 1 - 34 / H center font head_font(T)
    set label 2 SUBTITLE at screen 0.5, screen 1 - 76 / H center textcolor rgb PALE
    if (ROOF > 0) { set arrow 1 from first ROOF, graph 0 to first ROOF, graph 1 nohead lw 2.5 dt 2 lc rgb BLACK front }
    BEFORE = 0
    do for [P = 1:NP] {
        XL = LEFT + (P - 1) * (PW + GAP)
        set lmargin at screen XL / W; set rmargin at screen (XL + PW) / W
        set ytics () nomirror scale 0 textcolor rgb INK
        do for [I = 1:COUNT[P]] { set ytics add (LABEL[BEFORE + I] I) }
        BEFORE = BEFORE + COUNT[P]
        set label 4 PANEL[P] at graph 0.5, graph 1 center offset 0, 0.9
        set label 5 'ns a row (shorter is faster)' at graph 0.5, screen (FOOT - 72) / H center
        plot NAME.'.dat' index P - 1 using (0):1:(0):2:($1 - 0.38):($1 + 0.38):5 with boxxyerror lc variable, \
             '' index P - 1 using 2:1:3:4 with xerrorbars pt 0 lw 1.5 lc rgb INK, \
             '' index P - 1 using ($4 > $2 ? $4 : $2):1:($2 < 100 ? sprintf('%.3g', $2) : sprintf('%.0f', $2)) with labels left offset 0.6, 0
        unset label 1; unset label 2
    }
    unset label; unset arrow; unset tics; unset border; unset grid
    set lmargin at screen 0; set rmargin at screen 1; set bmargin at screen 0; set tmargin at screen LEGEND / H
    set xrange [0:W]; set yrange [0:LEGEND]
    LX(k) = 90 + ((k - 1) % 4) * 375
    LY(k) = LEGEND - 20 - int((k - 1) / 4) * 36
    do for [K = 1:NG] {
        set label 10 + K ISA[K] at LX(K) + 60, LY(K)
        set object 10 + K rect from LX(K), LY(K) - 9 to LX(K) + 48, LY(K) + 9 fs solid 0.85 noborder fc rgb COLOUR[K]
    }
    if (ROOF > 0) {
        set label 1 ROOFNAME at LX(NL) + 60, LY(NL)
        set arrow 1 from LX(NL), LY(NL) to LX(NL) + 48, LY(NL) nohead lw 2.5 dt 2 lc rgb BLACK
    }
    plot NaN
    unset label; unset arrow; unset object
    unset multiplot
}
unset output
