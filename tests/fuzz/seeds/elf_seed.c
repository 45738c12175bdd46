/* SPDX-License-Identifier: MIT */
/* What the seeds of fuzz_elf_symbols are built from: functions with, within and without sizes, of all kinds of names. */
void exported(void);
void exported(void)
{
}

static void local(void)
{
}

__attribute__((weak)) void weak(void);
void weak(void)
{
    local();
}

void cxx(void) __asm__("_ZN3app6Engine3runERKSsi");
void cxx(void)
{
}

void rust(void) __asm__("_RNvNtCs1234_7mycrate3foo3bar");
void rust(void)
{
}

__asm__(".pushsection .text\n"
        ".globl outer\n.type outer, %function\nouter: .skip 16\n"
        ".globl inner\n.type inner, %function\ninner: .skip 16\n.size inner, 16\n"
        ".skip 16\n.size outer, . - outer\n"
        ".globl sizeless\n.type sizeless, %function\nsizeless: .skip 8\n"
        ".globl alias\n.type alias, %gnu_indirect_function\n.set alias, inner\n"
        ".popsection\n");
