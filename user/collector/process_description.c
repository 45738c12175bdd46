/* SPDX-License-Identifier: MIT */
#include "user/collector/process_description.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t append_string(char *strings, size_t size, size_t at, const char *key, const char *value)
{
    size_t key_bytes = strlen(key) + 1;
    size_t value_bytes = strlen(value) + 1;

    if (size - at < key_bytes + value_bytes)
        return at;
    memcpy(strings + at, key, key_bytes);
    memcpy(strings + at + key_bytes, value, value_bytes);
    return at + key_bytes + value_bytes;
}

static void describe_process(ProcessDescription *self, DrainBatch *batch)
{
    const SegmentHeader *shared = self->segment->header;
    AdatBlockHeader header = {.type = ADAT_BLOCK_PROCESS, .process = self->number};
    struct {
        AdatProcess block;
        char strings[sizeof(shared->program) + sizeof(shared->command) + 64];
    } payload;
    char namespace_pid[16];
    char program[sizeof(shared->program)];
    char command[sizeof(shared->command)];
    uint32_t command_bytes, owner_pid;
    size_t used = 0;

    if (self->described == batch->epoch ||
        !ada_load_acquire(&shared->owner_ready)) /* pairs with describe_owner() */
        return;
    owner_pid = ada_load_relaxed(&shared->owner_pid);
    if (*self->pid == 0)
        *self->pid = (pid_t)owner_pid;
    memcpy(program, shared->program, sizeof(program));
    program[sizeof(program) - 1] = '\0';
    memcpy(command, shared->command, sizeof(command));
    command_bytes = ada_load_relaxed(&shared->command_bytes);
    if (command_bytes >= sizeof(command))
        command_bytes = sizeof(command) - 1;
    command[command_bytes] = '\0';
    for (uint32_t i = 0; i + 1 < command_bytes; i++) {
        if (command[i] == '\0')
            command[i] = ' ';
    }

    memset(&payload, 0, sizeof(payload));
    payload.block = (AdatProcess){
        .process = self->number,
        .pid = (uint32_t)*self->pid,
        .parent_pid = ada_load_relaxed(&shared->owner_parent_pid),
        .clock_kind = ada_load_relaxed(&shared->clock_kind),
        .started_at = ada_load_relaxed(&shared->owner_started_at),
    };
    used = append_string(payload.strings, sizeof(payload.strings), used, "program", program);
    used = append_string(payload.strings, sizeof(payload.strings), used, "command", command);
    if (owner_pid != (uint32_t)*self->pid) {
        (void)snprintf(namespace_pid, sizeof(namespace_pid), "%u", owner_pid);
        used = append_string(payload.strings, sizeof(payload.strings), used, "namespace_pid", namespace_pid);
    }
    self->described = batch->epoch;
    drain_batch_put(batch, &header, &payload, sizeof(payload.block) + used);
}

static void describe_modules(ProcessDescription *self, DrainBatch *batch)
{
    AdatBlockHeader header = {.type = ADAT_BLOCK_MODULES, .process = self->number};
    uint32_t count =
        ada_load_acquire(&self->segment->header->module_count); /* pairs with client_modules_publish() */
    AdaModule *copies;
    uint32_t copied = 0;

    if (count > self->segment->geometry.module_capacity)
        count = self->segment->geometry.module_capacity;
    if (count == 0 || (count == self->module_count && self->modules_described == batch->epoch))
        return;
    copies = malloc(count * sizeof(*copies));
    if (!copies)
        return; /* tried again on the next visit */
    for (uint32_t i = 0; i < count; i++) {
        AdaModule *copy = &copies[copied];

        memcpy(copy, segment_module(self->segment, i), sizeof(*copy));
        copy->path[sizeof(copy->path) - 1] = '\0';
        if (copy->build_id_size > ADA_BUILD_ID_MAX)
            copy->build_id_size = ADA_BUILD_ID_MAX;
        if (copy->ready == 1)
            copied++;
    }
    self->module_count = count;
    self->modules_described = batch->epoch;
    drain_batch_put(batch, &header, copies, copied * sizeof(*copies));
    free(copies);
}

uint32_t process_event_count(const Segment *segment)
{
    uint32_t count =
        ada_load_relaxed(&segment->header->event_count); /* each entry says itself when it is ready */

    return count < segment->geometry.event_capacity ? count : segment->geometry.event_capacity;
}

bool process_event_copy(const Segment *segment, uint32_t index, AdaEventDescriptor *copy)
{
    const AdaEventDescriptor *entry = segment_event(segment, index);

    if (!ada_load_acquire(&entry->ready)) /* pairs with publish() in events.c */
        return false;
    memcpy(copy, entry, sizeof(*copy));
    copy->ready = 1;
    copy->id = index + 1;
    copy->name[sizeof(copy->name) - 1] = '\0';
    if (copy->field_count > ADA_EVENT_FIELDS_MAX)
        copy->field_count = ADA_EVENT_FIELDS_MAX;
    for (uint32_t field = 0; field < ADA_EVENT_FIELDS_MAX; field++)
        copy->fields[field].name[sizeof(copy->fields[field].name) - 1] = '\0';
    return true;
}

void process_description_write_events(ProcessDescription *self, DrainBatch *batch)
{
    AdatBlockHeader header = {.type = ADAT_BLOCK_EVENTS, .process = self->number};
    uint32_t count = process_event_count(self->segment);
    AdaEventDescriptor copy;

    if (self->events_described != batch->epoch) {
        memset(self->event_written, 0, self->segment->geometry.event_capacity);
        self->events_done = 0;
        self->events_described = batch->epoch;
    }
    for (uint32_t i = 0; i < count && self->events_done < count; i++) {
        if (self->event_written[i] || !process_event_copy(self->segment, i, &copy))
            continue;
        self->event_written[i] = 1;
        self->events_done++;
        drain_batch_put(batch, &header, &copy, sizeof(copy));
        if (self->events_described != batch->epoch)
            return; /* the batch was lost: all over again on the next visit */
    }
}

void process_description_write(ProcessDescription *self, DrainBatch *batch)
{
    describe_process(self, batch);
    describe_modules(self, batch);
    process_description_write_events(self, batch);
}

int process_description_init(ProcessDescription *self, const Segment *segment, uint32_t number, pid_t *pid)
{
    uint8_t *written = calloc(segment->geometry.event_capacity, 1);

    if (!written)
        return -ENOMEM;
    *self = (ProcessDescription){.segment = segment, .number = number, .pid = pid, .event_written = written};
    return 0;
}

void process_description_fini(ProcessDescription *self)
{
    free(self->event_written);
    self->event_written = NULL;
}
