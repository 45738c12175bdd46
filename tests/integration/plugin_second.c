/* SPDX-License-Identifier: MIT */
/* Loaded by loads_functions. */
__attribute__((visibility("default"))) int second_work(int value);

__attribute__((noinline)) static int second_step(int value)
{
    return value + 1;
}

int second_work(int value)
{
    return second_step(value) + second_step(value);
}
