// SPDX-License-Identifier: Apache-2.0
// The switch for x86-64, System V. Saved are the registers that a called function must preserve; the control words of the
// floating-point units are not, as nothing here changes them. Built without shadow stacks (CET).
#if defined(__x86_64__) && !defined(WEIR_FIBER_UCONTEXT)
        .text

// void fiber_switch(void **save, void *to)
// Ends in an indirect jump: a `ret` would be predicted to return to the caller's own side, and be wrong each time.
        .globl  fiber_switch
        .type   fiber_switch, @function
        .p2align 4
fiber_switch:
        .cfi_startproc
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbx, 0
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r12, 0
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r13, 0
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r14, 0
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r15, 0
        movq    %rsp, (%rdi)
        movq    %rsi, %rsp
        popq    %r15
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r15
        popq    %r14
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r14
        popq    %r13
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r13
        popq    %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r12
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbx
        popq    %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbp
        popq    %rcx
        .cfi_adjust_cfa_offset -8
        .cfi_register %rip, %rcx
        jmp     *%rcx
        .cfi_endproc
        .size   fiber_switch, .-fiber_switch

// Where a new context begins: fiber_context left the argument in r12. The end of a backtrace.
        .globl  fiber_begin
        .hidden fiber_begin
        .type   fiber_begin, @function
        .p2align 4
fiber_begin:
        .cfi_startproc
        .cfi_undefined %rip
        movq    %r12, %rdi
        xorl    %ebp, %ebp
        call    fiber_main
        ud2
        .cfi_endproc
        .size   fiber_begin, .-fiber_begin
#endif
        .section .note.GNU-stack, "", @progbits
