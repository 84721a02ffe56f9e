# Speedup of RMSNorm over LayerNorm against hidden: one panel a residency, one line a dtype.
# Given above: NAME TITLE SUBTITLE NP PANEL FIRST LAST NT TYPE SERIES NX X XLABEL XROT YMIN YMAX
COLS = NP <= 3 ? NP : NP == 4 ? 2 : 3
ROWS = int((NP + COLS - 1) / COLS)
HEAD = 110.0; FOOT = 185.0; ROW = NP == 1 ? 620.0 : 520.0
H = HEAD + FOOT + ROWS * ROW
LEFT = 150.0; RIGHT = 30.0; GAP = 40.0; UNDER = XROT ? 140.0 : 95.0; OVER = 45.0
PW = (W - LEFT - RIGHT - (COLS - 1) * GAP) / COLS
do for [T = 1:2] {
    eval T == 1 ? svg_terminal(W, H) : png_terminal(W, H)
    set output T == 1 ? NAME.'.svg' : NAME.'.png'
    set multiplot
    set label 1 TITLE at screen 0.5, screen 1 - 34 / H center font 'DejaVu Sans,'.(T == 1 ? '28' : '21')
    set label 2 SUBTITLE at screen 0.5, screen 1 - 78 / H center textcolor rgb '#444444'
    set logscale x 2
    set xrange [X[1] / 1.4 : X[NX] * 1.4]
    set yrange [YMIN : YMAX]
    set format y '%.2fx'
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
        if (C == 0) {
            set ylabel 'LayerNorm time / RMSNorm time'
            set format y '%.2fx'
        } else {
            unset ylabel
            set format y ''
        }
        set object 1 rect from graph 0, first 1 / (1 - 0.07) to graph 1, first 1 / (1 - 0.64) behind fs solid noborder fc rgb '#E4EEE6'
        set object 2 rect from graph 0, first 1.10 to graph 1, first 1.20 behind fs solid noborder fc rgb '#BFDCC9'
        set object 3 rect from graph 0, first 1 / (1 - 0.10) to graph 1, first 1 / (1 - 0.20) behind fs transparent pattern 4 noborder fc rgb '#7FA98E'
        set arrow 1 from graph 0, first 1 to graph 1, first 1 nohead lw 2.5 lc rgb '#333333' back
        # Between the first two points, where no bar is; where they are close the legend must do.
        if (NX == 1 || PW * log(X[2] / X[1]) / log(X[NX] / X[1] * 2) > 180) { set label 3 'no difference' at first (NX > 1 ? sqrt(X[1] * X[2]) : X[1] / 1.35), first 1 center offset 0, -0.7 textcolor rgb '#333333' }
        plot for [S = FIRST[P]:LAST[P]] NAME.'.dat' index S - 1 using 1:2:3:4 with yerrorlines lw 2.5 pt POINT[SERIES[S]] ps 1.3 lc rgb COLOUR[SERIES[S]] dt 1
        unset label 1; unset label 2
    }
    # The legend is a panel of its own, below.
    unset object; unset arrow; unset label; unset title; unset xlabel; unset ylabel; unset tics; unset border; unset grid
    unset logscale x
    set lmargin at screen 0.02; set rmargin at screen 0.98
    set bmargin at screen 50 / H; set tmargin at screen 175 / H
    set xrange [0:1]; set yrange [0:1]
    set key at screen 0.5, screen 172 / H center top horizontal Left reverse samplen 2.2 width 2 maxrows 1
    plot for [K = 1:NT] NaN with linespoints lw 2.5 pt POINT[K] ps 1.3 lc rgb COLOUR[K] title TYPE[K]
    set key at screen 0.5, screen 128 / H center top horizontal Left reverse samplen 2.2 width -4 maxrows 2
    set label 4 'Bars: interval of the median over processes. Above 1.00x RMSNorm is faster.' at screen 0.5, screen 28 / H center textcolor rgb '#444444'
    plot NaN with boxes fs solid noborder fc rgb '#E4EEE6' title 'claimed: 7-64 % less time (1.08x-2.78x)', \
         NaN with boxes fs solid noborder fc rgb '#BFDCC9' title 'claimed: 10-20 % faster (1.10x-1.20x)', \
         NaN with boxes fs transparent pattern 4 noborder fc rgb '#7FA98E' title 'the same, read as time saved (1.11x-1.25x)', \
         NaN with lines lw 2.5 lc rgb '#333333' title '1.00x: no difference'
    unset label
    unset multiplot
    set border 3 lc rgb '#555555'; set tics nomirror out textcolor rgb '#222222'
}
unset output
