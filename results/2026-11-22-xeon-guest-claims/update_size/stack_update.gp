NAME = 'stack_update'
TITLE = 'how far one step of gradient descent moves the logits of deep stacks, by place of the norm and depth'

# Common to all pictures. Colours: Okabe and Ito, told apart by colour-blind readers too.
# Each picture is drawn twice with one layout, in pixels of a page W wide: NAME.svg and NAME.png.
# Legends are set by hand: gnuplot's own depend on each terminal's guess at the width of text.
set encoding utf8
BLUE = '#0072B2'; SKY = '#56B4E9'; GREEN = '#009E73'; ORANGE = '#E69F00'
VERMILLION = '#D55E00'; PURPLE = '#CC79A7'; BLACK = '#000000'; GREY = '#777777'
array COLOUR[8] = [BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK, GREY]
array POINT[8] = [7, 5, 9, 13, 11, 4, 6, 8]
do for [K = 1:8] { set linetype K lc rgb COLOUR[K] }
INK = '#222222'; PALE = '#555555'
W = 1600.0
svg_terminal(w, h) = sprintf("set terminal svg noenhanced size %d,%d dynamic background '#ffffff' font 'DejaVu Sans,20'", w, h)
png_terminal(w, h) = sprintf("set terminal pngcairo noenhanced size %d,%d background '#ffffff' font 'DejaVu Sans,15'", w, h)
terminal(t, h) = t == 1 ? svg_terminal(W, h) : png_terminal(W, h)
head_font(t) = 'DejaVu Sans,'.(t == 1 ? '28' : '21')
SIZE(t) = t == 1 ? 0.6 : 1.0 # points of the svg terminal grow with its font
set style line 10 lc rgb '#dddddd' lw 1
set style fill solid 0.85 noborder
unset key

# How far one step of training moves the output of a deep stack, against its depth.
# Data: scheme norm depth median low high
NAME = 'stack_update'
SEEN = ''; PRESENT = ''
note(list, word) = strstrt(list, ' '.word.' ') ? list : list.' '.word.' '
stats NAME.'.dat' using (SEEN = note(SEEN, sprintf('%d', $3)), PRESENT = note(PRESENT, strcol(1)), $3) nooutput
FIRST = STATS_min; LAST = STATS_max > STATS_min ? STATS_max : 2 * STATS_min
LOW = 1e300; HIGH = 0
stats NAME.'.dat' using (LOW = $5 > 0 && $5 < LOW ? $5 : LOW, HIGH = $6 > HIGH && $6 < 1e300 ? $6 : HIGH, $3) nooutput
if (HIGH <= LOW) { LOW = HIGH < LOW ? 0.1 : LOW; HIGH = 10 * LOW }
array SCHEME[4] = ['none', 'pre', 'post', 'deepnorm']
array WORDS[4] = ['no norm: x + f(x)', 'Pre-LN: x + f(N(x))', 'Post-LN: N(x + f(x))', 'DeepNorm: N(αx + f(x))']
array COLOR[4] = [PURPLE, GREEN, VERMILLION, BLUE]
H = 900.0; FOOT = 122.0; HEAD = 105.0; UNDER = 98.0
STEP = log10(HIGH / LOW) > 8 ? 2 : 1
is(s, n) = strcol(1) eq SCHEME[s] && (strcol(2) eq n || strcol(2) eq 'none')
do for [T = 1:2] {
    eval terminal(T, H)
    set output NAME.(T == 1 ? '.svg' : '.png')
    set multiplot
    set border 3 lc rgb PALE
    set logscale xy 10
    set xrange [FIRST / 1.2 : LAST * 1.2]
    set yrange [LOW / 2 : HIGH * 2]
    set grid ytics ls 10
    set lmargin at screen 150 / W; set rmargin at screen 1 - 40 / W
    set bmargin at screen (FOOT + UNDER) / H; set tmargin at screen 1 - HEAD / H
    set xtics () nomirror out textcolor rgb INK
    do for [K = 1:words(SEEN)] { set xtics add (word(SEEN, K) int(word(SEEN, K))) }
    set ytics () nomirror out textcolor rgb INK
    do for [E = int(floor(log10(LOW))):int(ceil(log10(HIGH))):STEP] { set ytics add ((E == 0 ? '1' : sprintf('1e%d', E)) 10.0 ** E) }
    set label 1 'How far one step of training moves the output' at screen 0.5, screen 1 - 34 / H center font head_font(T)
    set label 2 'relative change of the logits by a step of gradient descent from initialization, median and interval over seeds' at screen 0.5, screen 1 - 76 / H center textcolor rgb PALE
    set label 5 'layers' at graph 0.5, screen (FOOT + UNDER - 73) / H center
    set ylabel 'change of the output' offset -1
    plot for [S = 1:4] NAME.'.dat' using (is(S, 'layernorm') ? $3 : NaN):4:5:6 with yerrorlines lw 3 pt POINT[S] ps 1.4 * SIZE(T) lc rgb COLOR[S], \
         for [S = 1:4] '' using (is(S, 'rmsnorm') && S > 1 ? $3 * 1.03 : NaN):4:5:6 with yerrorlines lw 3 dt 2 pt POINT[S] ps 1.4 * SIZE(T) lc rgb COLOR[S]
    unset label; unset ylabel; unset tics; unset border; unset grid; unset logscale
    set lmargin at screen 0; set rmargin at screen 1; set bmargin at screen 0; set tmargin at screen FOOT / H
    set xrange [0:W]; set yrange [0:FOOT]
    K = 0
    do for [S = 1:4] {
        if (strstrt(PRESENT, ' '.SCHEME[S].' ')) {
            set arrow 10 + S from 110 + 370 * K, FOOT - 24 to 172 + 370 * K, FOOT - 24 nohead lw 3 lc rgb COLOR[S]
            set label 10 + S WORDS[S] at 185 + 370 * K, FOOT - 24
            K = K + 1
        }
    }
    set label 1 'Solid: LayerNorm. Dashed: RMSNorm. A level line: what DeepNorm''s constants are chosen for. No mark: not finite.' at W / 2, 50 center textcolor rgb PALE
    plot NaN
    unset label; unset arrow
    unset multiplot
}
unset output
