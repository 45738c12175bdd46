/* SPDX-License-Identifier: MIT */
/* Loaded by loads_functions. */
__attribute__((visibility("default"))) int first_work(int value);

__attribute__((noinline)) static int first_step(int value)
{
    return value + 1;
}

int first_work(int value)
{
    return first_step(value) + first_step(value);
}
