"""Chromium without a window, driven through a pipe (Chrome DevTools Protocol), for tests of pages."""

import fcntl
import importlib.util
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream", "--autoplay-policy=no-user-gesture-required", "--mute-audio",
)  # fmt: skip


def axe() -> str | None:
    """Deque's rules of accessibility (axe-core) as JavaScript; None if they are not installed."""
    found = importlib.util.find_spec("axe_core_python")
    if found is None or found.origin is None:
        return None
    return (Path(found.origin).parent / "axe.min.js").read_text(encoding="utf-8")


class Chromium:
    """One tab of a browser; a context manager.

    Args:
        profile: folder for what it keeps.
    """

    def __init__(self, profile: Path) -> None:
        assert PROGRAM is not None
        # the browser reads at 3 and writes at 4; our own descriptors must be others
        pipes = [fd for pair in (os.pipe(), os.pipe()) for fd in pair]
        ours = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 20) for fd in pipes]
        # with its end for writing open here, a browser that has ended would be waited for without end
        for fd in pipes:
            os.close(fd)
        theirs_in, to_browser, from_browser, theirs_out = ours

        def connect() -> None:
            os.dup2(theirs_in, 3)
            os.dup2(theirs_out, 4)

        self._process = subprocess.Popen(
            [PROGRAM, *OPTIONS, f"--user-data-dir={profile}", "about:blank"], preexec_fn=connect, close_fds=False,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._to, self._from = os.fdopen(to_browser, "wb", 0), os.fdopen(from_browser, "rb", 0)
        self._count, self._buffer, self._session = 0, b"", ""
        self.problems: list[str] = []
        targets = self("Target.getTargets")["targetInfos"]
        page = next(one["targetId"] for one in targets if one["type"] == "page")
        self._session = self("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "DOM", "Log"):
            self(f"{domain}.enable")

    def __enter__(self) -> "Chromium":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._to.write(json.dumps({"id": 0, "method": "Browser.close"}).encode() + b"\0")
        self._to.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._from.close()

    def __call__(self, method: str, **parameters: Any) -> Any:
        """Send a command of the protocol; its result.  Errors of pages on the way are added to ``problems``."""
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._buffer:
                part = self._from.read(1 << 16)
                assert part, "the browser has ended"
                self._buffer += part
            one, self._buffer = self._buffer.split(b"\0", 1)
            answer = json.loads(one)
            if answer.get("id") == self._count:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            if answer.get("method") == "Runtime.exceptionThrown":
                self.problems.append(json.dumps(answer["params"]["exceptionDetails"]))
            elif answer.get("method") == "Log.entryAdded" and answer["params"]["entry"]["level"] == "error":
                self.problems.append(answer["params"]["entry"]["text"])

    def run(self, script: str) -> Any:
        """The value of an expression in the page, awaited."""
        done = self("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def until(self, script: str, seconds: float = 15.0) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self.run(script):
            assert time.monotonic() < end, f"never: {script}; {self.problems}"
            time.sleep(0.05)

    def open(self, address: str) -> None:
        """Go to a page, and wait until it is there."""
        self("Page.navigate", url="about:blank")
        self.until("location.href === 'about:blank'")
        self("Page.navigate", url=address)
        self.until("location.href !== 'about:blank' && document.readyState === 'complete'")

    def size(self, width: int, height: int = 900) -> None:
        """Of the window."""
        self("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)

    def key(self, name: str, code: str = "", text: str = "") -> None:
        """Press a key."""
        text = text or (name if len(name) == 1 else "")
        number = {"Enter": 13, "Tab": 9, "ArrowRight": 39, "ArrowLeft": 37, " ": 32}.get(name, 0)
        for kind in ("keyDown", "keyUp"):
            sent = {"text": text} if text and kind == "keyDown" else {}
            self("Input.dispatchKeyEvent", type=kind, key=name, code=code or name, windowsVirtualKeyCode=number, **sent)

    def violations(self, rules: str) -> list[str]:
        """What axe-core finds, a line a rule and place."""
        if not self.run("typeof axe === 'object'"):
            self.run(rules + ";0")
        found = self.run("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)")
        return [
            f"{one['id']} ({one['impact']}): {one['help']}: {node['html'][:200]}"
            for one in found
            for node in one["nodes"]
        ]
