NAME = 'stack_gradients'
TITLE = 'norms of the gradients that the layers of deep stacks get at initialization, by place and kind of norm'

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

# Norm of the gradient that each layer of a deep stack gets at initialization, three depths side by side.
# Data: scheme norm depth layer median low high weight
NAME = 'stack_gradients'
SEEN = ''; PRESENT = ''; KIND = ''
note(list, word) = strstrt(list, ' '.word.' ') ? list : list.' '.word.' '
stats NAME.'.dat' using (SEEN = note(SEEN, sprintf('%d', $3)), PRESENT = note(PRESENT, strcol(1)), KIND = strcol(8), $4) nooutput
ALL = words(SEEN); NP = ALL < 3 ? ALL : 3
DEPTH(p) = int(word(SEEN, p == 1 ? 1 : p == NP ? ALL : int((ALL + 1) / 2)))
array SCHEME[4] = ['none', 'pre', 'post', 'deepnorm']
array WORDS[4] = ['no norm: x + f(x)', 'Pre-LN: x + f(N(x))', 'Post-LN: N(x + f(x))', 'DeepNorm: N(αx + f(x))']
array COLOR[4] = [PURPLE, GREEN, VERMILLION, BLUE]
MATRIX = KIND eq 'w1' ? 'W₁ in the feed-forward' : KIND eq 'w2' ? 'W₂ in the feed-forward' : KIND eq 'v' ? 'the value projection' : 'the output projection'
shown(d) = d == DEPTH(1) || d == DEPTH(NP) || d == DEPTH(NP > 1 ? 2 : 1)
LOW = 1e6; HIGH = 1e-12 # what lies outside of these is cut off
stats NAME.'.dat' using (V = shown($3) && $5 > 1e-12 && $5 < 1e6 ? $5 : NaN, LOW = V < LOW ? V : LOW, HIGH = V > HIGH ? V : HIGH, $4) nooutput
if (HIGH <= LOW) { LOW = HIGH < LOW ? 0.1 : LOW; HIGH = 10 * LOW }
H = 800.0; FOOT = 122.0; HEAD = 105.0; UNDER = 98.0; OVER = 45.0
LEFT = 150.0; RIGHT = 40.0; GAP = 50.0
PW = (W - LEFT - RIGHT - (NP - 1) * GAP) / NP
STEP = log10(HIGH / LOW) > 8 ? 2 : 1
is(s, n, d) = strcol(1) eq SCHEME[s] && (strcol(2) eq n || strcol(2) eq 'none') && $3 == d
do for [T = 1:2] {
    eval terminal(T, H)
    set output NAME.(T == 1 ? '.svg' : '.png')
    set multiplot
    set border 3 lc rgb PALE
    set logscale y 10
    set yrange [LOW / 2 : HIGH * 2]
    set grid ytics ls 10
    set style fill transparent solid 0.15 noborder
    set bmargin at screen (FOOT + UNDER) / H; set tmargin at screen 1 - (HEAD + OVER) / H
    set label 1 'Gradients by layer, before any training' at screen 0.5, screen 1 - 34 / H center font head_font(T)
    set label 2 'norm of the gradient of '.MATRIX.' of each layer, median over seeds' at screen 0.5, screen 1 - 76 / H center textcolor rgb PALE
    do for [P = 1:NP] {
        D = DEPTH(P); XL = LEFT + (P - 1) * (PW + GAP)
        set lmargin at screen XL / W; set rmargin at screen (XL + PW) / W
        set xrange [(D > 1 ? 1 : 0) : (D > 1 ? D : 2)]
        set xtics () nomirror out textcolor rgb INK
        set xtics add ('1' 1); set xtics add (sprintf('%d', D) D)
        if (D > 4) { set xtics add (sprintf('%d', int(D / 2)) int(D / 2)) }
        set ytics () nomirror out textcolor rgb INK
        do for [E = int(floor(log10(LOW))):int(ceil(log10(HIGH))):STEP] { set ytics add ((P > 1 ? '' : E == 0 ? '1' : sprintf('1e%d', E)) 10.0 ** E) }
        set label 4 sprintf('%d layer%s', D, D > 1 ? 's' : '') at graph 0.5, graph 1 center offset 0, 0.9
        set label 5 'layer (1: at the input)' at graph 0.5, screen (FOOT + UNDER - 73) / H center
        if (P == 1) { set ylabel 'norm of the gradient' offset -1 } else { unset ylabel }
        plot for [S = 1:4] NAME.'.dat' using (is(S, 'layernorm', D) ? $4 : NaN):6:7 with filledcurves fc rgb COLOR[S], \
             for [S = 1:4] '' using (is(S, 'layernorm', D) ? $4 : NaN):5 with lines lw 3 lc rgb COLOR[S], \
             for [S = 1:4] '' using (is(S, 'rmsnorm', D) && S > 1 ? $4 : NaN):5 with lines lw 3 dt 2 lc rgb COLOR[S]
        unset label 1; unset label 2
    }
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
    set label 1 'Solid: LayerNorm, shaded its interval over seeds. Dashed: RMSNorm. A level line: every layer learns at the same pace.' at W / 2, 50 center textcolor rgb PALE
    plot NaN
    unset label; unset arrow
    unset multiplot
}
unset output
