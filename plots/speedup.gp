# Speedup of RMSNorm over LayerNorm against hidden: one panel a residency, one line a dtype.
# Given above: NAME TITLE SUBTITLE NP PANEL FIRST LAST SERIES NT TYPE X XLABEL XFIRST XLAST XMIN XMAX XROT TAILS WINNERS YMIN YMAX
COLS = NP <= 3 ? NP : NP == 4 ? 2 : 3
ROWS = int((NP + COLS - 1) / COLS)
HEAD = 105.0; FOOT = WINNERS eq '' ? 165.0 : 197.0; ROW = NP == 1 ? 640.0 : 520.0
H = HEAD + FOOT + ROWS * ROW
LEFT = 150.0; RIGHT = 30.0; GAP = 40.0; UNDER = XROT ? 138.0 : 98.0; OVER = 45.0
PW = (W - LEFT - RIGHT - (COLS - 1) * GAP) / COLS
WIDE = '#E4EEE6'; NARROW = '#BFDCC9'; HATCH = '#7FA98E'
do for [T = 1:2] {
    eval terminal(T, H)
    set output NAME.(T == 1 ? '.svg' : '.png')
    set multiplot
    set border 3 lc rgb PALE
    set logscale x 2
    set xrange [XMIN / 1.4 : XMAX * 1.4]
    set yrange [YMIN : YMAX]
    set grid ytics ls 10
    set label 1 TITLE at screen 0.5, screen 1 - 34 / H center font head_font(T)
    set label 2 SUBTITLE at screen 0.5, screen 1 - 76 / H center textcolor rgb PALE
    set object 1 rect from graph 0, first 1 / (1 - 0.07) to graph 1, first 1 / (1 - 0.64) behind fs solid noborder fc rgb WIDE
    set object 2 rect from graph 0, first 1.10 to graph 1, first 1.20 behind fs solid noborder fc rgb NARROW
    set object 3 rect from graph 0, first 1 / (1 - 0.10) to graph 1, first 1 / (1 - 0.20) behind fs transparent pattern 4 noborder fc rgb HATCH
    set arrow 1 from graph 0, first 1 to graph 1, first 1 nohead lw 2.5 lc rgb INK back
    do for [P = 1:NP] {
        C = (P - 1) % COLS; R = int((P - 1) / COLS)
        XL = LEFT + C * (PW + GAP); YB = H - HEAD - (R + 1) * ROW + UNDER
        set lmargin at screen XL / W; set rmargin at screen (XL + PW) / W
        set bmargin at screen YB / H; set tmargin at screen 1 - (HEAD + R * ROW + OVER) / H
        set ytics nomirror out textcolor rgb INK
        set xtics () nomirror out textcolor rgb INK
        do for [I = XFIRST[P]:XLAST[P]] { set xtics add (XLABEL[I] X[I]) }
        if (XROT) { set xtics rotate by 90 right }
        set label 4 PANEL[P] at graph 0.5, graph 1 center offset 0, 0.9
        set label 5 'hidden (elements a row)' at graph 0.5, screen (YB - (XROT ? 110 : 73)) / H center
        set format y (C == 0 ? '%.2fx' : '')
        if (C == 0) { set ylabel 'LayerNorm time / RMSNorm time' } else { unset ylabel }
        plot for [S = FIRST[P]:LAST[P]] NAME.'.dat' index S - 1 using 1:2:3:4 with yerrorlines lw 2.5 pt POINT[SERIES[S]] ps 1.3 * SIZE(T) lc rgb COLOUR[SERIES[S]] dt 1
        unset label 1; unset label 2
    }
    # The legend, in pixels from the lower left corner.
    unset object; unset arrow; unset label; unset ylabel; unset tics; unset border; unset grid; unset logscale x
    set lmargin at screen 0; set rmargin at screen 1; set bmargin at screen 0; set tmargin at screen FOOT / H
    set xrange [0:W]; set yrange [0:FOOT]
    XT = (W - NT * 190) / 2
    do for [K = 1:NT] {
        set label 10 + K TYPE[K] at XT + (K - 1) * 190 + 75, FOOT - 22
        set arrow 10 + K from XT + (K - 1) * 190 + 15, FOOT - 22 to XT + (K - 1) * 190 + 63, FOOT - 22 nohead lw 2.5 lc rgb COLOUR[K]
    }
    XA = 190; XB = 870
    set object 1 rect from XA, FOOT - 70 to XA + 48, FOOT - 52 fs solid noborder fc rgb WIDE
    set object 2 rect from XA, FOOT - 105 to XA + 48, FOOT - 87 fs solid noborder fc rgb NARROW
    set object 3 rect from XB, FOOT - 105 to XB + 48, FOOT - 87 fs transparent pattern 4 noborder fc rgb HATCH
    set arrow 1 from XB, FOOT - 61 to XB + 48, FOOT - 61 nohead lw 2.5 lc rgb INK
    set label 1 'published: 7-64 % less time (1.08x-2.78x)' at XA + 62, FOOT - 61
    set label 2 'published: 10-20 % faster (1.10x-1.20x)' at XA + 62, FOOT - 96
    set label 3 'the same, read as time saved (1.11x-1.25x)' at XB + 62, FOOT - 96
    set label 4 '1.00x: no difference; above it RMSNorm is faster' at XB + 62, FOOT - 61
    set label 5 'Bars: interval of the median over processes.'.(TAILS eq '' ? '' : ' No line joins lengths that are no multiples of 64: '.TAILS.'.') at W / 2, FOOT - 139 center textcolor rgb PALE
    if (WINNERS ne '') { set label 6 WINNERS at W / 2, 26 center }
    plot for [K = 1:NT] '+' using (XT + (K - 1) * 190 + 39):(FOOT - 22) every ::0::0 with points pt POINT[K] ps 1.3 * SIZE(T) lc rgb COLOUR[K]
    unset label; unset object; unset arrow
    unset multiplot
}
unset output
