#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Uses the page of a recording as a person would, in a headless Chromium, and compares what it shows with what it was told.

    dashboard_browser.py URL PID [SCREENSHOT.png]
    dashboard_browser.py URL PID SESSION OTHER [SCREENSHOT.png]

URL is that of a recording of PID, a program with three threads that record no more. The program is killed at the end, to see
what the page makes of it. Exit status 1 and a line on stdout say what is wrong.

With sessions, URL is that of a service which has these two, in this order, with different numbers of threads; the second one
is about PID alone, and ends with it.
"""

import json
import os
import signal
import sys
import urllib.request

from browser import TIME_LIMIT_S, Browser, Wrong, equal, run

COLUMNS = ["pid", "tid", "name", "events/s", "bytes/s", "events", "in file", "lost", "rings full", "share", "stalls"]


class Dashboard(Browser):
    """With what the page gets to know."""

    def __init__(self, directory):
        self.bodies = []  # of all answers that the page got from metrics.json
        self.requests = {}  # of those that are under way
        super().__init__(directory)

    def _note(self, event):
        super()._note(event)
        method, parameters = event.get("method"), event.get("params", {})
        if method == "Network.responseReceived" and parameters["response"]["url"].endswith("/metrics.json"):
            self.requests[parameters["requestId"]] = None
        elif method == "Network.loadingFinished" and parameters["requestId"] in self.requests:
            self.requests[parameters["requestId"]] = self._send("Network.getResponseBody",
                                                                {"requestId": parameters["requestId"]})
        elif event.get("id") in self.requests.values() and "result" in event:
            self.bodies.append(json.loads(event["result"]["body"]))

    def wait_for_answers(self, count):
        """That many more answers of metrics.json."""
        until = len(self.bodies) + count
        while len(self.bodies) < until:
            self._note(self._receive())

    def rows(self):
        return self.ask("""[...document.querySelectorAll("#threads tbody tr")].map(
            row => [...row.cells].map(cell => cell.textContent))""")

    def column(self, name):
        return [row[COLUMNS.index(name)] for row in self.rows()]


def header(name):
    return f"#threads th:nth-child({COLUMNS.index(name) + 1})"


def amount(value, unit=""):
    """As the page should write it."""
    for size, name in (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"):
        if abs(value) >= size:
            return f"{value / size:.1f} {name}{unit}"
    number = str(int(value)) if value == int(value) else f"{value:.1f}"
    return f"{number} {unit}" if unit else number


def exact_numbers(rows):
    """The titles of the cells of tid, events, in file and lost."""
    return sorted([int(row[i]) for i in (1, 5, 6, 7)] for row in rows)


def lost_of(events):
    return events["dropped_full"] + events["dropped_nested"] + events["dropped_io"] + events["torn"]


def cells_of(thread):
    events = thread["events"]
    return [str(thread["pid"]), str(thread["tid"]), thread["name"], amount(thread["events_per_s"]),
            amount(thread["bytes_per_s"], "B"), amount(events["attempted"]), amount(events["in_file"]),
            amount(lost_of(events)), f"{100 * thread['occupancy']:.0f} %", f"{100 * thread['drain_share']:.1f} %",
            amount(thread["stalls"])]


def check_live(browser):
    browser.wait_until("""document.querySelector("#state").textContent === "live" && history.rate.length >= 3""")
    equal("columns", browser.ask("""[...document.querySelectorAll("#threads th")].map(th => th.textContent)"""), COLUMNS)
    equal("names", browser.column("name"), ["prog_burst"] * 3)
    equal("count", browser.text("#count"), "3 of 3 threads")


def check_charts(browser):
    equal("points of the charts", browser.ask("new Set(Object.values(history).map(points => points.length)).size"), 1)
    equal("largest fairness", browser.ask("Math.max(...history.jain)"), 1)
    # What is drawn last in each chart, its newest point, is in the colour of its line.
    # Nothing was recorded since, so there is no latency to show.
    for chart, color in ("rate", "--a"), ("lost", "--bad"), ("jain", "--good"), ("latency", "--b"):
        pixels = browser.ask(f"""(() => {{
            const canvas = document.querySelector("#{chart}"), context = canvas.getContext("2d");
            const wanted = getComputedStyle(document.documentElement).getPropertyValue("{color}").trim();
            context.fillStyle = wanted;
            const hex = parseInt(context.fillStyle.slice(1), 16), data =
                context.getImageData(0, 0, canvas.width, canvas.height).data;
            let found = 0;
            for (let i = 0; i < data.length; i += 4)
                found += (data[i] << 16 | data[i + 1] << 8 | data[i + 2]) === hex && data[i + 3] === 255;
            return found;
        }})()""")
        if (pixels > 5) != (chart != "latency"):
            raise Wrong(f"the chart {chart} has {pixels} pixels of its line")
    equal("latencies", browser.ask("history.p99.every(value => value === null)"), True)


def check_sorting(browser):
    browser.click(header("tid"))
    tids = [int(tid) for tid in browser.column("tid")]
    equal("order by tid", tids, sorted(tids))
    equal("its mark", browser.ask(f"document.querySelector({json.dumps(header('tid'))}).ariaSort"), "ascending")
    browser.click(header("tid"))
    equal("the other way", [int(tid) for tid in browser.column("tid")], sorted(tids, reverse=True))
    equal("its mark", browser.ask(f"document.querySelector({json.dumps(header('tid'))}).ariaSort"), "descending")
    browser.click(header("events"))
    equal("marks", browser.ask("""[...document.querySelectorAll("#threads th")].map(th => th.ariaSort)"""),
          ["descending" if name == "events" else None for name in COLUMNS])


def check_filter(browser):
    tid = browser.column("tid")[1]
    browser.click("#filter")
    browser.write(tid)
    equal("rows of one thread", browser.column("tid"), [tid])
    equal("count", browser.text("#count"), "1 of 3 threads")
    browser.write("x")
    equal("rows of nobody", browser.rows(), [])
    for _ in tid + "x":
        browser.press_backspace()
    equal("rows without a filter", len(browser.rows()), 3)


def check_pause(browser, url):
    browser.click("#pause")
    equal("state", browser.text("#state"), "paused")
    sequence = browser.ask("last.sequence")
    rows, cards = browser.rows(), browser.text("#cards")
    browser.wait_for_answers(2)
    equal("sequence in a pause", browser.ask("last.sequence"), sequence)
    equal("rows in a pause", browser.rows(), rows)
    equal("cards in a pause", browser.text("#cards"), cards)

    told = [body for body in browser.bodies if body["sequence"] == sequence]
    equal("answers with what is shown", len(told) > 0, True)
    equal("table", sorted(rows), sorted(cells_of(thread) for thread in told[0]["threads"]))
    shown = dict(browser.ask("""[...document.querySelectorAll("#cards .card")].map(
        card => [card.querySelector("span").textContent, card.querySelector("b").textContent])"""))
    total = told[0]["total"]
    equal("card events", shown["events"], amount(total["events"]["attempted"]))
    equal("card lost", shown["lost"], amount(lost_of(total["events"])))
    equal("card of the last interval", shown["lost, last interval"], f"{100 * told[0]['drop_ratio']:.1f} %")
    equal("card threads", shown["threads / processes"], "3 / 1")
    equal("card latency", shown["latency P50 / P99, ms"], "\u2013")
    titles = browser.ask("""[...document.querySelectorAll("#threads tbody tr")].map(
        row => [...row.cells].map(cell => cell.title || cell.textContent))""")
    # Nobody records any more: it is still what anybody else is told.
    with urllib.request.urlopen(url + "metrics.json", timeout=TIME_LIMIT_S) as answer:
        now = json.load(answer)
    equal("newer than what is shown", now["sequence"] > sequence, True)
    equal("events, exactly", exact_numbers(titles),
          sorted([t["tid"], t["events"]["attempted"], t["events"]["in_file"], lost_of(t["events"])]
                 for t in now["threads"]))
    equal("events of a thread", exact_numbers(titles)[0][1:], [1000, 1000, 0])

    browser.click("#pause")
    browser.wait_until(f"""document.querySelector("#state").textContent === "live" && last.sequence > {sequence}""")


def check_policy(browser):
    equal("problems of the browser", browser.problems, [])
    equal("script from elsewhere", browser.ask("""(() => {
        const script = document.createElement("script");
        script.textContent = "window.injected = 1";
        document.body.append(script);
        return window.injected === undefined;
    })()"""), True)


def check_end(browser, pid):
    os.kill(pid, signal.SIGTERM)
    browser.wait_until("""document.querySelector("#state").className === "gone" """)
    equal("rows after the end", len(browser.rows()), 3)
    if not browser.text("#state").startswith("the recorder is gone"):
        raise Wrong("state after the end: " + browser.text("#state"))


def sessions_told(browser):
    return {session["session"]: session for session in browser.bodies[-1]["sessions"]}


def check_session(browser, name):
    """That it is what the page shows, and everything of it."""
    browser.wait_until(f"""document.querySelector("#state").textContent === "live" && last.session === {json.dumps(name)}""")
    browser.wait_for_answers(1)
    told = sessions_told(browser)[name]
    equal("title", browser.ask("document.title"), f"adatrace: {name}")
    equal("chosen", browser.ask("""document.querySelector("#session").value"""), name)
    equal("threads", sorted(int(tid) for tid in browser.column("tid")), sorted(t["tid"] for t in told["threads"]))
    if not browser.text("#about").startswith(f"session {name}, recording for "):
        raise Wrong("about: " + browser.text("#about"))


def check_choice(browser, url, name, other):
    check_session(browser, name)
    equal("sessions to choose from", browser.ask("""[...document.querySelectorAll("#session option")].map(
        option => option.value)"""), [name, other])
    equal("choice is visible", browser.ask("""document.querySelector("#session").offsetWidth > 0"""), True)
    told = sessions_told(browser)
    equal("sessions differ", len(told[name]["threads"]) != len(told[other]["threads"]), True)

    browser.wait_until(f"""tracks.get({json.dumps(other)}).history.rate.length >= 1""")
    browser.choose("#session", other)
    equal("its history from before it was chosen", browser.ask("""last.session === document.querySelector("#session").value &&
        history === tracks.get(last.session).history && history.rate.length >= 1"""), True)
    check_session(browser, other)
    equal("address", browser.ask("location.href"), f"{url}#session={other}")
    browser.reload()
    check_session(browser, other)

    browser.ask("""location.hash = "session=nobody" """)
    browser.wait_until("""document.querySelector("#state").textContent === "there is no session nobody" """)
    equal("choice of who is not there", browser.ask("""document.querySelector("#session").value"""), "nobody")
    browser.ask("""window.history.back()""")
    check_session(browser, other)


def check_end_of_session(browser, pid):
    threads = len(browser.rows())
    os.kill(pid, signal.SIGTERM)
    browser.wait_until("""document.querySelector("#state").textContent.startsWith("stopped; what is shown is the last")""")
    equal("its state", browser.ask("document.querySelector('#state').className"), "gone")
    equal("rows after the end", len(browser.rows()) <= threads, True)


def use_service(browser, url, pid, name, other):
    check_choice(browser, url, name, other)
    screenshot(browser, 5)
    equal("problems of the browser", browser.problems, [])
    check_end_of_session(browser, pid)


def screenshot(browser, argument):
    if len(sys.argv) > argument:
        browser.take_picture(sys.argv[argument])


def use_recording(browser, url, pid):
    check_live(browser)
    equal("choice of a session", browser.ask("""document.querySelector("#session").offsetWidth"""), 0)
    check_charts(browser)
    check_sorting(browser)
    check_filter(browser)
    check_pause(browser, url)
    screenshot(browser, 3)
    check_policy(browser)
    check_end(browser, pid)


def main():
    url, pid = sys.argv[1], int(sys.argv[2])

    def use(browser):
        browser.open(url)
        if len(sys.argv) > 4:
            use_service(browser, url, pid, sys.argv[3], sys.argv[4])
        else:
            use_recording(browser, url, pid)

    return run(use, Dashboard)


sys.exit(main())
