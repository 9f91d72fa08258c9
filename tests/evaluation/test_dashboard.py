"""The dashboard: what it answers, what it refuses, and what a browser makes of it."""

import html
import http.client
import json
import re
import shutil
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from live_runs import RETURN, STEPS, make_queue, spec, write_run

from rlpyt.evaluation import dashboard as module
from rlpyt.evaluation.dashboard import Dashboard, Page, dashboard_page
from rlpyt.utils.errors import RlpytError

EVIL = "<img src=x onerror=document.title='hit'></script><b>&"


@contextmanager
def serving(directory: Path) -> Iterator[Dashboard]:
    with Dashboard(directory, period=0.2) as dashboard:
        server = threading.Thread(target=dashboard.serve)
        server.start()
        try:
            yield dashboard
        finally:
            dashboard.stop()
            server.join()


def request(
    dashboard: Dashboard, path: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    port = int(dashboard.url.rsplit(":", 1)[1].strip("/"))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    found = answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    connection.close()
    return found


def ask(dashboard: Dashboard, path: str) -> dict[str, Any]:
    status, headers, body = request(dashboard, path)
    assert status == 200
    assert headers["content-type"] == "application/json; charset=utf-8"

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(body, parse_constant=refuse)


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    """Two rates with two seeds on two environments, the last run failed; a name with HTML in it."""
    specs = [
        spec(f"{rate}/{env}", seed, algo={"name": [EVIL, "plain"][rate]}, env=env)
        for rate in (0, 1)
        for env in ("A-v1", "B-v1")
        for seed in (0, 1)
    ]
    with make_queue(tmp_path, specs) as queue, queue.attend("auto") as attendance:
        for each in specs:
            run = attendance.take(0)
            assert run is not None
            run_dir = write_run(tmp_path / each.name, 20, state=None, slope=1.0 + each.run_ID)
            (run_dir / "output.log").write_text(f"{EVIL}\nI am {each.name}\n")
            if each is specs[-1]:
                attendance.ended(run, "failed", reason=f"exit code 1: {EVIL}", is_failure=True)
            else:
                attendance.ended(run, "done", exit_code=0)
    return tmp_path


# --- answers -----------------------------------------------------------------------------------


def test_runs_curves_and_output(grid):
    with serving(grid) as dashboard:
        while not (told := ask(dashboard, "/api/runs"))["ready"]:
            pass
        assert told["counts"] == {"failed": 1, "done": 7}
        assert told["launchers"] == 0
        first = told["runs"][0]
        assert (first["state"], first["reason"]) == ("failed", f"exit code 1: {EVIL}")
        assert (first["env"], first["seed"], first["return"]) == ("B-v1", 1, 38.0)
        curves = ask(dashboard, "/api/curves")
        assert len(curves["curves"]) == 8
        xs, ys = curves["curves"][str(first["id"])]
        assert (xs[-1], ys[-1]) == (2000, 38)
        assert RETURN in curves["columns"]
        assert ask(dashboard, f"/api/curves?since={curves['stamp']}")["curves"] == {}
        over_time = ask(dashboard, f"/api/curves?x=time&y={STEPS.replace('/', '%2F')}")
        assert over_time["curves"]["1"][0][-1] == 40
        assert over_time["curves"]["1"][1][-1] == 2000
        output = ask(dashboard, f"/api/output?run={first['id']}")
        assert output["text"].splitlines() == [EVIL, "I am 1/B-v1/run_1"]


def test_nan_and_infinity_are_null(tmp_path):
    run_dir = write_run(tmp_path / "a", 1, state="running")
    with (run_dir / "progress.csv").open("a") as file:
        file.write("300,6.0,inf\n400,8.0,nan\n1e308,10.0,1e308\n1e308,12.0,-inf\n")
    with serving(tmp_path) as dashboard:
        while not (told := ask(dashboard, "/api/runs"))["ready"]:
            pass
        assert told["runs"][0]["return"] is None
        assert len(ask(dashboard, "/api/curves")["curves"]["1"][0]) == 2


def test_no_runs(tmp_path):
    with serving(tmp_path) as dashboard:
        while not (told := ask(dashboard, "/api/runs"))["ready"]:
            pass
        assert (told["runs"], told["eta"], told["launchers"]) == ([], None, None)
        assert ask(dashboard, "/api/curves")["curves"] == {}


# --- refusals ----------------------------------------------------------------------------------


def test_only_known_paths(grid):
    paths = [
        "/queue.sqlite",
        "/api",
        "/api/runs/",
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/api/output",
        "/api/output?run=../../etc/passwd",
        "/api/output?run=99",
        "/api/output?run=-1",
        "/api/output?run=1e3",
        "/api/output?run=" + "9" * 5000,
        "//[/",
    ]
    with serving(grid) as dashboard:
        for path in paths:
            status, _headers, body = request(dashboard, path)
            assert status == 404, path
            assert b"root" not in body
        assert ask(dashboard, "/api/curves?since=x&y=../x&x=%00")["curves"].keys() <= set(
            "12345678"
        )


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_changed(grid, method):
    with serving(grid) as dashboard:
        assert request(dashboard, "/api/runs", method)[0] == 501


def test_only_browsers_that_ask_for_this_machine(grid):
    with serving(grid) as dashboard:
        for host in (
            "evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "localhost.",
            "",
            "[",
            "a@b",
        ):
            for path in ("/", "/api/runs", "/api/output?run=1"):
                assert request(dashboard, path, Host=host)[0] == 403, host
        for host in ("localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:5"):
            assert request(dashboard, "/", Host=host)[0] == 200, host
        assert dashboard.url.startswith("http://127.0.0.1:")


def test_what_a_browser_may_do_with_the_page(grid):
    with serving(grid) as dashboard:
        status, headers, body = request(dashboard, "/")
    assert status == 200
    assert body == dashboard_page().html
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert re.fullmatch(r"'sha256-[\w+/=]{44}'", policy["script-src"])
    assert policy["connect-src"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers
    text = body.decode()
    assert not re.search(
        r"https?://(?!www\.w3\.org/2000/svg)|innerHTML|insertAdjacent|eval\(", text
    )
    assert text.count("<script") == text.count("<style") == 1


def test_the_page_is_installed_with_the_package():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    [pattern] = project["tool"]["setuptools"]["package-data"]["rlpyt.evaluation"]
    folder = Path(module.__file__).parent
    names = {path.name for path in folder.glob(pattern)}
    assert names == {"page.html", "page.css", "page.js"}


def test_a_port_that_is_taken(tmp_path):
    with serving(tmp_path) as dashboard, pytest.raises(RlpytError, match="cannot listen"):
        Dashboard(tmp_path, int(dashboard.url.rsplit(":", 1)[1].strip("/")))


# --- in a browser ------------------------------------------------------------------------------

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
needs_browser = pytest.mark.skipif(not CHROMIUM, reason="needs chromium")


def browse(dashboard: Dashboard, profile: Path, seconds: int = 4) -> str:
    """The page as it is after so many seconds of its own time."""
    command = [
        CHROMIUM,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={profile}",
        "--window-size=1300,900",
        f"--virtual-time-budget={1000 * seconds}",
        "--dump-dom",
        dashboard.url,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


@needs_browser
def test_the_page_has_curves_of_each_group_and_a_row_for_each_run(grid, tmp_path_factory):
    with serving(grid) as dashboard:
        dom = browse(dashboard, tmp_path_factory.mktemp("profile"))
    panels = re.findall(r'<article class="panel">.*?</article>', dom, re.DOTALL)
    assert len(panels) == 2
    for panel, env in zip(panels, ("A-v1", "B-v1"), strict=True):
        assert f"<h2>{env}</h2>" in panel
        assert panel.count('class="mean"') == panel.count('class="band"') == 2
        assert panel.count('class="run"') == 4
        assert "NaN" not in panel
        names = re.findall(r'data-group="(.*?)"', panel)
        assert [html.unescape(name) for name in names] == [f"name={EVIL}", "name=plain"]
    rows = re.findall(r'<tr data-run="(\d+)".*?</tr>', dom, re.DOTALL)
    assert sorted(map(int, rows)) == list(range(1, 9))
    assert "1 failed" in dom
    assert "7 done" in dom


@needs_browser
def test_html_in_names_and_reasons_stays_text(grid, tmp_path_factory):
    with serving(grid) as dashboard:
        dom = browse(dashboard, tmp_path_factory.mktemp("profile"))
    assert "<title>hit" not in dom
    body = dom[dom.index("<body") : dom.rindex("<script")]
    assert "<img" not in re.sub(r'"[^"]*"', "", body)
    assert f'class="reason failed">exit code 1: {html.escape(EVIL, quote=False)}</div>' in body


# What a user does: switch a setting off, point at a curve, filter, look at an output.
ACTIONS = """
const until = (found) => new Promise((done) => {
  const look = () => (found() ? done() : setTimeout(look, 50));
  look();
});
const count = (selector) => document.querySelectorAll(selector).length;
(async () => {
  const report = {};
  await until(() => count("#runs tr") === 8 && count(".mean") === 4);
  const svg = document.querySelector(".panel svg");
  const { left, top, width, height } = svg.getBoundingClientRect();
  const at = { clientX: left + width / 2, clientY: top + height / 2 };
  svg.dispatchEvent(new PointerEvent("pointermove", at));
  report.tip = document.querySelector(".tip").textContent;
  svg.dispatchEvent(new PointerEvent("pointerleave", at));
  report.hidden = document.querySelector(".tip").hidden;
  document.querySelectorAll("#legend button")[1].click();
  report.means = count(".mean");
  document.querySelectorAll("#legend button")[1].click();
  document.querySelector("#states button").click();
  report.failed = count("#runs tr");
  document.querySelector("#states button").click();
  const filter = document.getElementById("filter");
  filter.value = "plain a-v1 seed=1";
  filter.dispatchEvent(new Event("input"));
  report.filtered = count("#runs tr");
  document.querySelector("#runs tr").click();
  await until(() => document.getElementById("output-text").textContent);
  report.output = document.getElementById("output-text").textContent;
  report.open = document.getElementById("output").open;
  document.getElementById("close").click();
  const line = () => document.querySelector(".mean").getAttribute("d");
  const y = document.getElementById("y"), before = line();
  y.value = "Diagnostics/CumTime (s)";
  y.dispatchEvent(new Event("change"));
  await until(() => count(".mean") === 4 && line() !== before);
  report.ticks = [...document.querySelectorAll(".panel text")].map((text) => text.textContent);
  document.body.dataset.report = JSON.stringify(report);
})().catch((error) => { document.body.dataset.report = JSON.stringify(String(error)); });
"""


@needs_browser
def test_what_a_user_does(grid, tmp_path_factory, monkeypatch):
    page = dashboard_page()
    with_actions = page.html.replace(b"</body>", f"<script>{ACTIONS}</script></body>".encode())
    policy = re.sub(r"script-src '[^']*'", "script-src 'unsafe-inline'", page.policy)
    monkeypatch.setattr(module, "dashboard_page", lambda: Page(with_actions, policy))
    with serving(grid) as dashboard:
        dom = browse(dashboard, tmp_path_factory.mktemp("profile"), seconds=20)
    found = re.search(r'<body data-report="(.*?)"', dom)
    assert found, dom[:500]
    report = json.loads(html.unescape(found.group(1)))
    tip = re.fullmatch(r"(\d+) stepsname=(.*?)([\d.]+)name=plain([\d.]+)", report["tip"])
    assert tip, report["tip"]
    at, name, *means = tip.groups()
    assert name == EVIL
    assert [float(mean) for mean in means] == pytest.approx(
        [1.5 * (int(at) / 100 - 1)] * 2, abs=0.1
    )
    assert report["hidden"]
    assert (report["means"], report["failed"], report["filtered"]) == (2, 1, 1)
    assert report["output"].splitlines() == [EVIL, "I am 1/A-v1/run_1"]
    assert report["open"]
    assert "40" in report["ticks"]
