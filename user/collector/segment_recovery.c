/* SPDX-License-Identifier: MIT */
#include "user/collector/segment_recovery.h"

#include "user/drain/thread_drain_account.h"
#include "user/registry/thread_registry.h"

static void recover_slot(const Segment *segment, uint32_t slot, AdatThreadKey key, const AdatRecovery *recovery)
{
    ThreadLaneSet *lanes = thread_registry_at(segment, slot);

    if (!lanes)
        return;
    key.tid = ada_load_relaxed(&lanes->thread_id);
    key.registered_at = ada_load_relaxed(&lanes->registered_at);
    key.slot = slot;
    key.generation = ada_load_relaxed(&lanes->generation);
    for (uint32_t lane = ADA_LANE_INDEX; key.tid != 0 && lane <= ADA_LANE_DETAIL; lane++) {
        const AdatLaneProgress *in_file = adat_recovery_find(recovery, &key, lane);

        if (in_file)
            (void)thread_drain_recover(lanes, lane, in_file);
    }
}

static void recover_unregistered(const Segment *segment, const AdatThreadKey *key, const AdatRecovery *recovery)
{
    const AdatLaneProgress *in_file = adat_recovery_find(recovery, key, ADA_LANE_INDEX);
    uint64_t *settled = &segment->header->settled_unregistered;

    if (in_file && in_file->next_record > ada_load_relaxed(settled) &&
        in_file->next_record <= ada_load_relaxed(&segment_registry(segment)->unregistered_events))
        ada_store_relaxed(settled, in_file->next_record);
}

void segment_recover(const Segment *segment, pid_t pid, const AdatRecovery *recovery)
{
    const SegmentHeader *header = segment->header;
    AdatThreadKey key = {0};

    if (!ada_load_acquire(&header->owner_ready)) /* pairs with describe_owner(): nobody recorded here yet */
        return;
    key.started_at = ada_load_relaxed(&header->owner_started_at);
    key.pid = pid != 0 ? (uint32_t)pid : ada_load_relaxed(&header->owner_pid);
    for (uint32_t slot = 0; slot < segment->geometry.slot_capacity; slot++)
        recover_slot(segment, slot, key, recovery);
    recover_unregistered(segment, &key, recovery);
}
