"""Debian's headless Chromium, driven by the DevTools protocol over two pipes.

One message of JSON, then a NUL, in either direction; no port, no extra program.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

PROGRAM: Final = "chromium"
PATIENCE: Final = 20.0  # seconds, on a machine shared with others

_FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",  # tests run as root in namespaces
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--hide-scrollbars",
    "--mute-audio",
    "--no-first-run",
    "--no-proxy-server",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)
_KEYS: Final = {
    "Enter": ("Enter", 13, "\r"),
    "Tab": ("Tab", 9, ""),
    " ": ("Space", 32, " "),
}
_CODES: Final = {
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "End": 35,
    "Home": 36,
    "PageDown": 34,
    "PageUp": 33,
    "Escape": 27,
}


class DevToolsError(Exception):
    """The browser says no; the text is its own."""


class Browser:
    """A browser from ``with`` to its end."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="pybgpd-chromium-")
        self._process: subprocess.Popen[bytes] | None = None
        self._to = self._from = -1
        self._buffer = b""
        self._last_id = 0
        self._events: deque[dict[str, Any]] = deque()

    def __enter__(self) -> Self:
        browser_reads, self._to = os.pipe()
        self._from, browser_writes = os.pipe()
        # bash gives the pipes the numbers that the browser wants, 3 and 4.
        script = f'exec "$0" "$@" 3<&{browser_reads} 4>&{browser_writes}'
        command = ["bash", "-c", script, PROGRAM, *_FLAGS]
        self._process = subprocess.Popen(
            [*command, f"--user-data-dir={self._folder}", "about:blank"],
            pass_fds=(browser_reads, browser_writes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": self._folder, "TZ": "UTC"},
        )
        os.close(browser_reads)
        os.close(browser_writes)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)
        os.close(self._to)
        os.close(self._from)
        shutil.rmtree(self._folder, ignore_errors=True)

    def call(
        self, method: str, session: str | None = None, **parameters: Any
    ) -> dict[str, Any]:
        """Send a command and return its result; events meanwhile are kept."""
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            found = self._receive(PATIENCE)
            assert found is not None, f"{method}: the browser does not answer"
            if found.get("id") != self._last_id:
                self._events.append(found)
            elif "error" in found:
                raise DevToolsError(f"{method}: {found['error']['message']}")
            else:
                result: dict[str, Any] = found["result"]
                return result

    def _receive(self, seconds: float) -> dict[str, Any] | None:
        while b"\0" not in self._buffer:
            waiter = select.poll()  # of any descriptor: select ends at 1,023
            waiter.register(self._from, select.POLLIN)
            if not waiter.poll(seconds * 1000):
                return None
            octets = os.read(self._from, 1 << 20)
            assert octets, "the browser ended"
            self._buffer += octets
        line, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(line)
        return found

    def events(self, session: str) -> list[dict[str, Any]]:
        """Return and forget the events of a page."""
        while (found := self._receive(0)) is not None:
            self._events.append(found)
        mine = [each for each in self._events if each.get("sessionId") == session]
        self._events = deque(e for e in self._events if e.get("sessionId") != session)
        return mine

    def page(self, url: str = "about:blank", **emulated: Any) -> "Tab":
        """Open a tab with storage of its own."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call(
            "Target.createTarget", url="about:blank", browserContextId=context
        )["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)
        tab = Tab(self, session["sessionId"], target)
        tab.emulate(**emulated)
        if url != "about:blank":
            tab.go(url)
        return tab


class Tab:
    """A tab of the browser.

    Attributes:
        faults: What went wrong in it: exceptions, errors of the console, violations of
            the Content-Security-Policy, requests to others.
    """

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self._browser = browser
        self._session = session
        self._target = target
        self._faults: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network", "DOM", "Accessibility"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command of the DevTools protocol."""
        return self._browser.call(method, self._session, **parameters)

    def close(self) -> None:
        """Close the tab."""
        self._browser.call("Target.closeTarget", targetId=self._target)

    def emulate(
        self,
        width: int = 1280,
        height: int = 800,
        *,
        scheme: str = "light",
        is_phone: bool = False,
        reduces_motion: bool = False,
        scale: float = 1,
    ) -> None:
        """Set size and preferences."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=is_phone,
        )
        motion = "reduce" if reduces_motion else "no-preference"
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": motion},
        ]
        self.call("Emulation.setEmulatedMedia", features=features)

    def go(self, url: str) -> None:
        """Load a page, and wait until it is there."""
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete'")

    def before_scripts(self, script: str) -> None:
        """Have a script run before those of each page that is loaded."""
        self.call("Page.addScriptToEvaluateOnNewDocument", source=script)

    def show(self, address: str, heading: str | None = None) -> None:
        """Go to a view of the page by its address (``#/peers``)."""
        self.js(f"location.hash = {json.dumps(address)}")
        if heading is not None:
            self.until(
                f"document.querySelector('h1')?.textContent === {json.dumps(heading)}"
            )

    def js(self, expression: str) -> Any:
        """Return the value of an expression, awaited."""
        found = self.call(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
        )
        if "exceptionDetails" in found:
            details = found["exceptionDetails"]
            text = details.get("exception", {}).get("description", details["text"])
            raise DevToolsError(f"{expression}: {text}")
        return found["result"].get("value")

    def until(self, condition: str, seconds: float = PATIENCE) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                found = self.js(f"!!({condition})")
            except DevToolsError as error:
                found, failure = None, str(error)
            else:
                failure = "is not true"
            if found:
                return
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"{condition}: {failure}; the page says: {self.text()[:2000]}"
                )
            time.sleep(0.02)

    def until_text(self, text: str, selector: str = "body") -> None:
        """Wait until an element has a text."""
        element = f"document.querySelector({json.dumps(selector)})"
        self.until(f"{element}?.innerText.includes({json.dumps(text)})")

    def text(self, selector: str = "body") -> str:
        """Return what an element says."""
        element = f"document.querySelector({json.dumps(selector)})"
        found: str = self.js(f"{element}?.innerText ?? ''")
        return found

    def texts(self, selector: str) -> list[str]:
        """Return what all elements say that match."""
        found: list[str] = self.js(
            f"[...document.querySelectorAll({json.dumps(selector)})].map((e) => e.textContent)"
        )
        return found

    def click(self, selector: str) -> None:
        """Click on an element's middle with the mouse."""
        self.js(
            f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})"
        )
        at = self.js(
            f"(() => {{ const r = document.querySelector({json.dumps(selector)})"
            ".getBoundingClientRect(); return {x: r.x + r.width / 2, y: r.y + r.height / 2}; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **at
            )

    def press(self, *keys: str, shift: bool = False) -> None:
        """Press keys one after the other, by their names."""
        for key in keys:
            code, number, text = _KEYS.get(key, (key, _CODES.get(key, 0), ""))
            if len(key) == 1:
                text = key
            common = {
                "key": key,
                "code": code,
                "windowsVirtualKeyCode": number,
                "modifiers": 8 if shift else 0,
            }
            self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
            self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def write(self, text: str) -> None:
        """Type a text into what has the focus."""
        for letter in text:
            self.call("Input.insertText", text=letter)

    def faults(self) -> list[str]:
        """Return everything that went wrong in the tab so far."""
        for event in self._browser.events(self._session):
            if (fault := _fault_of(event)) is not None:
                self._faults.append(fault)
        return self._faults

    def picture(self, file: Path, *, is_whole: bool = False) -> None:
        """Write a PNG of what the tab shows."""
        found = self.call(
            "Page.captureScreenshot", format="png", captureBeyondViewport=is_whole
        )
        file.write_bytes(base64.b64decode(found["data"]))

    def accessible(self) -> list[tuple[str, str]]:
        """Return role and name of each thing that assistive programs see."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node.get("ignored")
        ]


def _fault_of(event: dict[str, Any]) -> str | None:
    parameters = event.get("params", {})
    match event.get("method"):
        case "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            return str(details.get("exception", {}).get("description", details["text"]))
        case "Runtime.consoleAPICalled" if parameters["type"] in ("error", "assert"):
            return f"console: {[a.get('value', a.get('description')) for a in parameters['args']]}"
        case "Log.entryAdded" if "status of 4" in parameters["entry"]["text"]:
            return None  # an answer that the page has to show
        case "Log.entryAdded" if parameters["entry"]["level"] == "error":
            return f"log: {parameters['entry']['text']} {parameters['entry'].get('url', '')}"
        case "Network.requestWillBeSent":
            url = parameters["request"]["url"]
            is_ours = url.startswith(
                ("http://127.0.0.1:", "http://localhost:", "about:")
            )
            return None if is_ours else f"request to another: {url}"
        case _:
            return None


def is_installed() -> bool:
    """Whether the browser is there."""
    return shutil.which(PROGRAM) is not None
