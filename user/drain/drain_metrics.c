/* SPDX-License-Identifier: MIT */
#include "user/drain/drain_metrics.h"

void jain_index_add(JainIndex *jain, double share)
{
    jain->sum += share;
    jain->squares += share * share;
    jain->count++;
}

double jain_index_value(const JainIndex *jain)
{
    if (jain->count == 0 || jain->squares <= 0)
        return 1;
    return jain->sum * jain->sum / ((double)jain->count * jain->squares);
}
