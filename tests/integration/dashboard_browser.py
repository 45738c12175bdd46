#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Uses the page of a recording as a person would, in a headless Chromium, and compares what it shows with what it was told.

    dashboard_browser.py URL PID [SCREENSHOT.png]
    dashboard_browser.py URL PID SESSION OTHER [SCREENSHOT.png]

URL is that of a recording of PID, a program with three threads that record no more. The program is killed at the end, to see
what the page makes of it. Exit status 1 and a line on stdout say what is wrong.

With sessions, URL is that of a service which has these two, in this order, with different numbers of threads; the second one
is about PID alone, and ends with it.

Chromium speaks the DevTools protocol over two pipes: JSON messages, each ended by a NUL.
"""

import base64
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request

TIME_LIMIT_S = 120  # for a browser that hangs
COLUMNS = ["pid", "tid", "name", "events/s", "bytes/s", "events", "in file", "lost", "rings full", "share", "stalls"]


class Wrong(Exception):
    """The page, or the browser, does not do what it should."""


def equal(what, got, expected):
    if got != expected:
        raise Wrong(f"{what}: {got!r} instead of {expected!r}")


class Browser:
    """One page of a Chromium of its own."""

    def __init__(self, directory):
        mine_in, its_out = self._pipe()
        its_in, mine_out = self._pipe()

        def give_pipes():
            os.dup2(its_in, 3)
            os.dup2(its_out, 4)

        self.errors = open(os.path.join(directory, "browser.err"), "w+b")
        # pylint: disable=subprocess-popen-preexec-fn
        self.process = subprocess.Popen(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run",
             "--window-size=1280,900", f"--user-data-dir={directory}/profile", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=self.errors, stderr=self.errors, close_fds=False, preexec_fn=give_pipes)
        os.close(its_in)
        os.close(its_out)
        self.read_from, self.write_to = mine_in, mine_out
        self.received = b""
        self.last_id = 0
        self.session = None
        self.loaded = False
        self.problems = []  # that the browser has with the page
        self.bodies = []  # of all answers that the page got from metrics.json
        self.requests = {}  # of those that are under way

        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in "Page", "Runtime", "Log", "Network":
            self.call(f"{domain}.enable")

    @staticmethod
    def _pipe():
        """Two descriptors above those that the browser wants; none is inherited."""
        ends = os.pipe()
        moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
        for end in ends:
            os.close(end)
        return moved

    def close(self):
        self.process.kill()
        self.process.wait()

    def _receive(self):
        while b"\0" not in self.received:
            data = os.read(self.read_from, 1 << 16)
            if not data:
                self.errors.seek(0)
                raise Wrong("the browser ended: " + self.errors.read().decode(errors="replace")[-500:])
            self.received += data
        message, self.received = self.received.split(b"\0", 1)
        return json.loads(message)

    def _send(self, method, parameters):
        self.last_id += 1
        message = {"id": self.last_id, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.write_to, data):]
        return self.last_id

    def _note(self, event):
        method, parameters = event.get("method"), event.get("params", {})
        if method == "Page.loadEventFired":
            self.loaded = True
        elif method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.problems.append(parameters["entry"]["text"])
        elif method == "Network.responseReceived" and parameters["response"]["url"].endswith("/metrics.json"):
            self.requests[parameters["requestId"]] = None
        elif method == "Network.loadingFinished" and parameters["requestId"] in self.requests:
            self.requests[parameters["requestId"]] = self._send("Network.getResponseBody",
                                                                {"requestId": parameters["requestId"]})
        elif event.get("id") in self.requests.values() and "result" in event:
            self.bodies.append(json.loads(event["result"]["body"]))

    def call(self, method, **parameters):
        wanted = self._send(method, parameters)
        while True:
            message = self._receive()
            if message.get("id") != wanted:
                self._note(message)
            elif "error" in message:
                raise Wrong(f"{method}: {message['error']['message']}")
            else:
                return message["result"]

    def open(self, url):
        self.call("Page.navigate", url=url)
        while not self.loaded:
            self._note(self._receive())

    def wait_for_answers(self, count):
        """That many more answers of metrics.json."""
        until = len(self.bodies) + count
        while len(self.bodies) < until:
            self._note(self._receive())

    def ask(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise Wrong(f"{expression}: {answer['exceptionDetails'].get('exception', {}).get('description')}")
        return answer["result"].get("value")

    def wait_until(self, condition):
        """Looked at whenever anything of the document changes."""
        self.ask("""new Promise(done => {
            const observer = new MutationObserver(look);
            function look() { if (%s) { observer.disconnect(); done(); } }
            observer.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
            look();
        })""" % condition)

    def choose(self, selector, value):
        """As somebody who picks from a list: keys, as its menu is not of the page."""
        self.ask(f"document.querySelector({json.dumps(selector)}).focus()")
        for letter in value:
            self.call("Input.dispatchKeyEvent", type="keyDown", key=letter, text=letter)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=letter)

    def reload(self):
        self.loaded = False
        self.call("Page.reload")
        while not self.loaded:
            self._note(self._receive())

    def click(self, selector):
        x, y = self.ask(f"""(() => {{
            const found = document.querySelector({json.dumps(selector)});
            found.scrollIntoView({{block: "center"}});
            const box = found.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        }})()""")
        for kind in "mousePressed", "mouseReleased":
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def write(self, text):
        self.call("Input.insertText", text=text)

    def press_backspace(self):
        for kind in "keyDown", "keyUp":
            self.call("Input.dispatchKeyEvent", type=kind, key="Backspace", code="Backspace", windowsVirtualKeyCode=8)

    def rows(self):
        return self.ask("""[...document.querySelectorAll("#threads tbody tr")].map(
            row => [...row.cells].map(cell => cell.textContent))""")

    def column(self, name):
        return [row[COLUMNS.index(name)] for row in self.rows()]

    def text(self, selector):
        return self.ask(f"document.querySelector({json.dumps(selector)}).textContent")


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

    browser.choose("#session", other)
    check_session(browser, other)
    equal("address", browser.ask("location.href"), f"{url}#session={other}")
    points = browser.ask("tracks.get(last.session).history.rate.length")
    equal("its history from before it was chosen", points >= 1, True)
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
        with open(sys.argv[argument], "wb") as out:
            out.write(base64.b64decode(browser.call("Page.captureScreenshot")["data"]))


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
    signal.signal(signal.SIGALRM, lambda *_: sys.exit(f"nothing happened for {TIME_LIMIT_S} s"))
    signal.alarm(TIME_LIMIT_S)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        browser = Browser(directory)
        try:
            browser.open(url)
            if len(sys.argv) > 4:
                use_service(browser, url, pid, sys.argv[3], sys.argv[4])
            else:
                use_recording(browser, url, pid)
        except Wrong as wrong:
            print(wrong)
            return 1
        finally:
            browser.close()
    return 0


sys.exit(main())
