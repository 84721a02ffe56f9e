/* inspect_known.c: x86-64 code whose loops were counted by hand, for code_test.sh. Never run. Names as
 * kernels have them, so that the table lists them. */
#define NB_BEGIN(name) ".p2align 6\n.type " #name ", @function\n" #name ":\n"
#define NB_END(name) ".size " #name ", .-" #name "\n"

__asm__(
    ".text\n.intel_syntax noprefix\n"

    /* one loop of 5, 4 bytes read a turn: a scalar sum */
    NB_BEGIN(known_fwd_scalar__f32_x)
    "  xorps xmm0, xmm0\n"
    "1: addss xmm0, DWORD PTR [rdi]\n"
    "  movaps xmm1, xmm0\n" /* a move is no vector arithmetic */
    "  add rdi, 4\n"
    "  cmp rdi, rsi\n"
    "  jne 1b\n"
    "  ret\n"
    NB_END(known_fwd_scalar__f32_x)

    /* two nested loops: the inner one has 4 instructions; constants and stack do not count as data */
    NB_BEGIN(known_fwd_nested__f32_x)
    "1: mov rcx, rdi\n"
    "2: vaddps ymm0, ymm0, YMMWORD PTR [rcx]\n"
    "  vmulps ymm0, ymm0, YMMWORD PTR [rip]\n"
    "  add rcx, QWORD PTR [rsp+8]\n"
    "  jne 2b\n"
    "  add rdi, rdx\n"
    "  jne 1b\n"
    "  ret\n"
    NB_END(known_fwd_nested__f32_x)

    /* a rare case that is laid out behind the loop and comes back into its middle: one loop of 7 */
    NB_BEGIN(known_fwd_outofline__f32_x)
    "1: movaps xmm0, XMMWORD PTR [rdi]\n"
    "  test eax, eax\n"
    "  je 3f\n"
    "2: movaps XMMWORD PTR [rsi], xmm0\n"
    "  dec rdx\n"
    "  jne 1b\n"
    "  ret\n"
    "3: jmp 2b\n"
    NB_END(known_fwd_outofline__f32_x)

    /* a loop over rows around a call is none; what is called has two: of 3, and of 4 by a tail call */
    NB_BEGIN(known_fwd_calls__f32_x)
    "1: call row_known\n"
    "  dec rbx\n"
    "  jne 1b\n"
    "  ret\n"
    NB_END(known_fwd_calls__f32_x)
    NB_BEGIN(row_known)
    "1: vmovups zmm0, ZMMWORD PTR [rdi]\n"
    "  dec rax\n"
    "  jne 1b\n"
    "  jmp row_tail\n"
    NB_END(row_known)
    NB_BEGIN(row_tail)
    "1: mov eax, DWORD PTR [rdi]\n"
    "  mov DWORD PTR [rsi], eax\n"
    "  dec rcx\n"
    "  jne 1b\n"
    "  ret\n"
    NB_END(row_tail)

    /* cases behind a table of addresses, each with a loop: of 2 and of 3 */
    NB_BEGIN(known_fwd_table__f32_x)
    "  jmp [rax*8+0x1000]\n"
    "  .p2align 4\n"
    "1: dec rax\n"
    "  jne 1b\n"
    "  ret\n"
    "  .p2align 4\n"
    "2: inc rax\n"
    "  cmp rax, 9\n"
    "  jne 2b\n"
    "  ret\n"
    NB_END(known_fwd_table__f32_x)

    /* an address further back that is no loop: the branch's target can be reached without it */
    NB_BEGIN(known_fwd_noloop__f32_x)
    "  jmp 2f\n"
    "1: ret\n"
    "2: dec rax\n"
    "  jne 1b\n"
    "  ret\n"
    NB_END(known_fwd_noloop__f32_x)

    /* a circle with two ways in has no header: no natural loop */
    NB_BEGIN(known_fwd_twoways__f32_x)
    "  test eax, eax\n"
    "  je 2f\n"
    "1: dec rax\n"
    "2: inc rcx\n"
    "  jne 1b\n"
    "  ret\n"
    NB_END(known_fwd_twoways__f32_x)

    /* two names of one piece of code */
    ".type known_fwd_alias__f32_x, @function\n"
    ".set known_fwd_alias__f32_x, known_fwd_scalar__f32_x\n"
    ".att_syntax\n");
