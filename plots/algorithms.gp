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
