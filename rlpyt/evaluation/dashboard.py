"""A page on this machine that shows runs while they go on; it changes nothing.

Whoever can open a port of this machine can read it: it listens on 127.0.0.1 alone, and answers only
browsers that ask for this machine by name, so that no web page can read it through its visitor's
browser (DNS rebinding).
"""

import base64
import hashlib
import ipaddress
import json
import math
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, final
from urllib.parse import parse_qs, urlsplit

from rlpyt.evaluation.live import LiveRun, LiveView, Snapshot
from rlpyt.evaluation.live_thread import LiveThread
from rlpyt.evaluation.runs import RETURN, STEPS, TIME
from rlpyt.utils.errors import RlpytError

__all__ = ["Dashboard", "Page", "dashboard_page", "snapshot_json"]

_ADDRESS = "127.0.0.1"
_FOLDER = "dashboard_page"  # where the page's parts are, in this package
_PATIENCE = 60  # seconds that a browser may keep a connection without asking anything


class Page(NamedTuple):
    """The page, and what a browser may do with it."""

    html: bytes
    policy: str  # Content-Security-Policy


@cache
def dashboard_page() -> Page:
    """One HTML file with its style and its script, which are the only ones that may run in it."""
    folder = resources.files("rlpyt.evaluation").joinpath(_FOLDER)
    html, style, script = (
        folder.joinpath(name).read_text(encoding="utf-8")
        for name in ("page.html", "page.css", "page.js")
    )
    html = html.replace("/* page.css */", style).replace("/* page.js */", script)
    policy = "; ".join(
        [
            "default-src 'none'",
            f"style-src '{_hash(style)}'",
            f"script-src '{_hash(script)}'",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )
    return Page(html.encode(), policy)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@final
class Dashboard:
    """Context in which the runs in ``directory`` are shown at ``url``, by :meth:`serve`."""

    def __init__(self, directory: Path, port: int = 0, period: float = 1.0) -> None:
        """Listen on ``port``, 0: any that is free; look at the runs every ``period`` seconds.

        Raises:
            RlpytError: ``directory``, where it is not there; ``port``, where it is taken.
        """
        self._view = LiveView(directory)
        self._thread = LiveThread(self._view, period)
        try:
            self._server = ThreadingHTTPServer(
                (_ADDRESS, port), partial(_Handler, self._thread, self._view)
            )
        except (OSError, OverflowError) as error:
            what = f"cannot listen on {_ADDRESS}:{port}: {error}"
            raise RlpytError("port", what, hint="leave --port out: a free one is taken") from error
        self.url = f"http://{_ADDRESS}:{self._server.server_address[1]}/"

    def __enter__(self) -> Self:
        self._thread.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.server_close()
        self._thread.__exit__(kind, error, trace)

    def serve(self) -> None:
        """Answer browsers until another thread calls :meth:`stop`, or an exception comes."""
        self._server.serve_forever(poll_interval=0.1)

    def stop(self) -> None:
        """Let :meth:`serve` return."""
        self._server.shutdown()


@final
class _Handler(BaseHTTPRequestHandler):
    """Knows four paths, and reads only: nothing of a path or a question becomes a file's name."""

    protocol_version = "HTTP/1.1"
    server_version = "rlpyt"
    sys_version = ""
    timeout = _PATIENCE

    def __init__(self, thread: LiveThread, view: LiveView, *args: Any) -> None:
        self._thread = thread
        self._view = view
        super().__init__(*args)

    def do_GET(self) -> None:
        """Answer."""
        if not _is_local(self.headers.get("Host", "")):
            self._send(HTTPStatus.FORBIDDEN, "text/plain", b"this is a page for localhost\n")
            return
        try:
            asked = urlsplit(self.path)
        except ValueError:  # brackets of an address that is none
            asked = urlsplit("/nothing")
        path, question = asked.path, parse_qs(asked.query)
        answers: dict[str, Callable[[dict[str, list[str]]], dict[str, Any] | None]] = {
            "/api/runs": self._runs,
            "/api/curves": self._curves,
            "/api/output": self._output,
        }
        if path == "/":
            self._send(HTTPStatus.OK, "text/html", dashboard_page().html)
            return
        answer = answers[path](question) if path in answers else None
        if answer is None:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"there is nothing here\n")
        else:
            text = json.dumps(answer, allow_nan=False, separators=(",", ":"))
            self._send(HTTPStatus.OK, "application/json", text.encode())

    def log_message(self, *args: Any) -> None:
        """Nothing: the terminal has the address to show."""

    def _send(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", dashboard_page().policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Cache-Control", "no-store")
        with suppress(ConnectionError):  # the browser has left
            self.end_headers()
            self.wfile.write(content)

    def _runs(self, question: dict[str, list[str]]) -> dict[str, Any]:
        news = self._thread.news
        told = snapshot_json(news.snapshot) if news.snapshot is not None else {}
        return {"ready": news.number > 0, "problem": news.problem, **told}

    def _curves(self, question: dict[str, list[str]]) -> dict[str, Any]:
        y = question.get("y", [RETURN])[0]
        x = TIME if question.get("x") == ["time"] else STEPS
        curves = self._view.curves(y, x, since=_whole(question.get("since", ["0"])[0]) or 0)
        points = {
            number: [list(map(_number, values)) for values in each]
            for number, each in curves.points.items()
        }
        return {"stamp": curves.stamp, "curves": points, "columns": curves.columns}

    def _output(self, question: dict[str, list[str]]) -> dict[str, Any] | None:
        number = _whole(question.get("run", [""])[0])
        text = None if number is None else self._view.output(number)
        return None if text is None else {"text": text}


def _is_local(host: str) -> bool:
    """Whether the name that a browser asked for can only be this machine's own."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _number(value: float) -> float | None:
    """Six digits are more than a screen shows; None for what JSON does not have."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def snapshot_json(snapshot: Snapshot) -> dict[str, Any]:
    """What the table and the head of the page show."""
    return {
        "directory": str(snapshot.directory.resolve()),
        "age": _number(time.time() - snapshot.at),
        "counts": snapshot.counts,
        "steps_per_second": _number(snapshot.steps_per_second),
        "eta": _number(snapshot.eta),
        "launchers": snapshot.n_launchers,
        "runs": [_run_json(run) for run in snapshot.runs],
    }


def _run_json(run: LiveRun) -> dict[str, Any]:
    found = run.found
    return {
        "id": found.id,
        "name": found.name,
        "group": found.group,
        "env": found.env,
        "seed": found.seed,
        "state": "ending" if found.ending else found.state,
        "slot": found.slot,
        "host": found.host,
        "reason": found.reason,
        "attempts": found.attempts,
        "n_steps": found.n_steps,
        "steps": _number(run.steps),
        "fraction": _number(run.fraction),
        "steps_per_second": _number(run.steps_per_second),
        "eta": _number(run.eta),
        "return": _number(run.last_return),
        "cpu": _number(run.cpu),
        "memory": _number(run.memory),
    }
