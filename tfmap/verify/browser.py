"""The file in a browser: the hand-off kit's own page, on LiteRT.js in headless Chromium, against the runtime here."""

from __future__ import annotations

import json
import os
import queue
import runpy
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from tfmap import caches, tasks
from tfmap.errors import InputError
from tfmap.export import golden, handoff
from tfmap.export.handoff.facts import LITERTJS
from tfmap.litert import LiteModel

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
FLAGS = ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking")
FLAGS += ("--disable-component-update", "--disable-extensions", "--disable-sync", "--no-first-run")
PATIENCE = 120.0  # seconds until an answer
UNFIT = "LiteRT.js takes one picture at a time, as uint8 or float32; the file asks for something else."
WAYS_OUT = "Or set verify.browser=false."
_WORDS = {
    "label": "scores differ by up to {:.4f}.",
    "boxes": "scores or edges of its boxes differ by up to {:.4f}.",
    "mask": "it sees another class at up to {:.2%} of a picture's pixels.",
}
# Presses the page's own button and sends what the page then says.
ASK = """
const body = document.body, moment = () => new Promise(done => setTimeout(done, 50));
while (body.dataset.state === undefined) await moment();
if (body.dataset.state === 'ready') {
  document.getElementById('golden').click();
  while (body.dataset.golden === undefined && body.dataset.state === 'ready') await moment();
}
const text = document.getElementById('status').textContent;
const found = {text, state: body.dataset.state, ...JSON.parse(body.dataset.golden ?? '{}')};
await fetch('/found', {method: 'POST', body: JSON.stringify(found)});
"""


def check(data: bytes, pictures: np.ndarray, classes: Sequence[str], task: str = "classification") -> dict[str, Any]:
    """Run pictures through the page that the hand-off kit of the file holds.

    Args:
        data: the file, labels and metadata inside.
        pictures: uint8 (N, H, W, C), of the model's own size.
        classes: the K class names.
        task: whose file it is; one that the kit knows.

    Returns:
        dict: "client" (LiteRT.js with its version, and the browser); "pictures"; "difference" (of any score; of boxes
            also of their edges, as shares of the picture; of masks the share of pixels, and "unit" says so; None where
            there is none); "findings" (lines: no page for such a file, refused by LiteRT.js, other answers).

    Raises:
        InputError: there is no browser or no LiteRT.js, or the browser gives no answer.
    """
    program, packages = installed()
    ids = np.arange(len(pictures)).astype(str)
    found = {"client": f"LiteRT.js {LITERTJS} in {Path(program).name}", "pictures": len(pictures), "difference": None}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        kit = Path(folder, "handoff")
        try:
            handoff.write(kit, data, golden.answered(LiteModel(data), pictures, ids, classes=classes))
        except InputError as error:
            return {**found, "findings": [f"There is no page for a browser: {error}"]}
        if not (kit / "web").exists():
            return {**found, "findings": [UNFIT]}
        (kit / "web" / handoff.INSTALLED).symlink_to(packages)
        told = _answer(kit, program)
        output = json.loads((kit / "golden" / "golden.json").read_text())["output"]
    target = tasks.target(tasks.get(task))
    return {**found, **_judged(told, target, output["scale"] if target == "label" else 1.0)}


def installed() -> tuple[str, Path]:
    """The browser, and the folder node_modules that holds LiteRT.js; npm installs that into tfmap's cache once.

    Raises:
        InputError: one of them, or npm, is missing.
    """
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise InputError(f"verify.browser=true needs one of {', '.join(BROWSERS)} on the PATH. Install it. {WAYS_OUT}")
    folder = caches.folder("litertjs") / LITERTJS
    with caches.locked(folder, wait=True):
        if not (folder / handoff.INSTALLED / ".package-lock.json").exists():  # what npm writes last
            _install(folder)
    return program, folder / handoff.INSTALLED


def _install(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise InputError(f"verify.browser=true needs npm on the PATH, to install LiteRT.js. Install it. {WAYS_OUT}")
    wanted = {"private": True, "dependencies": {"@litertjs/core": LITERTJS}}
    (folder / "package.json").write_text(json.dumps(wanted))
    command = [npm, "install", "--no-package-lock", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join(done.stderr.split())[-300:]
        raise InputError(f"verify.browser: npm cannot install LiteRT.js {LITERTJS}: {said} {WAYS_OUT}")


def _answer(kit: Path, program: str) -> dict[str, Any]:
    """What the page says of its vectors."""
    page = (kit / "web" / "index.html").read_text(encoding="utf-8")
    asking = page.replace("</body>", '<script type="module" src="ask.js"></script></body>')
    (kit / "web" / "ask.html").write_text(asking, encoding="utf-8")
    (kit / "web" / "ask.js").write_text(ASK)
    with _served(kit) as (address, answers), _shown(f"{address}/web/ask.html", program) as browser:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and browser.poll() is None:
            try:
                return answers.get(timeout=0.2)
            except queue.Empty:
                continue
    ended = f"ended with {browser.returncode}" if time.monotonic() < end else f"gave no answer in {PATIENCE:g} seconds"
    raise InputError(f"verify.browser: {program} {ended}. Try it by hand: {program} --headless about:blank. {WAYS_OUT}")


@contextmanager
def _served(kit: Path) -> Iterator[tuple[str, queue.Queue[dict[str, Any]]]]:
    """The kit's own server, which also takes what the page sends."""
    answers: queue.Queue[dict[str, Any]] = queue.Queue()

    class Handler(runpy.run_path(str(kit / "web" / "serve.py"))["Handler"]):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(kit))

        def do_POST(self) -> None:  # noqa: N802
            answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", answers
        finally:
            server.shutdown()


@contextmanager
def _shown(url: str, program: str) -> Iterator[subprocess.Popen[bytes]]:
    """A browser with a profile of its own."""
    as_root = ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = subprocess.Popen([program, *FLAGS, *as_root, f"--user-data-dir={profile}", url], **silent)
        try:
            yield browser
        finally:
            browser.terminate()
            try:
                browser.wait(10)
            except subprocess.TimeoutExpired:
                browser.kill()
                browser.wait()


def _judged(told: dict[str, Any], target: str, scale: float) -> dict[str, Any]:
    """What a page said of its vectors, in the units of the target."""
    if "within" not in told:
        return {"findings": [f"LiteRT.js refuses the file: {' '.join(told['text'].split())}"]}
    if None in told["apart"]:  # JSON's word for NaN
        return {"findings": ["LiteRT.js answers scores that are no numbers."]}
    gap = max(told["apart"]) * scale
    wrong = told["vectors"] - told["within"]
    line = f"LiteRT.js answers {wrong} of {told['vectors']} pictures otherwise: {_WORDS[target].format(gap)}"
    unit = {"unit": "pixels"} if target == "mask" else {}
    return {"difference": gap, **unit, "findings": [line] if wrong else []}
