#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads an export by means of its own and compares it with what dump and info say of the trace, event by event.

    read_export.py FORMAT EXPORT DUMP.json DUMP.txt INFO.json

DUMP.json and DUMP.txt are `adatrace dump --json` and `adatrace dump`, INFO.json `adatrace info --json`. Prints what differs, and
then ends with status 1; else a line with what was counted.
"""
import collections
import csv
import decimal
import json
import struct
import sys

Event = collections.namedtuple("Event", "time_ns pid tid kind name arg fields")
KERNEL_PID = 0x40000000


def fail(text):
    print(text)
    sys.exit(1)


def freeze(fields):
    """Comparable; JSON has no 6.0 beside 6."""
    fields = {key: int(value) if isinstance(value, float) and value.is_integer() else value for key, value in fields.items()}
    return tuple(sorted((key, repr(value)) for key, value in fields.items()))


def read_dump(json_path, text_path):
    """Events and marks, with times since the start, which only the text has."""
    events, marks = [], []
    with open(json_path, encoding="utf-8") as lines, open(text_path, encoding="utf-8") as texts:
        for line, text in zip(lines, texts, strict=True):
            item = json.loads(line)
            seconds, ns = text.split()[0].split(".")
            time_ns = int(seconds + ns)
            kind, fields = item["kind"], item["fields"]
            event = Event(time_ns, item["pid"], item["tid"], kind, item["name"], item["arg"], freeze(fields))
            (marks if kind in ("marked", "anomaly") else events).append((event, item))
    return events, marks


def lost_of(info):
    total = info["events"]
    return total["attempted"] - total["in_file"]


def compare(what, got, expected):
    missing = collections.Counter(expected) - collections.Counter(got)
    surplus = collections.Counter(got) - collections.Counter(expected)
    if missing or surplus:
        print(f"{what}: {sum(missing.values())} missing, {sum(surplus.values())} too many")
        for item in list(missing)[:3]:
            print("  missing:", item)
        for item in list(surplus)[:3]:
            print("  too many:", item)
        sys.exit(1)


# ---- CTF, by libbabeltrace2 -------------------------------------------------------------------------


def unmangle(name):
    out, i = bytearray(), 0
    while i < len(name):
        code = name[i + 2:i + 4]
        if name[i:i + 2] == "_x" and len(code) == 2 and all(c in "0123456789abcdef" for c in code):
            if code == "00":
                break
            out.append(int(code, 16))
            i += 4
        else:
            out += name[i].encode()
            i += 1
    return out.decode("utf-8", "replace")


def ctf_value(bt2, field):
    if isinstance(field, bt2._EnumerationFieldConst):
        return sorted(field.labels)[0] if field.labels else int(field)
    if isinstance(field, bt2._IntegerFieldConst):
        hexadecimal = field.cls.preferred_display_base == 16
        return "0x%x" % int(field) if hexadecimal else int(field)
    if isinstance(field, bt2._RealFieldConst):
        value = float(field)
        return value if value == value and abs(value) != float("inf") else None
    return str(field)


def read_ctf(path):
    import bt2

    events, marks, lost, last = [], [], 0, 0
    build_ids = {}
    for message in bt2.TraceCollectionMessageIterator(path):
        if isinstance(message, bt2._DiscardedEventsMessageConst):
            if message.count is None:
                fail("ctf: a loss without a count")
            lost += message.count
            continue
        if not isinstance(message, bt2._EventMessageConst):
            continue
        event, clock = message.event, message.default_clock_snapshot
        context = event.common_context_field
        kind = sorted(context["kind"].labels)[0]
        environment = event.stream.trace.environment
        if not build_ids:
            for key in environment:
                if key.lstrip("_").startswith("module_") and key.endswith("_build_id"):
                    build_ids[int(key.lstrip("_").split("_")[1])] = str(environment[key])
        if clock.value < last:
            fail("ctf: times go back")
        last = clock.value
        pid, tid = int(context["vpid"]), int(context["vtid"])
        payload = event.payload_field
        values = {str(key): ctf_value(bt2, payload[key]) for key in payload}
        if kind in ("marked", "anomaly"):
            record = values["record"]
            marks.append((clock.value, None if pid < 0 else pid, None if tid < 0 else tid, kind, values["reason"],
                          None if record == 2**64 - 1 else record))
            continue
        arg, name, fields = values.pop("arg"), event.name, {}
        if kind.startswith("function_"):
            name, arg = values["name"], int(arg, 16)
            if values["module"] != "none":
                fields = {"module": values["module"], "offset": values["offset"],
                          "build_id": build_ids[int(payload["module"])]}
        elif name == "event#" and "id" in values:
            name += str(values["id"])
        else:
            fields = {unmangle(key): value for key, value in values.items()}
        events.append(Event(clock.value, pid, tid, kind, name, arg, freeze(fields)))
    return events, marks, lost


def check_ctf(path, events, marks, info):
    got, got_marks, lost = read_ctf(path)
    origin = min([0] + [e.time_ns for e, _ in events + marks])
    compare("ctf events", got, [e._replace(time_ns=e.time_ns - origin) for e, _ in events])
    compare("ctf marks", got_marks, [(e.time_ns - origin, e.pid, e.tid, e.kind, e.name, e.arg) for e, _ in marks])
    if lost != lost_of(info):
        fail(f"ctf: {lost} discarded, the ledger has {lost_of(info)}")
    return f"{len(got)} events, {lost} lost"


# ---- Perfetto, from the wire ------------------------------------------------------------------------


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        shift += 7
        if byte < 0x80:
            return value & (2**64 - 1), at


def message(data):
    """{field number: [values]}; lengths and types are checked by going exactly to the end."""
    fields, at = collections.defaultdict(list), 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 0:
            value, at = varint(data, at)
        elif tag & 7 == 1:
            value, at = data[at:at + 8], at + 8
        elif tag & 7 == 2:
            length, at = varint(data, at)
            value, at = data[at:at + length], at + length
            if len(value) != length:
                fail("perfetto: a length goes beyond the end")
        else:
            fail(f"perfetto: wire type {tag & 7}")
        fields[tag >> 3].append(value)
    return fields


def signed(value):
    return value - 2**64 if value >= 2**63 else value


def annotation(fields):
    if 3 in fields:
        return fields[3][0]
    if 4 in fields:
        return signed(fields[4][0])
    if 5 in fields:
        value = struct.unpack("<d", fields[5][0])[0]
        return value if value == value and abs(value) != float("inf") else None
    if 6 in fields:
        return fields[6][0].decode()
    if 7 in fields:
        return "0x%x" % fields[7][0]
    return bool(fields[2][0])


class Perfetto:
    def __init__(self):
        self.names = {1: {}, 2: {}, 3: {}}
        self.pids, self.tracks, self.counters, self.stacks = {}, {}, {}, collections.defaultdict(list)
        self.events, self.instants, self.lost, self.implied, self.switches = [], [], 0, 0, collections.Counter()
        self.running = {}

    def track(self, data):
        track = message(data)
        uuid, parent = track[1][0], track.get(5, [0])[0]
        if uuid in self.tracks or uuid in self.pids or uuid in self.counters:
            fail("perfetto: a track twice")
        if 3 in track:
            self.pids[uuid] = message(track[3][0])[1][0]
        elif 8 in track:
            self.counters[uuid] = (self.pids[parent], track[2][0].decode())
        elif 4 in track:
            thread = message(track[4][0])
            self.tracks[uuid] = (thread[1][0], thread[2][0])
        else:
            name = track[2][0].decode()
            tid = name.rsplit("(", 1)[1].split(",")[0]
            self.tracks[uuid] = (self.pids[parent], int(tid) if tid.isdigit() else None)

    def event(self, time, data):
        event = message(data)
        kind, uuid = event[9][0], event.get(11, [0])[0]
        categories = [self.names[1][iid] for iid in event[3]]
        notes = {}
        for raw in event[4]:
            fields = message(raw)
            notes[self.names[3][fields[1][0]]] = annotation(fields)
        name = self.names[2][event[10][0]] if 10 in event else event[23][0].decode() if 23 in event else None
        if kind == 4:
            pid, name = self.counters[uuid]
            self.events.append((time, pid, None, "counter", name, signed(event[30][0])))
            return
        if categories == ["adatrace"]:
            self.lost += notes.get("count", 0)
            if name != "events lost":
                self.instants.append((time, name))
            return
        pid, tid = self.tracks[uuid]
        if kind == 1:
            self.stacks[uuid].append((categories[0], name))
        elif kind == 2:
            if not self.stacks[uuid]:
                fail("perfetto: an end without a beginning")
            category, name = self.stacks[uuid].pop()
            categories = [category]
        if notes.pop("implied", False):
            self.implied += 1
            return
        arg = notes.pop("arg")
        self.events.append((time, pid, tid, categories[0], name, int(arg, 16) if isinstance(arg, str) else arg))

    def packet(self, data):
        packet = message(data)
        if packet.get(13, [0])[0] & 1:
            self.names = {1: {}, 2: {}, 3: {}}
        for raw in packet[12]:
            for number, entries in message(raw).items():
                for entry in entries:
                    fields = message(entry)
                    self.names[number][fields[1][0]] = fields[2][0].decode() if 2 in fields else ""
        for raw in packet[60]:
            self.track(raw)
        for raw in packet[11]:
            self.event(packet[8][0], raw)
        for raw in packet[1]:
            self.bundle(raw)

    def bundle(self, data):
        bundle = message(data)
        cpu = bundle[1][0]
        for raw in bundle[2]:
            event = message(raw)
            if 4 in event:
                change = message(event[4][0])
                if self.running.get(cpu, change[2][0]) != change[2][0] and self.running[cpu] != 0 and change[2][0] != 0:
                    self.switches["mismatched"] += 1
                self.running[cpu] = change[6][0]
                self.switches[cpu] += 1


def check_perfetto(path, events, marks, info):
    reader = Perfetto()
    with open(path, "rb") as file:
        for packet in message(file.read())[1]:
            reader.packet(packet)
    if any(reader.stacks.values()):
        fail("perfetto: slices without an end")
    origin = min([0] + [e.time_ns for e, _ in events + marks])
    categories = {"function_entry": "function", "function_exit": "function", "span_begin": "span", "span_end": "span",
                  "unknown": "none"}
    compare("perfetto events", reader.events,
            [(e.time_ns - origin, e.pid, None if e.kind == "counter" else e.tid, categories.get(e.kind, e.kind), e.name, e.arg)
             for e, _ in events])
    compare("perfetto marks", reader.instants, [(e.time_ns - origin, e.name) for e, _ in marks])
    if reader.lost != lost_of(info):
        fail(f"perfetto: {reader.lost} lost, the ledger has {lost_of(info)}")
    cpus = len([cpu for cpu in reader.switches if cpu != "mismatched"])
    return (f"{len(reader.events)} events, {reader.lost} lost, {reader.implied} implied ends, {cpus} CPUs, "
            f"{reader.switches['mismatched']} mismatched")


# ---- Trace Event Format -----------------------------------------------------------------------------


def check_chrome(path, events, marks, info):
    with open(path, encoding="utf-8") as file:
        trace = json.load(file, parse_float=decimal.Decimal)
    if trace["displayTimeUnit"] != "ns":
        fail("chrome: displayTimeUnit")
    got, instants, lost, implied, names = [], [], 0, 0, set()
    stacks = collections.defaultdict(list)
    for event in trace["traceEvents"]:
        phase, thread = event["ph"], (event["pid"], event["tid"])
        if phase == "M":
            names.add(thread)
            continue
        time = int(decimal.Decimal(event["ts"]) * 1000)
        args, name, category = event["args"], event.get("name"), event.get("cat")
        if category in ("marked", "anomaly"):
            instants.append((time, name))
            continue
        if thread not in names:
            fail("chrome: a thread without a name")
        if category == "lost":
            lost += args["count"]
            continue
        if phase == "C":
            category, arg = "counter", args["value"]
        elif args.get("implied"):
            implied += 1
            stacks[thread].pop()
            continue
        else:
            arg = args["arg"]
        if phase == "B":
            stacks[thread].append(name)
        elif phase == "E" and stacks[thread].pop() != name:
            fail(f"chrome: {name} ends where something else does")
        got.append((time, event["pid"] & ~KERNEL_PID, event["tid"], category, name, arg))
    if any(stacks.values()):
        fail("chrome: slices without an end")
    compare("chrome events", got, [(e.time_ns, e.pid, e.tid, e.kind, e.name, e.arg) for e, _ in events])
    compare("chrome marks", instants, [(e.time_ns, e.name) for e, _ in marks])
    if lost != lost_of(info):
        fail(f"chrome: {lost} lost, the ledger has {lost_of(info)}")
    return f"{len(got)} events, {lost} lost, {implied} implied ends"


# ---- CSV --------------------------------------------------------------------------------------------


def plain(text):
    return text[1:] if text.startswith("'") else text


def check_csv(path, events, marks, info):
    got = []
    with open(path, encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, strict=True)
        for row in rows:
            if any(value[:1] in tuple("=+@\t\r") for value in row.values()):
                fail(f"csv: a formula: {row}")
            number = {key: int(row[key]) if row[key] else None for key in ("time_ns", "ts_ns", "pid", "tid", "arg")}
            fields = json.loads(row["fields"]) if row["fields"] else {}
            got.append((Event(number["time_ns"], number["pid"], number["tid"], row["kind"], plain(row["name"]),
                              number["arg"], freeze(fields)), number["ts_ns"]))
    compare("csv", got, [(e._replace(name=e.name.replace("\0", "\ufffd")), item["ts_ns"]) for e, item in events + marks])
    return f"{len(got)} lines"


def main():
    name, path, json_path, text_path, info_path = sys.argv[1:]
    events, marks = read_dump(json_path, text_path)
    with open(info_path, encoding="utf-8") as file:
        info = json.load(file)
    if len(events) != info["events"]["in_file"]:
        fail(f"dump has {len(events)} events, the ledger {info['events']['in_file']}")
    checks = {"ctf": check_ctf, "perfetto": check_perfetto, "chrome": check_chrome, "csv": check_csv}
    print(f"{name}: {checks[name](path, events, marks, info)}")


main()
