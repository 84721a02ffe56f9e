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
