#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Opens a page of `adatrace view` in a headless Chromium, uses it as a person would, and compares it with `adatrace dump`.

    view_browser.py WHAT PAGE.html [DUMP] [PICTURE.png]

DUMP has the events of the same trace, a line each: the line of `adatrace dump`, a tab, that of `adatrace dump --json`.
WHAT is one of the functions at the end. Exit status 1 and a line on stdout say what is wrong.
"""

import json
import os
import re
import sys
from decimal import Decimal

from browser import Wrong, equal, run

BEGINS = {"function_entry": "function_exit", "span_begin": "span_end"}
SHIFT = 8  # of DevTools' modifiers


def read_dump(path):
    """Events with their time in ns since the start, in the order of the trace."""
    events = []
    with open(path, encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            text, _, rest = line.rstrip("\n").partition("\t")
            event = json.loads(rest)
            whole, part = text.split()[0].split(".")
            event["ns"] = int(whole) * 1000000000 + int(part)
            events.append(event)
    return events


def spans_of(events):
    """Spans of each thread, as [depth, name, start, end], from begins and ends that nest."""
    open_spans, found = {}, {}
    for event in events:
        stack = open_spans.setdefault(event["tid"], [])
        if event["kind"] in BEGINS:
            stack.append(event)
        elif event["kind"] in BEGINS.values():
            begin = stack.pop()
            equal("end of a span", (event["kind"], event["name"]), (BEGINS[begin["kind"]], begin["name"]))
            found.setdefault(event["tid"], []).append([len(stack), begin["name"], begin["ns"], event["ns"]])
    return {tid: sorted(spans) for tid, spans in found.items()}


SHOWN_SPANS = """timeline.tracks.map(track => [track.tid, track.rows.span.flatMap(row => {
    const level = row.exact, found = [];
    for (let i = 0; i < level.count; i++)
        found.push([row.depth, model.names[level.name[i]], String(model.begin + BigInt(level.start[i])),
                    String(model.begin + BigInt(level.end[i])), level.countOf(i)]);
    return found;
})])"""


def shown_spans(browser):
    return {tid: sorted([depth, name, int(start), int(end)] for depth, name, start, end, count in spans if count == 1)
            for tid, spans in browser.ask(SHOWN_SPANS) if spans}


def details(browser):
    """What the panel tells of the thing that was chosen."""
    browser.ask("panels.show('details')")
    pairs = browser.ask("""[...document.querySelectorAll("#content dt")].map(dt => [dt.textContent, dt.nextSibling.textContent])""")
    return {"title": browser.text("#content h2"), **dict(pairs)}


def drawn(browser):
    """When what was asked for is on the screen."""
    browser.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def place_of(browser, item):
    """The middle of a thing, as the page has placed it."""
    drawn(browser)
    return browser.ask(f"""(() => {{
        const box = document.querySelector("#timeline").getBoundingClientRect(), at = timeline.middleOf({item});
        return [box.x + at.x, box.y + at.y];
    }})()""")


def item_named(name, kind="span", which=0):
    """An expression: the thing with this name, of all threads in the order of the page."""
    return f"""timeline.tracks.flatMap(track => track.rows.{kind}.flatMap(row => Array.from({{length: row.exact.count}}, (_, i) => ({{track, row, i}}))
        .filter(({{row, i}}) => model.names[row.exact.name[i]] === {json.dumps(name)})))[{which}]"""


def view_range(browser):
    return browser.ask("[timeline.from, timeline.to]")


def table(browser):
    return browser.ask("""[...document.querySelectorAll("#content tbody tr")].map(row => [...row.cells].map(cell => cell.textContent))""")


# ---- what holds for every page -------------------------------------------------------------------


def open_page(browser, page):
    browser.open("file://" + os.path.realpath(page))
    browser.wait_until("document.body.dataset.state")
    equal("state", browser.ask("document.body.dataset.state"), "ready")
    drawn(browser)


def check_alone(browser, page):
    """It asked for nothing, had no problem, and lets nobody in."""
    equal("problems of the browser", browser.problems, [])
    equal("requests", browser.asked_for, ["file://" + os.path.realpath(page)])
    equal("scripts and pictures", browser.ask("document.querySelectorAll('img, script:not([id]), link, iframe').length"), 1)
    equal("a script from elsewhere", browser.ask("""(() => {
        const script = document.createElement("script");
        script.textContent = "window.injected = 1";
        document.body.append(script);
        return window.injected === undefined;
    })()"""), True)


# ---- functions: exact, and used by hand ----------------------------------------------------------


def check_click(browser, expected):
    tid, span = next((tid, span) for tid, spans in expected.items() for span in spans if span[1] == "worker")
    x, y = place_of(browser, item_named("worker"))
    browser.click_at(x, y)
    told = details(browser)
    equal("name", told["title"], "worker")
    tid = int(re.search(r"/(\d+)\)", told["thread"])[1])
    span = next(span for span in expected[tid] if span[1] == "worker")
    equal("start", told["start"], f"{span[2] // 10**9}.{span[2] % 10**9:09d} s since the start")
    equal("duration", int(re.sub(r"\D", "", told["duration"].split("(")[1])), span[3] - span[2])
    children = [child for child in expected[tid] if child[0] == span[0] + 1]
    equal("self", int(re.sub(r"\D", "", told["self"].split("(")[-1])),
          span[3] - span[2] - sum(child[3] - child[2] for child in children))
    browser.press("Enter")
    left, right = view_range(browser)
    length = span[3] - span[2]
    if not length <= right - left <= 2 * length:
        raise Wrong(f"zoom to a span of {length} ns shows {right - left} ns")
    browser.press("0")
    browser.press("Escape")
    equal("nothing chosen", browser.ask("timeline.selected"), None)


def check_zoom(browser):
    full = view_range(browser)
    box = browser.ask("(() => { const box = document.querySelector('#timeline').getBoundingClientRect(); return [box.x, box.y]; })()")
    x, y = box[0] + 210 + 300, box[1] + 200
    at = browser.ask("timeline.timeAt(210 + 300)")
    browser.wheel(x, y, -300)
    drawn(browser)
    zoomed = view_range(browser)
    if not (zoomed[1] - zoomed[0] < 0.8 * (full[1] - full[0]) and abs(browser.ask("timeline.timeAt(210 + 300)") - at) < 2):
        raise Wrong(f"the wheel made {zoomed} of {full}")
    browser.press("d")
    moved = view_range(browser)
    equal("d: as long", round(moved[1] - moved[0]), round(zoomed[1] - zoomed[0]))
    equal("d: later", moved[0] > zoomed[0], True)
    browser.press("a")
    equal("a: back", [round(value) for value in view_range(browser)], [round(value) for value in zoomed])
    browser.press("s")
    equal("s: more", view_range(browser)[1] - view_range(browser)[0] > zoomed[1] - zoomed[0], True)
    browser.press("w")
    browser.press("0")
    equal("0: everything", view_range(browser), full)
    browser.drag(x, y, x + 200)
    chosen = browser.ask("[timeline.range.from, timeline.range.to]")
    expected = browser.ask("[timeline.timeAt(510), timeline.timeAt(710)]")
    equal("range by dragging", [round(value) for value in chosen], [round(value) for value in expected])
    browser.press("z")
    equal("z: the range", [round(value) for value in view_range(browser)], [round(value) for value in chosen])
    browser.press("0")
    map_y = browser.ask("document.querySelector('#minimap').getBoundingClientRect().y") + 20
    browser.drag(200, map_y, 500)
    equal("the overview", [round(value) for value in view_range(browser)],
          [round(value) for value in browser.ask("[minimap.timeAt(200), minimap.timeAt(500)]")])
    browser.press("0")


def check_search(browser, expected):
    names = [span[1] for spans in expected.values() for span in spans]
    browser.press("/")
    browser.write("FIBO")
    equal("matches", re.sub(r"\D", "", browser.text("#matches")), str(names.count("fibonacci")))
    starts = sorted(span[2] for spans in expected.values() for span in spans if span[1] == "fibonacci")
    begin = int(browser.ask("String(model.begin)"))
    for key, at in ("Enter", 0), ("Enter", 1):
        browser.press(key)
        equal("match", browser.ask("timeline.selected.row.exact.start[timeline.selected.i]") + begin, starts[at])
    browser.press("Escape")
    browser.press("/")
    browser.write("nothing is called this")
    equal("no matches", browser.text("#matches"), "none")
    browser.press("Escape")
    equal("no search", browser.ask("timeline.found"), None)


def check_sums(browser, expected):
    """Names that never call themselves: total is the sum of their spans, self without the spans directly in them."""
    browser.ask("panels.show('flame')")
    told = {row["text"]: row for row in browser.ask("""model.functions(timeline.tracks, 0, timeline.limit)
        .map(row => ({...row, text: model.names[row.name]}))""")}
    for name in "main", "worker", "leaf", "by_pointer", "compare":
        spans = [(tid, span) for tid, of_thread in expected.items() for span in of_thread if span[1] == name]
        equal(f"calls of {name}", told[name]["count"], len(spans))
        equal(f"total of {name}", round(told[name]["total"]), sum(span[3] - span[2] for _, span in spans))
    all_self = sum(row["self"] for row in told.values())
    outermost = sum(span[3] - span[2] for spans in expected.values() for span in spans if span[0] == 0)
    equal("all self times", round(all_self), outermost)
    equal("the flame graph", round(browser.ask("panels.sums.total[0]")), outermost)
    equal("frames", browser.ask("panels.frames.length") > 5, True)
    browser.ask("panels.show('functions')")
    rows = table(browser)
    equal("rows of functions", sorted(row[0] for row in rows), sorted(told))


def check_levels(browser):
    """Coarser levels stand for the same things, in the same time."""
    equal("levels", browser.ask("""model.rows.every(row => row.levels.every(level => {
        row.decoded(level);
        const exact = row.exact, sum = of => Array.from({length: of.count}, (_, i) => of.countOf(i)).reduce((a, b) => a + b, 0);
        const busy = of => Array.from({length: of.count}, (_, i) => of.busyOf(i)).reduce((a, b) => a + b, 0);
        return sum(level) === sum(exact) && Math.abs(busy(level) - busy(exact)) < 1 && level.start[0] === exact.start[0] &&
            level.end[level.count - 1] === exact.end[exact.count - 1];
    }))"""), True)
    equal("more than one level", browser.ask("model.rows.some(row => row.levels.length > 1)"), True)


def use_functions(browser, page, dump):
    expected = spans_of(read_dump(dump))
    open_page(browser, page)
    shown = shown_spans(browser)
    equal("threads", sorted(shown), sorted(expected))
    for tid, spans in expected.items():
        equal(f"spans of {tid}", len(shown[tid]), len(spans))
        equal(f"first that differs of {tid}", next((pair for pair in zip(shown[tid], spans) if pair[0] != pair[1]), None), None)
    check_levels(browser)
    check_click(browser, expected)
    check_zoom(browser)
    check_search(browser, expected)
    check_sums(browser, expected)


# ---- names that are HTML -------------------------------------------------------------------------


def use_hostile(browser, page, dump):
    events = read_dump(dump)
    open_page(browser, page)
    track = browser.ask("timeline.tracks.find(track => track.name === '<img onerror>').tid")
    begins = [event for event in events if event["tid"] == track and event["kind"] == "span_begin"]
    equal("spans of it", browser.ask(f"model.trackOf(0, {track}).rows.span.reduce((sum, row) => sum + row.exact.count, 0)"), len(begins))
    for tab in "details", "waits", "flame", "functions", "threads", "recording":
        browser.ask(f"panels.show('{tab}')")
        drawn(browser)
    browser.click_at(*place_of(browser, item_named("<script>window.hit = 1</script>")))
    equal("title", details(browser)["title"], "<script>window.hit = 1</script>")
    browser.ask(f"select({item_named('</script><img src=x onerror=hit=1>', which=3)}, true)")
    told = details(browser)
    equal("begin and end", (told["begins with"], told["ends with"]), ("3", "-3"))
    browser.ask(f"select({item_named('__proto__', 'instant', 5)})")
    told = details(browser)
    equal("fields", (told["constructor"], told["number"]), ("<b onclick='hit=1'>\"&amp;", "-5"))
    browser.ask(f"tooltip({{clientX: 50, clientY: 50}}, describe({item_named('<script>window.hit = 1</script>')}))")
    equal("tooltip", browser.ask("document.querySelector('#tooltip').children.length"), 0)
    equal("nothing ran", browser.ask("window.hit"), None)
    browser.ask(f"select({item_named('view.all')})")
    told = details(browser)
    equal("64 bits", (told["begins with"], told["ends with"]), (str(0xfedcba9876543210), "-22"))
    browser.ask(f"select({item_named('view.open')})")
    equal("open", details(browser)["end"].startswith("it had not ended"), True)
    equal("mark", browser.ask("timeline.tracks.flatMap(track => track.rows.mark).map(row => model.names[row.exact.name[0]])"), ["view.mark"])
    check_counter(browser, [event for event in events if event["kind"] == "counter"])


def check_counter(browser, events):
    values = browser.ask("""(() => {
        const [row] = model.processes[0].counters, level = row.exact;
        return Array.from({length: level.count}, (_, i) => [String(model.begin + BigInt(level.start[i])),
            argument(wideValue(level.first, i), true), argument(wideValue(level.second, i), true)]);
    })()""")
    equal("counter", [[int(value) for value in row] for row in values], [[event["ns"], event["arg"], event["arg"]] for event in events])


# ---- who waited, and for whom --------------------------------------------------------------------


def use_waits(browser, page, dump):
    events = [event for event in read_dump(dump) if event["kind"] != "typed"]
    open_page(browser, page)
    names = {track["name"]: track["tid"] for track in browser.ask("timeline.tracks.map(({name, tid}) => ({name, tid}))")}
    browser.ask("panels.wanted.sched = false")
    browser.ask("panels.show('waits')")
    rows = table(browser)
    longest = next(row for row in rows if row[2] == "pthread_mutex_lock")
    begin, end = [next(event for event in events if event["tid"] == names["waiter"] and event["name"] == "pthread_mutex_lock" and
                       event["kind"] == kind) for kind in ("span_begin", "span_end")]
    equal("who waited", f"/{names['waiter']})" in longest[1], True)
    equal("for what", longest[3], hex(begin["arg"]) if begin["arg"] >> 40 else str(begin["arg"]))
    equal("for whom", f"/{names['holder']})" in longest[4], True)
    browser.ask(f"""[...document.querySelectorAll("#content tbody tr")][{rows.index(longest)}].click()""")
    told = details(browser)
    equal("how long", int(re.sub(r"\D", "", told["duration"].split("(")[1])), end["ns"] - begin["ns"])
    equal("let go by", browser.ask("timeline.arrow.track.name"), "holder")
    barriers = [row for row in rows if row[2] == "pthread_barrier_wait" and f"/{names['waiter']})" in row[1]]
    equal("barrier", len(barriers) >= 1 and all(f"/{names['holder']})" in row[4] for row in barriers[:1]), True)
    joins = [row for row in rows if row[2] == "pthread_join"]
    equal("a thread that ends lets go", any("/" in row[4] for row in joins), True)


def use_sched(browser, page, dump):
    events = read_dump(dump)
    open_page(browser, page)
    wakeups = [event for event in events if event["name"] == "sched.wakeup"]
    states = browser.ask("""timeline.tracks.flatMap(track => track.rows.sched.flatMap(row => Array.from({length: row.exact.count}, (_, i) =>
        [track.tid, model.names[row.exact.name[i]], String(model.begin + BigInt(row.exact.start[i])),
         String(model.begin + BigInt(row.exact.end[i])), smallValue(row.exact.second, i)])))""")
    states = [(tid, state, int(start), int(end), other) for tid, state, start, end, other in states]
    asleep = {(tid, end, other) for tid, state, start, end, other in states if state in ("sleeping", "blocked")}
    missing = [event for event in wakeups if event["arg"] > 0 and
               (event["tid"], event["ns"], event["fields"]["by"]) not in asleep]
    equal("wakeups that end no sleep", missing[:1], [])
    equal("wakeups", len(wakeups) > 3, True)
    for event in events:
        if event["name"] == "sched.switch_out" and event["arg"] > 0:
            matches = [state for state in states if state[0] == event["tid"] and state[1] == "running" and state[3] == event["ns"]]
            equal(f"running until {event['ns']}", len(matches), 1)
            if abs(matches[0][3] - matches[0][2] - event["arg"]) > 1000:
                raise Wrong(f"ran {event['arg']} ns, shown is {matches[0]}")


# ---- losses, and nothing at all ------------------------------------------------------------------


def use_losses(browser, page, _):
    open_page(browser, page)
    lost = browser.ask("Object.fromEntries(timeline.tracks.map(track => [track.tid, track.lost]))")
    with open(os.environ["ADA_INFO"], encoding="utf-8") as file:
        info = json.load(file)
    expected = {str(thread["tid"]): thread["events"]["dropped_full"] for thread in info["threads"]}
    equal("lost of each thread", lost, expected)
    equal("lost something", sum(expected.values()) > 0, True)
    equal("each has a gap", browser.ask("timeline.tracks.every(track => !track.lost || track.rows.lost.length)"), True)
    warning = browser.text("#warnings")
    equal("warning", re.sub(r"[^\d]", "", warning.split(" events")[0]), str(sum(expected.values())))
    browser.ask("select({track: timeline.tracks[0], row: timeline.tracks[0].rows.lost[0], i: 0}, true)")
    equal("a gap", details(browser)["title"], "events may be missing here")


def use_many(browser, page, _):
    """More than a page has room for: all of it is there, coarser, and that is said."""
    open_page(browser, page)
    told = browser.ask("({events: model.told.events, added: model.told.added, resolution: model.told.resolution})")
    equal("things", told["added"], told["events"])
    equal("coarser", told["resolution"] > 0, True)
    equal("all of them", browser.ask("model.tracks.reduce((sum, track) => sum + model.sums(track).items, 0)"), told["events"])
    equal("fewer", browser.ask("model.rows.reduce((sum, row) => sum + row.exact.count, 0)") < told["events"], True)
    equal("warning", "too many for a page" in browser.text("#warnings"), True)
    browser.ask("panels.show('functions')")
    browser.ask("panels.show('recording')")
    browser.ask("""(([track]) => select({track, row: track.rows.instant[0],
        i: track.rows.instant[0].exact.items.findIndex(count => count > 1)}, true))(timeline.tracks)""")
    title = details(browser)["title"]
    equal(f"several: {title}", "things that are close together, mostly load.tick" in title, True)


def use_empty(browser, page, _):
    open_page(browser, page)
    equal("lines", browser.ask("timeline.lines.length"), 0)
    for tab in "details", "waits", "flame", "functions", "threads", "recording":
        browser.ask(f"panels.show('{tab}')")
    for key in "w", "s", "a", "d", "n", "z", "c", "0", "Escape", "ArrowRight", "ArrowDown":
        browser.press(key)
    browser.drag(400, 300, 600)
    drawn(browser)


def use_keys(browser, page, dump):
    """Without a mouse: from thing to thing, and what the panel tells of each."""
    expected = spans_of(read_dump(dump))
    open_page(browser, page)
    browser.ask("document.querySelector('#timeline').focus()")
    browser.press("ArrowRight")
    first = details(browser)
    browser.press("ArrowDown")
    equal("below", browser.ask("timeline.selected.row.depth"), 1)
    equal("depth", details(browser)["depth"], "1")
    browser.press("ArrowUp")
    equal("above", details(browser), first)
    for key, tab in ("2", "waits"), ("3", "flame"), ("4", "functions"), ("5", "threads"), ("6", "recording"), ("1", "details"):
        browser.press(key)
        equal("tab", browser.ask("panels.tab"), tab)
        equal("its button", browser.ask("document.querySelector('[aria-selected=true]').dataset.tab"), tab)
    height = browser.ask("timeline.height")
    browser.press("c")
    equal("folded", browser.ask("timeline.height") < height, True)
    browser.press("c")
    equal("unfolded", browser.ask("timeline.height"), height)
    browser.press("?")
    equal("help", browser.ask("document.querySelector('#help').open"), True)
    browser.click("#help button")
    equal("no help", browser.ask("document.querySelector('#help').open"), False)
    equal("spans", sum(len(spans) for spans in expected.values()) > 0, True)


def use_part(browser, page, dump):
    """--thread: only that thread."""
    events = read_dump(dump)
    open_page(browser, page)
    shown = browser.ask("timeline.tracks.map(track => track.tid)")
    equal("threads", sorted(shown), sorted({event["tid"] for event in events}))
    equal("events", browser.ask("model.told.events"), len(events))
    begin, length = browser.ask("[String(model.begin), model.duration]")
    equal("range", (int(begin) >= events[0]["ns"], int(begin) + length <= events[-1]["ns"]), (True, True))


def use_window(browser, page, dump):
    """--from and --to: what reaches into that time is there, whole, if it began before."""
    begin, end = (int(Decimal(os.environ[name]) * 1000000000) for name in ("ADA_FROM", "ADA_TO"))
    open_page(browser, page)
    first, length = browser.ask("[String(model.begin), model.duration]")
    last = int(first) + length
    equal("range", (int(first) == begin, last <= end), (True, True))

    def reaching(spans):
        """Those of that time; what goes on at its end has no end."""
        return sorted([*span[:3], span[3] if span[3] < last else None] for span in spans if span[3] >= begin and span[2] <= last)
    expected = {tid: reaching(spans) for tid, spans in spans_of(read_dump(dump)).items() if reaching(spans)}
    equal("events", browser.ask("model.told.events"), sum(begin <= event["ns"] <= end for event in read_dump(dump)))
    equal("spans", {tid: reaching(spans) for tid, spans in shown_spans(browser).items()}, expected)
    early = item_named("main")
    equal("began before", browser.ask(f"(() => {{ const item = {early}; return item.row.exact.start[item.i] < 0; }})()"), True)
    browser.click_at(*place_of(browser, early))
    told = details(browser)
    equal("chosen", told["title"], "main")
    equal("start", told["start"].endswith(" s since the start, before what is shown"), True)
    equal("self", "self" in told, False)


def use_hung(browser, page, dump):
    """Of who waited already when one began to look: in what, and for whom."""
    open_page(browser, page)
    names = browser.ask("timeline.tracks.map(track => track.name)")
    browser.ask("panels.show('waits')")
    rows = [(row[1].split(" ")[0], row[2], re.sub(r" \(.*", "", row[4])) for row in table(browser)]
    whom = {"plain_deadlock": "first", "first": "second", "second": "first"}
    equal("who waits for whom", sorted(rows), sorted((name, what, f"nobody: it waits to the end, for {whom[name]}")
                                                     for name in names for what in ("syscall.futex", "sleeping")))
    browser.click_at(*place_of(browser, item_named("syscall.futex", "call")))
    told = details(browser)
    equal("whom, in the details", (names[0], told["thread"].split(" ")[0]), ("plain_deadlock", "first"))


def use_value(browser, page, dump):
    """--from: a counter begins with the value that it had then."""
    begin = int(Decimal(os.environ["ADA_FROM"]) * 1000000000)
    values = [event for event in read_dump(dump) if event["kind"] == "counter"]
    before = [event for event in values if event["ns"] < begin]
    equal("values before", len(before) >= 2, True)
    open_page(browser, page)
    check_counter(browser, before[-1:] + values[len(before):])


def main():
    what, page, dump = sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None

    def use(browser):
        globals()["use_" + what](browser, page, dump)
        if len(sys.argv) > 4:
            drawn(browser)
            browser.take_picture(sys.argv[4])
        check_alone(browser, page)

    return run(use)


sys.exit(main())
