NAME = 'claims_poster'
TITLE = 'How much time does RMSNorm save in the place of LayerNorm?'
SUBTITLE = 'Intel(R) Xeon(R) Processor, f32, forward, 1 thread, 8 processes'
NP = 3
array PANEL[3] = ['the norm alone, data in L2', 'the norm alone, data in DRAM', 'a whole transformer block']
array TICKS[3] = ['256 1024 4096 16384', '256 1024 4096 16384', '768 2048']
array FIRST[3] = [1, 4, 7]
array LAST[3] = [3, 6, 9]
array SERIES[9] = [1, 2, 3, 1, 2, 3, 1, 2, 3]
YMIN = -15
YMAX = 70
NT = 3
XMIN = 256
XMAX = 16384
array TYPE[3] = ['operation by operation', 'as the formula is written', 'best against best']

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

# Time that RMSNorm saves in LayerNorm's place, against hidden: one panel a place of the data and one of whole blocks, one line a class of
# implementations. Behind: what is claimed; a speedup of s saves 1 - 1/s of the time.
# Given above: NAME TITLE SUBTITLE NP PANEL TICKS FIRST LAST SERIES NT TYPE XMIN XMAX YMIN YMAX
HEAD = 105.0; FOOT = 165.0; ROW = 560.0
H = HEAD + FOOT + ROW
LEFT = 130.0; RIGHT = 30.0; GAP = 40.0; UNDER = 98.0; OVER = 45.0
PW = (W - LEFT - RIGHT - (NP - 1) * GAP) / NP
WIDE = '#E4EEE6'; NARROW = '#BFDCC9'
do for [T = 1:2] {
    eval terminal(T, H)
    set output NAME.(T == 1 ? '.svg' : '.png')
    set multiplot
    set border 3 lc rgb PALE
    set logscale x 2
    set xrange [XMIN / 1.6 : XMAX * 1.6]
    set yrange [YMIN : YMAX]
    set grid ytics ls 10
    set label 1 TITLE at screen 0.5, screen 1 - 34 / H center font head_font(T)
    set label 2 SUBTITLE at screen 0.5, screen 1 - 76 / H center textcolor rgb PALE
    set object 1 rect from graph 0, first 7 to graph 1, first (YMAX < 64 ? YMAX : 64) behind fs solid noborder fc rgb WIDE
    set object 2 rect from graph 0, first 100 / 11.0 to graph 1, first 100 / 6.0 behind fs solid noborder fc rgb NARROW
    set arrow 1 from graph 0, first 0 to graph 1, first 0 nohead lw 2.5 lc rgb INK back
    do for [P = 1:NP] {
        XL = LEFT + (P - 1) * (PW + GAP); YB = FOOT + UNDER
        set lmargin at screen XL / W; set rmargin at screen (XL + PW) / W
        set bmargin at screen YB / H; set tmargin at screen 1 - (HEAD + OVER) / H
        set ytics nomirror out textcolor rgb INK
        set xtics () nomirror out textcolor rgb INK
        do for [X in TICKS[P]] { set xtics add (X X + 0) }
        set label 4 PANEL[P] at graph 0.5, graph 1 center offset 0, 0.9
        set label 5 'hidden (elements a row)' at graph 0.5, screen (YB - 73) / H center
        set format y (P == 1 ? '%.0f %%' : '')
        if (P == 1) { set ylabel 'time saved: 1 - RMSNorm time / LayerNorm time' } else { unset ylabel }
        plot for [S = FIRST[P]:LAST[P]] NAME.'.dat' index S - 1 using 1:2:3:4 with yerrorlines lw 2.5 pt POINT[SERIES[S]] ps 1.3 * SIZE(T) lc rgb COLOUR[SERIES[S]] dt 1
        unset label 1; unset label 2
    }
    # The legend, in pixels from the lower left corner.
    unset object; unset arrow; unset label; unset ylabel; unset tics; unset border; unset grid; unset logscale x
    set lmargin at screen 0; set rmargin at screen 1; set bmargin at screen 0; set tmargin at screen FOOT / H
    set xrange [0:W]; set yrange [0:FOOT]
    STEPX = (W - 100.0) / NT
    do for [K = 1:NT] {
        XT = 50 + (K - 1) * STEPX
        set label 10 + K TYPE[K] at XT + 75, FOOT - 22
        set arrow 10 + K from XT + 15, FOOT - 22 to XT + 63, FOOT - 22 nohead lw 2.5 lc rgb COLOUR[K]
    }
    XA = 60; XB = 1000
    set object 1 rect from XA, FOOT - 70 to XA + 48, FOOT - 52 fs solid noborder fc rgb WIDE
    set object 2 rect from XA, FOOT - 105 to XA + 48, FOOT - 87 fs solid noborder fc rgb NARROW
    set arrow 1 from XB, FOOT - 61 to XB + 48, FOOT - 61 nohead lw 2.5 lc rgb INK
    set label 1 'claimed for whole training steps: 7-64 % less running time' at XA + 62, FOOT - 61
    set label 2 'claimed: 10-20 % faster, 1.1 to 1.2 times the speed' at XA + 62, FOOT - 96
    set label 4 '0 %: nothing saved; above it RMSNorm is faster' at XB + 62, FOOT - 61
    set label 3 'Bars: interval of the median over processes.' at XB + 62, FOOT - 96 textcolor rgb PALE
    plot for [K = 1:NT] '+' using (50 + (K - 1) * STEPX + 39):(FOOT - 22) every ::0::0 with points pt POINT[K] ps 1.3 * SIZE(T) lc rgb COLOUR[K]
    unset label; unset object; unset arrow
    unset multiplot
}
unset output
