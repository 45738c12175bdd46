#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A headless Chromium with one page, for tests to use as a person would.

It speaks the DevTools protocol over two pipes: JSON messages, each ended by a NUL.
"""

import base64
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile

TIME_LIMIT_S = 120  # for a browser that hangs


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
            env={**os.environ, "TMPDIR": directory},  # it leaves things there
            stdin=subprocess.DEVNULL, stdout=self.errors, stderr=self.errors, close_fds=False, preexec_fn=give_pipes)
        os.close(its_in)
        os.close(its_out)
        self.read_from, self.write_to = mine_in, mine_out
        self.received = b""
        self.last_id = 0
        self.session = None
        self.loaded = False
        self.problems = []  # that the browser has with the page
        self.asked_for = []  # addresses of all that was asked for

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
        elif method == "Network.requestWillBeSent":
            self.asked_for.append(parameters["request"]["url"])

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
        self.click_at(x, y)

    def write(self, text):
        self.call("Input.insertText", text=text)

    def press(self, key, modifiers=0, **more):
        for kind in "keyDown", "keyUp":
            self.call("Input.dispatchKeyEvent", type=kind, key=key, modifiers=modifiers, **more)

    def press_backspace(self):
        self.press("Backspace", code="Backspace", windowsVirtualKeyCode=8)

    def click_at(self, x, y):
        for kind in "mousePressed", "mouseReleased":
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def drag(self, x, y, to_x, modifiers=0):
        """To the side, with the left button."""
        self.call("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, button="left", clickCount=1, modifiers=modifiers)
        for part in range(1, 5):
            self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x + (to_x - x) * part / 4, y=y, button="left",
                      buttons=1, modifiers=modifiers)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", x=to_x, y=y, button="left", clickCount=1,
                  modifiers=modifiers)

    def wheel(self, x, y, down, modifiers=0):
        self.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=down, modifiers=modifiers)

    def text(self, selector):
        return self.ask(f"document.querySelector({json.dumps(selector)}).textContent")

    def take_picture(self, path):
        with open(path, "wb") as out:
            out.write(base64.b64decode(self.call("Page.captureScreenshot")["data"]))


def run(use, make=Browser):
    """Calls use(browser); 0, or 1 and a line on stdout that says what is wrong."""
    signal.signal(signal.SIGALRM, lambda *_: sys.exit(f"nothing happened for {TIME_LIMIT_S} s"))
    signal.alarm(TIME_LIMIT_S)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        browser = make(directory)
        try:
            use(browser)
        except Wrong as wrong:
            print(wrong)
            return 1
        finally:
            browser.close()
    return 0
