"""A page in headless Chromium, driven over its debugging protocol."""

from __future__ import annotations

import asyncio
import base64
import itertools
import subprocess
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from tfmap.verify.browser import FLAGS

QUIET = (
    *(*FLAGS, "--no-sandbox", "--window-size=760,980", "--remote-debugging-port=0"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
)


class ProtocolError(Exception):
    """Chromium refuses what it was asked."""


class Page:
    """One tab."""

    def __init__(self, socket) -> None:
        self.socket = socket
        self.ids = itertools.count(1)

    async def send(self, method, **parameters):
        """Call a method of the protocol and return its result."""
        number = next(self.ids)
        await self.socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            answer = await self.socket.receive_json(timeout=60)
            if answer.get("id") == number:
                if "error" in answer:
                    raise ProtocolError(answer["error"]["message"])
                return answer["result"]

    async def value(self, expression):
        """What an expression is worth in the page."""
        found = await self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, expression, seconds=60):
        """Wait until an expression holds."""
        end = time.monotonic() + seconds
        while not await self._holds(expression):
            assert time.monotonic() < end, (expression, await self.value("document.body.innerText"))
            await asyncio.sleep(0.1)

    async def _holds(self, expression):
        try:
            return await self.value(expression)
        except ProtocolError:  # the page is not there yet
            return False

    async def choose(self, selector, path):
        """Give a file to an <input type=file>."""
        root = (await self.send("DOM.getDocument"))["root"]["nodeId"]
        node = (await self.send("DOM.querySelector", nodeId=root, selector=selector))["nodeId"]
        await self.send("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    async def screenshot(self, path):
        """Write a PNG."""
        Path(path).write_bytes(base64.b64decode((await self.send("Page.captureScreenshot"))["data"]))


@asynccontextmanager
async def opened(url):
    """A tab that shows `url`."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = subprocess.Popen(
            ["chromium", *QUIET, f"--user-data-dir={profile}", url],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(await _address(Path(profile), session, url), max_msg_size=0) as socket,
            ):
                yield Page(socket)
        finally:
            browser.terminate()
            browser.wait(30)


async def _address(profile, session, url):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            port = (profile / "DevToolsActivePort").read_text().split()[0]
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                tabs = [tab for tab in await answer.json() if tab["type"] == "page" and tab["url"].startswith(url)]
            if tabs:
                return tabs[0]["webSocketDebuggerUrl"]
        except (OSError, IndexError, aiohttp.ClientError):
            pass
        await asyncio.sleep(0.1)
    raise TimeoutError("Chromium does not answer")
