# Error of every algorithm (rows) on every family of data (columns, grouped by class).
# Given above: NAME TITLE SUBTITLE NM FROM COL LONGEST NR ROW CMAX NCLASS CLASSNAME CLASSMAP CLASSFROM CLASSTO NOP OPNAME OPFROM OPTO
HEAD = 105.0; FOOT = 120.0; CH = 25.0
LEFT = 355.0; RIGHT = 25.0
MOST = 0
do for [M = 1:NM] { MOST = FROM[M + 1] - FROM[M] > MOST ? FROM[M + 1] - FROM[M] : MOST }
CW = (W - LEFT - RIGHT) / MOST; CW = CW > 60 ? 60 : CW
# Names of classes narrower than their name stand alternately higher.
array LIFT[NCLASS]
do for [G = 1:NCLASS] {
    LIFT[G] = (CLASSTO[G] - CLASSFROM[G] + 1) * CW > 12 * strlen(CLASSNAME[G]) ? 0 : G > 1 && LIFT[G > 1 ? G - 1 : 1] == 1 ? 2 : 1
}
HIGH = 0
do for [G = 1:NCLASS] { HIGH = LIFT[G] == 2 ? 26 : HIGH }
OVER = 50 + HIGH + 10.2 * LONGEST; MH = OVER + NR * CH + 20
H = HEAD + FOOT + NM * MH
FAIL = '#C8102E'; HAZARD = '#D4D4D4'
set palette defined (0 '#FFFFE5', 1 '#EDF8B1', 2 '#C7E9B4', 3 '#7FCDBB', 4 '#41B6C4', 5 '#1D91C0', 6 '#225EA8', 7 '#253494', 8 '#081D58')
set cbrange [0:CMAX]
unset colorbox
small_font(t) = 'DejaVu Sans,'.(t == 1 ? '17' : '12.75')
bold_font(t) = 'DejaVu Sans Bold,'.(t == 1 ? '17' : '12.75')
do for [T = 1:2] {
    eval terminal(T, H)
    set output NAME.(T == 1 ? '.svg' : '.png')
    set multiplot
    unset border
    set label 1 TITLE at screen 0.5, screen 1 - 34 / H center font head_font(T)
    set label 2 SUBTITLE at screen 0.5, screen 1 - 76 / H center textcolor rgb PALE
    do for [M = 1:NM] {
        N = FROM[M + 1] - FROM[M]
        YT = H - HEAD - (M - 1) * MH - OVER
        set lmargin at screen LEFT / W; set rmargin at screen (LEFT + N * CW) / W
        set tmargin at screen YT / H; set bmargin at screen (YT - NR * CH) / H
        set xrange [0.5 : N + 0.5]; set yrange [NR + 0.5 : 0.5]
        unset tics
        do for [R = 1:NR] { set label 2000 + R ROW[R] at screen (LEFT - 10) / W, first R right font small_font(T) }
        do for [C = 1:N] { set label 1000 + C COL[FROM[M] + C] at first C, screen (YT + 8) / H rotate by 90 left font small_font(T) }
        do for [G = 1:NCLASS] {
            if (CLASSMAP[G] == M) {
                YC = YT + OVER - HIGH - 28 + (LIFT[G] == 2 ? 26 : 0)
                if (LIFT[G] == 0) { set label 100 + G CLASSNAME[G] at first 0.5 * (CLASSFROM[G] + CLASSTO[G]), screen YC / H center textcolor rgb BLUE } \
                else { set label 100 + G CLASSNAME[G] at first CLASSFROM[G] - 0.4, screen YC / H left textcolor rgb BLUE }
                set arrow 100 + 2 * G from first CLASSFROM[G] - 0.4, screen (YT + OVER - HIGH - 42) / H to first CLASSTO[G] + 0.4, screen (YT + OVER - HIGH - 42) / H nohead lw 2 lc rgb BLUE
                if (CLASSFROM[G] > 1) { set arrow 101 + 2 * G from first CLASSFROM[G] - 0.5, graph 0 to first CLASSFROM[G] - 0.5, graph 1 nohead lw 2.5 lc rgb INK front }
            }
        }
        do for [G = 1:NOP] {
            TALL = (OPTO[G] - OPFROM[G] + 1) * CH > 14 * strlen(OPNAME[G])
            if (TALL) { set label 500 + G OPNAME[G] at screen 28 / W, first 0.5 * (OPFROM[G] + OPTO[G]) rotate by 90 center textcolor rgb BLUE } \
            else { set label 500 + G OPNAME[G] at screen 16 / W, first 0.5 * (OPFROM[G] + OPTO[G]) left textcolor rgb BLUE font small_font(T) }
            if (OPFROM[G] > 1) { set arrow 500 + G from screen 12 / W, first OPFROM[G] - 0.5 to graph 1, first OPFROM[G] - 0.5 nohead lw 2.5 lc rgb INK front }
        }
        plot NAME.'.dat' index M - 1 using 1:($4 == 0 ? $2 : NaN):(0.48):(0.46):3 with boxxyerror fc palette fs solid noborder, \
             '' index M - 1 using 1:($4 == 1 ? $2 : NaN):(0.48):(0.46) with boxxyerror fc rgb HAZARD fs solid noborder, \
             '' index M - 1 using 1:($4 == 2 ? $2 : NaN):(0.48):(0.46) with boxxyerror fc rgb FAIL fs solid noborder, \
             '' index M - 1 using 1:($4 == 0 && $3 <= 0.55 * CMAX && strcol(5) ne '.' ? $2 : NaN):(strcol(5)) with labels font small_font(T) textcolor rgb INK, \
             '' index M - 1 using 1:($4 == 0 && $3 > 0.55 * CMAX && strcol(5) ne '.' ? $2 : NaN):(strcol(5)) with labels font small_font(T) textcolor rgb '#FFFFFF', \
             '' index M - 1 using 1:($4 == 1 ? $2 : NaN):(strcol(5)) with labels font small_font(T) textcolor rgb INK, \
             '' index M - 1 using 1:($4 == 3 ? $2 : NaN):(strcol(5)) with labels font small_font(T) textcolor rgb GREY, \
             '' index M - 1 using 1:($4 == 2 ? $2 : NaN):(strcol(5)) with labels font bold_font(T) textcolor rgb '#FFFFFF'
        unset label; unset arrow
    }
    set lmargin at screen 0; set rmargin at screen 1; set bmargin at screen 0; set tmargin at screen FOOT / H
    set xrange [0:W]; set yrange [0:FOOT]
    BOX = 520.0 / (CMAX + 1)
    set label 1 'largest error in unit roundoffs (E):' at 40, FOOT - 32
    do for [I = 0:CMAX] {
        STEP = CMAX > 8 && I % 2 ? '' : sprintf('%d', 2 ** I)
        set label 10 + I STEP at 440 + (I + 0.5) * BOX, FOOT - 62 center font small_font(T)
    }
    set label 2 'not above 1 is as good as correct rounding' at 440 + 540, FOOT - 32 textcolor rgb PALE
    set object 1 rect from 40, 14 to 70, 40 fs solid noborder fc rgb FAIL
    set label 3 'F' at 55, 27 center font bold_font(T) textcolor rgb '#FFFFFF'
    set label 4 'failed' at 80, 27
    set object 2 rect from 190, 14 to 220, 40 fs solid noborder fc rgb HAZARD
    set label 5 'U' at 205, 27 center font small_font(T)
    set label 6 'unstable: conditioning beyond the bound' at 230, 27
    set object 3 rect from 690, 14 to 720, 40 fs solid noborder fc rgb HAZARD
    set label 7 'O' at 705, 27 center font small_font(T)
    set label 8 'overflow or underflow inside' at 730, 27
    set label 9 'u, o: some rows only     -: nothing to judge' at 1080, 27
    plot '+' using (440 + ($0 + 0.5) * BOX):(FOOT - 32):(BOX / 2):(14.0):($0) every ::0::CMAX with boxxyerror fc palette fs solid noborder
    unset label; unset object
    unset multiplot
}
unset output
