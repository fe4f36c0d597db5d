"""A headless Chromium over a pipe: pages, JavaScript, keys, sizes, colour schemes, pictures and what the console said.

Chromium's DevTools protocol without a library: `--remote-debugging-pipe` reads commands from file descriptor 3 and
writes answers and events to 4, JSON ended by a zero byte.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--mute-audio"),
    *("--disable-extensions", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--remote-debugging-pipe", "about:blank"),
)
PATIENCE = 120.0
"""Seconds for one answer."""

CONTRAST = """() => {
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  const channel = (c) => ((c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const colour = numbers(getComputedStyle(node).backgroundColor);
      if (colour[3] !== 0) return colour;
    }
    return [255, 255, 255];
  };
  const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), low = [];
  while (words.nextNode()) {
    const node = words.currentNode.parentElement;
    if (!words.currentNode.textContent.trim() || node.closest("script") || !node.getClientRects().length) continue;
    const [a, b] = [light(numbers(getComputedStyle(node).color)), light(ground(node))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) low.push(`${words.currentNode.textContent.trim().slice(0, 40)}: ${contrast.toFixed(1)}`);
  }
  return low;
}"""
"""A function of JavaScript: texts whose contrast to their ground is below 4.5."""

OUTSIDE = """() => [...document.body.querySelectorAll("button, input, select, canvas, p, label, h1, h2")]
  .filter((e) => e.getClientRects().length && !e.closest(".visually-hidden"))
  .filter((e) => { const r = e.getBoundingClientRect(); return r.left < -0.5 || r.right > innerWidth + 0.5; })
  .map((e) => e.id || e.textContent.slice(0, 30))"""
"""Another: what is wider than the window."""


RULES = """() => axe.run({ runOnly: ["wcag2a", "wcag2aa", "best-practice"] }).then((result) =>
  result.violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.length} of ${v.nodes[0].html.slice(0, 80)}`))"""
"""Another: what axe-core finds against the WCAG's levels A and AA and its own advice."""


def axe() -> str:
    """The text of axe-core, which the package axe-core-python carries. Raises ModuleNotFoundError."""
    place = importlib.util.find_spec("axe_core_python")
    if place is None:
        raise ModuleNotFoundError("axe-core-python is not installed")
    return (Path(place.origin).parent / "axe.min.js").read_text(encoding="utf-8")


def program() -> str | None:
    """The path of a Chromium, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class BrowserError(RuntimeError):
    """Chromium refused a command, ended, or JavaScript raised an error."""


class Browser:
    """One page of a running Chromium. `console` collects warnings, errors and exceptions as text."""

    def __init__(self, reader: int, writer: int) -> None:
        self.reader, self.writer, self.count, self.buffer = reader, writer, 0, b""
        self.session: str | None = None
        self.console: list[str] = []
        self.requests: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params) -> dict:
        """The answer to a command; events that come before it are read on the way."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.writer, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.count:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def _next(self) -> dict:
        end = time.monotonic() + PATIENCE
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.reader], [], [], max(0.0, end - time.monotonic()))
            part = os.read(self.reader, 1 << 20) if ready else b""
            if not part:
                raise BrowserError("Chromium ended" if ready else f"no answer within {PATIENCE:g} s")
            self.buffer += part
        line, _, self.buffer = self.buffer.partition(b"\0")
        event = json.loads(line)
        self._note(event.get("method"), event.get("params", {}))
        return event

    def _note(self, method: str | None, params: dict) -> None:
        if method == "Runtime.exceptionThrown":
            detail = params["exceptionDetails"]
            self.console.append(detail.get("exception", {}).get("description", detail["text"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("warning", "error", "assert"):
            self.console.append(" ".join(str(a.get("value", a.get("description"))) for a in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("warning", "error"):
            self.console.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    def open(self, url: str) -> None:
        """Load an address, always anew, and wait until it stands."""
        self.send("Page.navigate", url="about:blank")
        self.send("Page.navigate", url=url)
        while self.js("document.readyState + location.protocol") != f"complete{url.partition('//')[0]}":
            time.sleep(0.02)

    def js(self, expression: str):
        """The value of an expression, or of the promise it is. Raises BrowserError where it raises."""
        settings = {"expression": expression, "returnByValue": True, "awaitPromise": True, "userGesture": True}
        answer = self.send("Runtime.evaluate", **settings)
        if "exceptionDetails" in answer:
            detail = answer["exceptionDetails"]
            raise BrowserError(detail.get("exception", {}).get("description", detail["text"]))
        return answer["result"].get("value")

    def call(self, function: str, *values):
        """What a function of JavaScript returns for values."""
        return self.js(f"({function})({', '.join(map(json.dumps, values))})")

    def size(self, width: int, height: int, dark: bool = False) -> None:
        """Set the window's size and the colour scheme that the page is asked for."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def key(self, key: str, text: str = "") -> None:
        """Press and release a key, by its name in KeyboardEvent.key."""
        code = {"Tab": 9, "Enter": 13, " ": 32, "ArrowRight": 39, "ArrowLeft": 37, "Escape": 27}.get(key, 0)
        event = {"key": key, "code": {" ": "Space"}.get(key, key), "windowsVirtualKeyCode": code}
        text = {"Enter": "\r", " ": " "}.get(key, text)
        self.send("Input.dispatchKeyEvent", type="keyDown", **event, **({"text": text} if text else {}))
        self.send("Input.dispatchKeyEvent", type="keyUp", **event)

    def mouse(self, kind: str, x: float, y: float) -> None:
        """A mouse event: mousePressed, mouseMoved or mouseReleased, of the left button."""
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def picture(self, path: Path, whole: bool = True) -> None:
        """Write a PNG of the page, or of the window."""
        answer = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        Path(path).write_bytes(base64.b64decode(answer["data"]))


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A Chromium with a fresh profile in `folder`, ended on the way out."""
    inward, outward = os.pipe(), os.pipe()  # (read, write): commands to Chromium, answers from it
    ours = (outward[0], inward[1])

    def wire() -> None:  # in the child: the ends at 3 and 4, over numbers that may be either
        spare = os.dup(inward[0]), os.dup(outward[1])
        os.dup2(spare[0], 3)
        os.dup2(spare[1], 4)

    command = [program(), f"--user-data-dir={folder}", *FLAGS]
    process = subprocess.Popen(
        command, preexec_fn=wire, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(inward[0])
    os.close(outward[1])
    try:
        yield Browser(*ours)
    finally:
        with suppress(OSError):
            os.write(ours[1], b'{"id":0,"method":"Browser.close"}\0')
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for end in ours:
            os.close(end)
