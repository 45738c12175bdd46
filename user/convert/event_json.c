/* SPDX-License-Identifier: MIT */
#include "user/convert/event_json.h"

#include "user/convert/json_text.h"

/* What all lines begin with. A number that is not known is null. */
static void begin_line(OutBuffer *out, uint64_t ts_ns, const AdatProcessInfo *process,
                       const AdatThreadInfo *thread)
{
    OUT_TEXT(out, "{\"ts_ns\":");
    out_u64(out, ts_ns);
    OUT_TEXT(out, ",\"pid\":");
    if (process)
        out_u64(out, process->process.pid);
    else
        OUT_TEXT(out, "null");
    OUT_TEXT(out, ",\"tid\":");
    if (thread)
        out_u64(out, thread->thread.tid);
    else
        OUT_TEXT(out, "null");
}

void event_json_line(OutBuffer *out, const NamedEvent *named)
{
    const AdatEvent *event = named->event;
    const char *kind = event_kind_name(&event->event);

    begin_line(out, adat_reader_realtime(event->reader, event->time_ns), event->process, event->thread);
    OUT_TEXT(out, ",\"lane\":\"index\",\"kind\":\"");
    out_text(out, kind, strlen(kind));
    OUT_TEXT(out, "\",\"name\":\"");
    json_text_put(out, named->name, named->name_length);
    OUT_TEXT(out, "\",\"arg\":");
    json_text_argument(out, &event->event);
    OUT_TEXT(out, ",\"fields\":");
    json_text_fields(out, named);
    OUT_TEXT(out, "}\n");
}

void event_json_mark(OutBuffer *out, const AdatReader *reader, const AdatMarkInfo *info)
{
    begin_line(out, adat_reader_realtime(reader, info->time_ns), info->process, info->thread);
    if (info->anomaly)
        OUT_TEXT(out, ",\"lane\":null,\"kind\":\"anomaly\",\"name\":");
    else
        OUT_TEXT(out, ",\"lane\":\"detail\",\"kind\":\"marked\",\"name\":");
    json_text_string(out, info->mark.reason, strlen(info->mark.reason));
    OUT_TEXT(out, ",\"arg\":");
    if (info->mark.record != UINT64_MAX)
        out_u64(out, info->mark.record);
    else
        OUT_TEXT(out, "null");
    OUT_TEXT(out, ",\"fields\":{}}\n");
}
