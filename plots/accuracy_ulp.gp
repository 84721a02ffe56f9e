# Share of the elements by error in last places of the output type, one panel an op.
# Given above: NAME TITLE SUBTITLE NP PANEL FIRST LAST STYLE NB OPEN YMIN NL LINE LSTYLE
HEAD = 105.0; OVER = 45.0; PH = 560.0; LEGEND = int((NL + 3) / 4) * 36.0 + 70
LEFT = 135.0; RIGHT = 30.0; GAP = 60.0
PW = (W - LEFT - RIGHT - (NP - 1) * GAP) / NP
BW = PW / (NB + 0.4)
UNDER = BW < 62 ? 138.0 : 98.0
H = HEAD + OVER + PH + UNDER + LEGEND
YB = LEGEND + UNDER
COLOR(s) = COLOUR[(s - 1) % 8 + 1]
DASH(s) = s > 8 ? 2 : 1
# Lines of equal height stand a few pixels apart, so that none hides another.
SHIFT(s, p) = (s - FIRST[p] - 0.5 * (LAST[p] - FIRST[p])) * (BW > 50 ? 4.0 : 0.05 * BW) / BW
do for [T = 1:2] {
    eval terminal(T, H)
    set output NAME.(T == 1 ? '.svg' : '.png')
    set multiplot
    set border 3 lc rgb PALE
    set logscale y
    set xrange [-0.2 : NB + 0.2]; set yrange [YMIN : 5]
    set grid ytics ls 10
    set bmargin at screen YB / H; set tmargin at screen (YB + PH) / H
    set label 1 TITLE at screen 0.5, screen 1 - 34 / H center font head_font(T)
    set label 2 SUBTITLE at screen 0.5, screen 1 - 76 / H center textcolor rgb PALE
    do for [P = 1:NP] {
        XL = LEFT + (P - 1) * (PW + GAP)
        set lmargin at screen XL / W; set rmargin at screen (XL + PW) / W
        set xtics () nomirror out textcolor rgb INK
        set ytics () nomirror out textcolor rgb INK
        if (BW < 62) { set xtics rotate by 90 right }
        do for [B = 1:NB] { set xtics add ((B == OPEN ? 'more' : B == 1 ? '½' : B < 12 ? sprintf('%d', 2 ** (B - 2)) : sprintf('2^%d', B - 2)) B - 0.5) }
        do for [E = int(floor(log10(YMIN) + 0.5)):0] {
            set ytics add ((P > 1 ? '' : E < -4 ? sprintf('1e%d %%%%', E + 2) : sprintf('%g %%%%', 10.0 ** (E + 2))) 10.0 ** E)
        }
        set arrow 1 from 1, graph 0 to 1, graph 1 nohead lw 1.5 dt 2 lc rgb GREY back
        set label 6 'from here on: not correctly rounded' at 1, 2.6 left offset 0.5, 0 textcolor rgb PALE
        set label 4 PANEL[P] at graph 0.5, graph 1 center offset 0, 0.9
        set label 5 'error: up to so many units in the last place' at graph 0.5, screen (YB - UNDER + 22) / H center
        if (P == 1) { set ylabel 'share of the elements' } else { unset ylabel }
        plot for [S = FIRST[P]:LAST[P]] NAME.'.dat' index S - 1 using ($1 + SHIFT(S, P)):($2 < YMIN ? YMIN / 100 : $2) with lines lw 2.5 lc rgb COLOR(STYLE[S]) dt DASH(STYLE[S])
        unset label; unset arrow
    }
    unset ylabel; unset tics; unset border; unset grid; unset logscale y
    set lmargin at screen 0; set rmargin at screen 1; set bmargin at screen 0; set tmargin at screen LEGEND / H
    set xrange [0:W]; set yrange [0:LEGEND]
    LX(k) = 110 + ((k - 1) % 4) * 375
    LY(k) = LEGEND - 20 - int((k - 1) / 4) * 36
    do for [K = 1:NL] {
        set label 10 + K LINE[K] at LX(K) + 72, LY(K)
        set arrow 10 + K from LX(K), LY(K) to LX(K) + 58, LY(K) nohead lw 2.5 lc rgb COLOR(LSTYLE[K]) dt DASH(LSTYLE[K])
    }
    set label 1 'Each step: the share of elements in that bin. A line that ends further left is more accurate. Lines are a few pixels apart on purpose.' at W / 2, 28 center textcolor rgb PALE
    plot NaN
    unset label; unset arrow
    unset multiplot
}
unset output
