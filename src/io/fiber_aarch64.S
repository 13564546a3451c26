// SPDX-License-Identifier: Apache-2.0
// The switch for aarch64 (AAPCS64): x19-x30 and the lower halves of v8-v15 are what a called function must preserve.
#if defined(__aarch64__) && !defined(WEIR_FIBER_UCONTEXT)
        .text

// void fiber_switch(void **save, void *to)
// Ends in `br`, not `ret`: a return would be predicted to go back to the caller's own side.
        .globl  fiber_switch
        .type   fiber_switch, %function
        .p2align 4
fiber_switch:
        .cfi_startproc
        sub     sp, sp, #160
        .cfi_adjust_cfa_offset 160
        stp     x19, x20, [sp, #0]
        stp     x21, x22, [sp, #16]
        stp     x23, x24, [sp, #32]
        stp     x25, x26, [sp, #48]
        stp     x27, x28, [sp, #64]
        stp     x29, x30, [sp, #80]
        stp     d8,  d9,  [sp, #96]
        stp     d10, d11, [sp, #112]
        stp     d12, d13, [sp, #128]
        stp     d14, d15, [sp, #144]
        mov     x9, sp
        str     x9, [x0]
        mov     sp, x1
        ldp     x19, x20, [sp, #0]
        ldp     x21, x22, [sp, #16]
        ldp     x23, x24, [sp, #32]
        ldp     x25, x26, [sp, #48]
        ldp     x27, x28, [sp, #64]
        ldp     x29, x30, [sp, #80]
        ldp     d8,  d9,  [sp, #96]
        ldp     d10, d11, [sp, #112]
        ldp     d12, d13, [sp, #128]
        ldp     d14, d15, [sp, #144]
        add     sp, sp, #160
        .cfi_adjust_cfa_offset -160
        mov     x16, x30
        br      x16
        .cfi_endproc
        .size   fiber_switch, .-fiber_switch

// Where a new context begins: fiber_context left the argument in x19. The end of a backtrace.
        .globl  fiber_begin
        .hidden fiber_begin
        .type   fiber_begin, %function
        .p2align 4
fiber_begin:
        .cfi_startproc
        .cfi_undefined x30
        mov     x0, x19
        mov     x29, xzr
        mov     x30, xzr
        bl      fiber_main
        brk     #1
        .cfi_endproc
        .size   fiber_begin, .-fiber_begin
#endif
        .section .note.GNU-stack, "", %progbits
