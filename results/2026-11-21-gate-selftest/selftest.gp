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
# What the gate measured on itself: a dot is the median of one confirmation. Data: row percent kind
NAME = 'selftest'
H = 640.0
array WORD[4] = ['SLOWER', 'FASTER', 'NOT RESOLVED', 'SAME, NOT SLOWER']
array KIND[4] = [VERMILLION, GREEN, ORANGE, BLUE]
do for [T = 1:2] {
    eval terminal(T, H)
    set output NAME.(T == 1 ? '.svg' : '.png')
    set lmargin at screen 0.22; set rmargin at screen 0.97; set bmargin at screen 0.24; set tmargin at screen 0.82
    set border 1 lc rgb PALE
    set xrange [-3:8]; set yrange [0.4:4.6]
    set xtics nomirror out 1 textcolor rgb INK format '%+g %%'
    unset ytics
    set grid xtics ls 10
    set label 1 'The gate on itself: what it measured, and what it said' at screen 0.5, screen 0.94 center font head_font(T)
    set label 2 'a dot: change of time of one comparison, median over the blocks of its confirmation; dashed: the least margin' at screen 0.5, screen 0.875 center textcolor rgb PALE
    set arrow 1 from -1, graph 0 to -1, graph 1 nohead lc rgb GREY dt 2
    set arrow 2 from 1, graph 0 to 1, graph 1 nohead lc rgb GREY dt 2
    set label 11 'control: 5 % injected' at screen 0.21, first 1 right
    set label 12 '5 % planted' at screen 0.21, first 2 right
    set label 13 '2 % planted' at screen 0.21, first 3 right
    set label 14 "nothing planted:\ncandidates by chance" at screen 0.21, first 4.1 right
    set label 20 'measured change of time (right: slower)' at screen 0.595, screen 0.13 center
    do for [K = 1:4] { set label 30 + K WORD[K] at screen 0.08 + 0.24 * (K - 1), screen 0.05 textcolor rgb KIND[K] }
    set jitter overlap 0.12 spread 0.12 wrap 12
    plot for [K = 1:4] NAME.'.dat' using ($3 == K ? $2 : NaN):1 with points pt 7 ps 0.7 * SIZE(T) lc rgb KIND[K]
    unset label; unset arrow
}
unset output
