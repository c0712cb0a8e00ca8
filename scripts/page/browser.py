"""A headless Chromium, driven over the pipe that it offers: no port, no package.

The protocol is the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/): JSON texts, a zero byte after each.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Longer than any answer takes on a busy machine.
PATIENCE = 60


class Fault(Exception):
    """Something on the page is not as it must be."""


def find():
    """The browser's program, or None."""
    named = os.environ.get("SPEEDLAB_CHROMIUM")
    if named:
        return named
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Browser:
    """One page in one browser; what it logs and asks the network for is kept."""

    def __init__(self, program):
        self.profile = tempfile.mkdtemp(prefix="speedlab-page-")
        to_browser, self.write = os.pipe()
        self.read, from_browser = os.pipe()
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
                 "--disable-sync", "--disable-extensions", "--hide-scrollbars", "--remote-debugging-pipe", f"--user-data-dir={self.profile}", "about:blank"]

        # The browser reads from 3 and writes to 4; first away from these numbers, which may be taken.
        def place():
            ends = [os.dup(end) for end in (to_browser, from_browser)]
            high = [os.dup2(end, number) for end, number in zip(ends, (203, 204))]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen([program, *flags], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        preexec_fn=place, close_fds=False)
        os.close(to_browser)
        os.close(from_browser)
        self.rest = b""
        self.number = 0
        self.session = None
        self.events = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def close(self):
        self.process.terminate()
        self.process.wait()
        os.close(self.read)
        os.close(self.write)
        shutil.rmtree(self.profile, ignore_errors=True)

    def _next(self, until):
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.read], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                raise TimeoutError(f"the browser said nothing for {PATIENCE} s")
            read = os.read(self.read, 1 << 16)
            if not read:
                raise ConnectionError("the browser ended")
            self.rest += read
        text, self.rest = self.rest.split(b"\0", 1)
        return json.loads(text)

    def ask(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        text = json.dumps(message).encode() + b"\0"
        while text:
            text = text[os.write(self.write, text):]
        until = time.monotonic() + PATIENCE
        while True:
            answer = self._next(until)
            if answer.get("id") != self.number:
                self.events.append(answer)
                continue
            if "error" in answer:
                raise Fault(f"{method}: {answer['error']}")
            return answer["result"]

    def evaluate(self, expression):
        """The value of an expression in the page; a promise is waited for."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise Fault(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait_for(self, expression, why, patience=PATIENCE):
        until = time.monotonic() + patience
        while True:
            # While one page takes the place of another there is nothing to ask.
            try:
                if self.evaluate(expression):
                    return
                words = "never became true"
            except Fault as fault:
                words = str(fault)
            if time.monotonic() > until:
                raise Fault(f"{why}: `{expression}`: {words}")
            time.sleep(0.02)

    def open(self, url, width=1200, height=900, scheme="light", script=True):
        self.events.clear()
        self.ask("Emulation.setScriptExecutionDisabled", value=not script)
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.ask("Page.navigate", url=url)
        until = time.monotonic() + PATIENCE
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next(until))

    def screenshot(self, path, whole=False):
        shot = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot["data"]))

    def mouse(self, kind, x, y, button="none", clicks=0):
        self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, buttons=1 if button == "left" else 0, clickCount=clicks)

    def click(self, x, y):
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, "left", 1)
        self.mouse("mouseReleased", x, y, "left", 1)

    def key(self, key, code=0, text=None):
        press = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        if text:
            press["text"] = text
        self.ask("Input.dispatchKeyEvent", type="keyDown", **press)
        self.ask("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=code)

    def faults(self, asks=None):
        """What the console complained of, and every request but for the page itself, what it holds, and the one address that it may ask."""
        self.evaluate("0")
        found = []
        for event in self.events:
            method, params = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown":
                found.append(f"exception: {params['exceptionDetails']}")
            elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
                found.append(f"console: {params['args']}")
            elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                found.append(f"log: {params['entry']['text']}")
            elif method == "Network.requestWillBeSent":
                url = params["request"]["url"]
                if params.get("type") != "Document" and not url.startswith("data:") and url != asks:
                    found.append(f"request: {url}")
        return found
