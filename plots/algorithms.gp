# ns a row of every algorithm in one cell: LayerNorm left, RMSNorm right, one scale for both.
# Given above: NAME TITLE SUBTITLE NP PANEL COUNT LABEL NA NG ISA XMAX ROOF ROOFNAME
MOST = 0
do for [P = 1:NP] { MOST = COUNT[P] > MOST ? COUNT[P] : MOST }
HEAD = 150.0; FOOT = 175.0
H = HEAD + FOOT + (MOST < 6 ? 6 : MOST) * 36.0
LEFT = 330.0; RIGHT = 30.0; GAP = 330.0
PW = (W - LEFT - RIGHT - (NP - 1) * GAP) / NP
do for [T = 1:2] {
    eval T == 1 ? svg_terminal(W, H) : png_terminal(W, H)
    set output T == 1 ? NAME.'.svg' : NAME.'.png'
    set multiplot
    set label 1 TITLE at screen 0.5, screen 1 - 34 / H center font 'DejaVu Sans,'.(T == 1 ? '28' : '21')
    set label 2 SUBTITLE at screen 0.5, screen 1 - 78 / H center textcolor rgb '#444444'
    set xrange [0 : XMAX * 1.14]
    set xtics nomirror out
    set grid xtics ls 10
    set style fill solid 0.85 noborder
    unset key
    OFFSET = 0
    do for [P = 1:NP] {
        set lmargin at screen (LEFT + (P - 1) * (PW + GAP)) / W
        set rmargin at screen (LEFT + (P - 1) * (PW + GAP) + PW) / W
        set tmargin at screen 1 - HEAD / H
        set bmargin at screen FOOT / H
        set yrange [MOST + 0.6 : 0.4]
        set ytics () nomirror scale 0
        do for [I = 1:COUNT[P]] { set ytics add (LABEL[OFFSET + I] I) }
        OFFSET = OFFSET + COUNT[P]
        set title PANEL[P] offset 0, -0.4
        set xlabel 'ns a row (shorter is better)'
        if (ROOF > 0) { set arrow 1 from first ROOF, graph 0 to first ROOF, graph 1 nohead lw 2.5 dt 2 lc rgb BLACK front }
        plot NAME.'.dat' index P - 1 using (0):1:(0):2:($1 - 0.38):($1 + 0.38):5 with boxxyerror lc variable, \
             '' index P - 1 using 2:1:3:4 with xerrorbars pt 0 lw 1.5 lc rgb '#222222', \
             '' index P - 1 using ($4 > $2 ? $4 : $2):1:(sprintf('%.3g', $2)) with labels left offset 0.6, 0
        unset label 1; unset label 2
    }
    unset title; unset xlabel; unset ylabel; unset tics; unset border; unset grid; unset label; unset arrow
    set lmargin at screen 0.02; set rmargin at screen 0.98
    set bmargin at screen 8 / H; set tmargin at screen 90 / H
    set xrange [0:1]; set yrange [0:1]
    set key at screen 0.5, screen 85 / H center top horizontal Left reverse samplen 2.2 width 2 maxrows 2
    if (ROOF > 0) {
        plot for [K = 1:NG] NaN with boxes fs solid 0.85 noborder lc K title ISA[K], NaN with lines lw 2.5 dt 2 lc rgb BLACK title ROOFNAME
    } else {
        plot for [K = 1:NG] NaN with boxes fs solid 0.85 noborder lc K title ISA[K]
    }
    unset multiplot
    set border 3 lc rgb '#555555'; set tics nomirror out textcolor rgb '#222222'
}
unset output
