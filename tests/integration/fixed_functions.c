/* SPDX-License-Identifier: MIT */
/* Built with -finstrument-functions, and for a fixed address: what is in memory is where the file says. */
__attribute__((noinline)) static int inner(int value)
{
    __asm__ volatile("" : "+r"(value));
    return value + 1;
}

__attribute__((noinline)) static int outer(int value)
{
    return inner(value) + inner(value + 1);
}

int main(void)
{
    return outer(1) == 5 ? 0 : 1;
}
