# Time against error of every kernel, one panel an op; the front is numbered and named below.
# Given above: NAME TITLE SUBTITLE NP PANEL COUNT FRONT FX FY XMIN XMAX YMIN YMAX NL LINE LSTYLE
MOST = 1
do for [P = 1:NP] { MOST = COUNT[P] > MOST ? COUNT[P] : MOST }
HEAD = 105.0; OVER = 45.0; PH = 560.0; UNDER = 98.0; LIST = MOST * 30.0 + 20; LEGEND = int((NL + 3) / 4) * 36.0 + 70
H = HEAD + OVER + PH + UNDER + LIST + LEGEND
LEFT = 120.0; RIGHT = 30.0; GAP = 90.0
PW = (W - LEFT - RIGHT - (NP - 1) * GAP) / NP
YB = LEGEND + LIST + UNDER
DASH(q, p) = q == p ? 1 : 3
COLOR(s) = COLOUR[(s - 1) % 8 + 1]
array SHAPES[2] = [7, 9]
SHAPE(p) = SHAPES[PANEL[p] eq 'RMSNorm' ? 2 : 1]
do for [T = 1:2] {
    eval terminal(T, H)
    set output NAME.(T == 1 ? '.svg' : '.png')
    set multiplot
    set border 3 lc rgb PALE
    set logscale xy
    set xrange [XMIN:XMAX]; set yrange [YMIN:YMAX]
    set grid xtics ytics ls 10
    set bmargin at screen YB / H; set tmargin at screen (YB + PH) / H
    set label 1 TITLE at screen 0.5, screen 1 - 34 / H center font head_font(T)
    set label 2 SUBTITLE at screen 0.5, screen 1 - 76 / H center textcolor rgb PALE
    BEFORE = 0
    do for [P = 1:NP] {
        XL = LEFT + (P - 1) * (PW + GAP)
        set lmargin at screen XL / W; set rmargin at screen (XL + PW) / W
        set xtics () nomirror out textcolor rgb INK
        set ytics () nomirror out textcolor rgb INK
        do for [E = -3:4] { do for [D in (YMAX / YMIN < 12 ? '1 1.5 2 3 5 7' : '1 2 5')] {
            V = D * 10.0 ** E
            set ytics add (sprintf('%g', V) V)
        } }
        do for [E = -3:4] { do for [D in '1 2 5'] {
            V = D * 10.0 ** E
            set xtics add (sprintf('%g', V) V)
        } }
        set label 4 PANEL[P] at graph 0.5, graph 1 center offset 0, 0.9
        set label 5 'ns an element (left is faster)' at graph 0.5, screen (YB - 73) / H center
        if (P == 1) { set ylabel 'largest error E, unit roundoffs (lower is better)' } else { unset ylabel }
        do for [K = 1:COUNT[P]] {
            set label 20 + K sprintf('%d', K) at first FX[BEFORE + K], first FY[BEFORE + K] right offset -0.9, -0.6 textcolor rgb INK front
            set label 60 + K FRONT[BEFORE + K] at screen XL / W, screen (YB - UNDER - 10 - (K - 1) * 30) / H left
        }
        LASTY = COUNT[P] > 0 ? FY[BEFORE + COUNT[P]] : YMAX
        plot for [Q = 1:NP] NAME.'.dat' index 2 * Q - 1 using 1:2 with steps lw (Q == P ? 2.5 : 1.5) dt DASH(Q, P) lc rgb (Q == P ? INK : GREY), \
             '' index 2 * P - 2 using 1:2:((int($3) - 1) % 8 + 1) with points pt SHAPE(P) ps 1.6 * SIZE(T) lc variable, \
             '' index 2 * P - 1 using 1:2 with points pt (SHAPE(P) == 7 ? 6 : 8) ps 2.2 * SIZE(T) lw 2 lc rgb INK
        BEFORE = BEFORE + COUNT[P]
        unset label
    }
    unset ylabel; unset tics; unset border; unset grid; unset logscale xy
    set lmargin at screen 0; set rmargin at screen 1; set bmargin at screen 0; set tmargin at screen LEGEND / H
    set xrange [0:W]; set yrange [0:LEGEND]
    LX(k) = 110 + ((k - 1) % 4) * 375
    LY(k) = LEGEND - 20 - int((k - 1) / 4) * 36
    do for [K = 1:NL] {
        set label 10 + K LINE[K] at LX(K) + 60, LY(K)
        set object 10 + K rect from LX(K), LY(K) - 9 to LX(K) + 48, LY(K) + 9 fs solid 0.85 noborder fc rgb COLOR(LSTYLE[K])
    }
    set label 1 'The line joins kernels that no other of the op beats in both time and error (by 1 % or more); dotted: that of the other op.' at W / 2, 28 center textcolor rgb PALE
    plot NaN
    unset label; unset object
    unset multiplot
}
unset output
