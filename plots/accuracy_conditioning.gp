# Error of LayerNorm against the conditioning of its data: strongest ISA left, plain C right.
# Given above: NAME TITLE SUBTITLE NP PANEL FIRST LAST STYLE BX BY NK KP KX KY KSTYLE KTEXT NL LINE LSTYLE U XMAX YMIN YDATA
HEAD = 105.0; PH = 560.0; UNDER = 98.0; LEGEND = int((NL + 3) / 4) * 36.0 + 84
LEFT = 150.0; RIGHT = 40.0; GAP = 60.0
PW = (W - LEFT - RIGHT - (NP - 1) * GAP) / NP
DX = PW / log10(XMAX); DY = PH / (1.12 * log10(YDATA / YMIN))
YNAN = YDATA * 10 ** (0.06 * PH / 1.12 / DY); YTOP = YDATA * 10 ** (0.12 * PH / 1.12 / DY)
COLOR(s) = COLOUR[(s - 1) % 8 + 1]
SHAPE(s) = POINT[(s - 1) % 8 + 1]
DASH(s) = s > 8 ? 2 : 1
# Labels of what breaks stand above the panel, each left of the line down to its point and in the
# lowest row where it crosses neither a label nor such a line.
ROWS = 6
array KAT[NK > 0 ? NK : 1]
array KROW[NK > 0 ? NK : 1]
array END[ROWS]
MOST = 1
do for [P = 1:NP] {
    do for [R = 1:ROWS] { END[R] = -1e9 }
    do for [K = 1:NK] {
        if (KP[K] == P) {
            KAT[K] = DX * log10(KX[K]); KROW[K] = ROWS
            TAKEN = -1e9
            do for [I = 1:ROWS] {
                R = ROWS + 1 - I
                TAKEN = END[R] > TAKEN ? END[R] : TAKEN
                if (TAKEN < KAT[K] - 11.6 * strlen(KTEXT[K])) { KROW[K] = R }
            }
            END[KROW[K]] = KAT[K] + 8
            MOST = KROW[K] > MOST ? KROW[K] : MOST
        }
    }
}
OVER = 60.0 + MOST * 28
H = HEAD + OVER + PH + UNDER + LEGEND
YB = LEGEND + UNDER
do for [T = 1:2] {
    eval terminal(T, H)
    set output NAME.(T == 1 ? '.svg' : '.png')
    set multiplot
    set border 3 lc rgb PALE
    set logscale xy 10
    set xrange [1:XMAX]
    set yrange [YMIN:YTOP]
    set grid ytics ls 10
    set bmargin at screen YB / H; set tmargin at screen (YB + PH) / H
    set label 1 TITLE at screen 0.5, screen 1 - 34 / H center font head_font(T)
    set label 2 SUBTITLE at screen 0.5, screen 1 - 76 / H center textcolor rgb PALE
    do for [P = 1:NP] {
        XL = LEFT + (P - 1) * (PW + GAP)
        set lmargin at screen XL / W; set rmargin at screen (XL + PW) / W
        set xtics () nomirror out textcolor rgb INK
        set ytics () nomirror out textcolor rgb INK
        STEP = XMAX > 1e9 ? 2 : 1
        do for [E = 0:int(log10(XMAX) + 0.5):STEP] { set xtics add ((E == 0 ? '1' : sprintf('1e%d', E)) 10 ** E) }
        STEP = log10(YDATA / YMIN) > 12 ? 2 : 1
        do for [E = int(floor(log10(YMIN) + 0.5)):int(floor(log10(YDATA) + 0.5)):STEP] {
            set ytics add ((P > 1 ? '' : E == 0 ? '1' : sprintf('1e%d', E)) 10.0 ** E)
        }
        set ytics add ((P > 1 ? '' : 'NaN or Inf') YNAN)
        set object 1 rect from graph 0, first YDATA to graph 1, first YTOP behind fs solid noborder fc rgb '#F3E3DA'
        set arrow 1 from graph 0, first 0.1 to graph 1, first 0.1 nohead lw 1.5 dt 2 lc rgb INK back
        set label 6 'error 10 %' at graph 0, first 0.1 left offset 0.6, 0.6 textcolor rgb INK
        do for [S = 1:2] {
            G = U * (S == 1 ? 1 / 30.0 : 30) # apart from the lines: only the slope matters
            X1 = (YMIN / G) ** (1.0 / S); X1 = X1 < 1 ? 1 : X1
            X2 = (YDATA / G) ** (1.0 / S); X2 = X2 > XMAX ? XMAX : X2
            LONG = sqrt((DX * log10(X2 / X1)) ** 2 + (DY * S * log10(X2 / X1)) ** 2)
            if (X2 > X1) { set arrow 1 + S from first X1, first G * X1 ** S to first X2, first G * X2 ** S nohead lw 1.2 dt 4 lc rgb GREY back }
            if (X2 > X1 && LONG > 280) {
                MID = sqrt(X1 * X2)
                ANGLE = atan(S * DY / DX)
                AWAY = S == 1 ? -17 : 17
                SLOPE = S == 1 ? 'slope 1: error grows as k' : 'slope 2: error grows as k²'
                set label 6 + S SLOPE center rotate by ANGLE * 180 / pi textcolor rgb GREY \
                    at screen (XL + DX * log10(MID) - AWAY * sin(ANGLE)) / W, screen (YB + DY * log10(G * MID ** S / YMIN) + AWAY * cos(ANGLE)) / H
            }
        }
        do for [K = 1:NK] {
            if (KP[K] == P) {
                C = KSTYLE[K] > 0 ? COLOR(KSTYLE[K]) : INK
                YK = YB + PH + 18 + (KROW[K] - 1) * 28
                set label 20 + K KTEXT[K] at screen (XL + KAT[K] - 6) / W, screen YK / H right textcolor rgb C
                set arrow 20 + K from screen (XL + KAT[K]) / W, screen (YK + 10) / H to first KX[K], first (KY[K] > 0 ? KY[K] : YNAN) nohead lw 1.2 dt 3 lc rgb C
            }
        }
        set label 4 PANEL[P] at screen (XL + PW / 2) / W, screen (YB + PH + OVER - 22) / H center
        set label 5 'conditioning k = rms(x) / std (larger is harder)' at graph 0.5, screen (YB - 73) / H center
        if (P == 1) { set ylabel 'largest error / largest output' offset -1 } else { unset ylabel }
        plot for [S = FIRST[P]:LAST[P]] NAME.'.dat' index S - 1 using 1:($3 > 0 ? NaN : $2 < YMIN ? YMIN : $2 > YDATA ? YDATA : $2) with linespoints lw 2.5 pt SHAPE(STYLE[S]) ps 1.1 * SIZE(T) lc rgb COLOR(STYLE[S]) dt DASH(STYLE[S]), \
             for [S = FIRST[P]:LAST[P]] '' index S - 1 using 1:($3 > 0 ? YNAN : NaN) with points lw 2.5 pt SHAPE(STYLE[S]) ps 1.1 * SIZE(T) lc rgb COLOR(STYLE[S]), \
             for [S = FIRST[P]:LAST[P]] '+' using (BX[S] > 0 ? BX[S] : NaN):(BY[S] == 0 ? YNAN : BY[S] > YDATA ? YDATA : BY[S]) every ::0::0 with points pt 6 lw 2.5 ps 2.6 * SIZE(T) lc rgb COLOR(STYLE[S])
        unset label; unset arrow; unset object
    }
    unset ylabel; unset tics; unset border; unset grid; unset logscale xy
    set lmargin at screen 0; set rmargin at screen 1; set bmargin at screen 0; set tmargin at screen LEGEND / H
    set xrange [0:W]; set yrange [0:LEGEND]
    LX(k) = 110 + ((k - 1) % 4) * 375
    LY(k) = LEGEND - 20 - int((k - 1) / 4) * 36
    do for [K = 1:NL] {
        set label 10 + K LINE[K] at LX(K) + 72, LY(K)
        set arrow 10 + K from LX(K), LY(K) to LX(K) + 58, LY(K) nohead lw 2.5 lc rgb COLOR(LSTYLE[K]) dt DASH(LSTYLE[K])
    }
    set label 1 'The circle: the first point where the error passes 10 %, or there is NaN or Inf; the algorithm is useless from there on.' at W / 2, 62 center
    set label 2 'Slope 1 is what such data forces on any sum in this precision; slope 2 is the algorithm''s own doing.' at W / 2, 28 center textcolor rgb PALE
    plot for [K = 1:NL] '+' using (LX(K) + 29):(LY(K)) every ::0::0 with points pt SHAPE(LSTYLE[K]) ps 1.1 * SIZE(T) lc rgb COLOR(LSTYLE[K])
    unset label; unset arrow
    unset multiplot
}
unset output
