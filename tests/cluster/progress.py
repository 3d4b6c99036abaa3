"""Shows what is being done: a live line on a terminal, a line every few seconds in a pipe."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from shutil import get_terminal_size

LIVE_SECONDS = 0.5
PIPED_SECONDS = 5.0


class Progress:
    """Steps under way, possibly several at once, each with its elapsed time and a detail of its own."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._steps: dict[str, tuple[float, str]] = {}
        self._thread = threading.Thread(target=self._tick, daemon=True)
        self._thread.start()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Show a step for as long as the block lasts."""
        begun = time.monotonic()
        with self._lock:
            self._steps[name] = (begun, "")
        if not self._terminal:
            self.say(f"... {name}")
        try:
            yield
        except BaseException:
            self._finish(name, f"FAILED {name} after {elapsed(time.monotonic() - begun)}")
            raise
        self._finish(name, f"ok  {name} ({elapsed(time.monotonic() - begun)})")

    def detail(self, name: str, text: str) -> None:
        """Say what the step is at; shown with it from now on."""
        with self._lock:
            if name in self._steps:
                self._steps[name] = (self._steps[name][0], text)

    def say(self, text: str) -> None:
        """Print lines that stay."""
        with self._lock:
            self._clear()
            print(text, flush=True)

    def elapsed_seconds(self) -> float:
        """Return the time since the start."""
        return time.monotonic() - self._started

    def _finish(self, name: str, text: str) -> None:
        with self._lock:
            self._steps.pop(name, None)
            self._clear()
            print(f"[{elapsed(self.elapsed_seconds()):>7}] {text}", flush=True)

    def _clear(self) -> None:
        if self._terminal:
            print("\r\033[K", end="")

    def _tick(self) -> None:
        while True:
            time.sleep(LIVE_SECONDS if self._terminal else PIPED_SECONDS)
            with self._lock:
                if self._steps:
                    self._show(live_line(self._steps, time.monotonic()))

    def _show(self, line: str) -> None:
        line = f"[{elapsed(self.elapsed_seconds()):>7}] {line}"
        if self._terminal:
            print("\r\033[K" + line[: get_terminal_size().columns - 1], end="", flush=True)
        else:
            print(line, flush=True)


def live_line(steps: dict[str, tuple[float, str]], now: float) -> str:
    """Return one line about all steps under way."""
    shown = []
    for name, (begun, detail) in steps.items():
        shown.append(f"{name} {elapsed(now - begun)}" + (f": {detail}" if detail else ""))
    return " | ".join(shown)


def elapsed(seconds: float) -> str:
    """Return a duration for people."""
    whole = int(seconds)
    return f"{whole // 60}m{whole % 60:02d}s" if whole >= 60 else f"{seconds:.1f}s"
