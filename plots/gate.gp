# Change of time, head over base, one row a comparison: median, interval, and the margin as a pale band.
# Given above: NAME TITLE N LABEL; data: row median lo hi margin kind
ROW = 34.0
HEAD = 110.0; FOOT = 130.0
H = HEAD + FOOT + N * ROW
array KIND[6] = [BLACK, VERMILLION, GREEN, ORANGE, BLUE, GREY]
array WORD[6] = ['injected control', 'SLOWER', 'FASTER', 'NOT RESOLVED', 'SAME', 'screened alone']
stats NAME.'.dat' using 3 nooutput name 'LO'
stats NAME.'.dat' using 4 nooutput name 'HI'
stats NAME.'.dat' using 5 nooutput name 'MARGIN'
LOW = (LO_min < -MARGIN_max ? LO_min : -MARGIN_max); HIGH = (HI_max > MARGIN_max ? HI_max : MARGIN_max)
PAD = 0.06 * (HIGH - LOW) + 0.1
do for [T = 1:2] {
    eval terminal(T, H)
    set output NAME.(T == 1 ? '.svg' : '.png')
    set lmargin at screen 0.50; set rmargin at screen 0.97
    set bmargin at screen FOOT / H; set tmargin at screen 1 - HEAD / H
    set border 1 lc rgb PALE
    set xrange [LOW - PAD : HIGH + PAD]; set yrange [0.3 : N + 0.7]
    set xtics nomirror out textcolor rgb INK format '%+g %%'
    unset ytics
    set grid xtics ls 10
    set label 1 TITLE at screen 0.5, screen 1 - 34 / H center font head_font(T)
    set label 2 'median and interval over blocks; pale: the margin; to the right is slower' at screen 0.5, screen 1 - 76 / H center textcolor rgb PALE
    set arrow 1 from 0, graph 0 to 0, graph 1 nohead lc rgb INK lw 1
    do for [I = 1:N] { set label 10 + I LABEL[I] at screen 0.49, first N + 1 - I right font (T == 1 ? 'DejaVu Sans,15' : 'DejaVu Sans,11') }
    do for [K = 1:6] {
        set label 100 + K WORD[K] at screen 0.06 + 0.16 * (K - 1), screen 30 / H textcolor rgb KIND[K]
    }
    plot NAME.'.dat' using (0):1:(-$5):5:($1 - 0.36):($1 + 0.36) with boxxyerror lc rgb '#e8e8e8' fs solid 1 noborder, \
         for [K = 1:6] NAME.'.dat' using ($6 == K - 1 ? $2 : NaN):1:3:4 with xerrorbars pt 7 ps 1.2 * SIZE(T) lw 2.5 lc rgb KIND[K]
    unset label; unset arrow
}
unset output
