/* SPDX-License-Identifier: MIT */
/* Functions of programs and libraries, as users name them: BINARY:FUNCTION or BINARY:FUNCTION,ret. */
#ifndef ADA_COLLECTOR_UPROBE_TEXT_H
#define ADA_COLLECTOR_UPROBE_TEXT_H

#include "user/kernel/kernel_assist.h"

/*
 * 0; -EINVAL, and *why_out says what is wrong; -ENOMEM. Nobody looks whether there is such a function. The binary's name is
 * allocated, and that of the function a part of it: uprobe_text_free().
 */
int uprobe_text_parse(const char *text, KernelUprobe *uprobe_out, const char **why_out);

void uprobe_text_free(KernelUprobe *uprobe);

#endif
