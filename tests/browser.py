"""Headless Chromium, driven through its DevTools protocol."""

import asyncio
import base64
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
]
_LISTENING = b"DevTools listening on "


class Page:
    """A page of the browser; `faults` are what its console says is wrong."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.faults: list[Any] = []
        self.session: str | None = None
        self._socket = socket
        self._numbers = count(1)

    async def command(self, method: str, **params: Any) -> Any:
        """Send a command and return its result."""
        number = next(self._numbers)
        sent = {"id": number, "method": method, "params": params}
        if self.session:
            sent["sessionId"] = self.session
        await self._socket.send_json(sent)
        while True:
            received = await self._socket.receive_json()
            if _is_fault(received):
                self.faults.append(received["params"])
            if received.get("id") == number:
                return received["result"]

    async def open(self, address: str, *, width: int) -> None:
        """Load a page at a width in pixels and wait until its scripts have run."""
        self.session = None
        target = await self.command("Target.createTarget", url="about:blank")
        attached = await self.command(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        self.session = attached["sessionId"]
        for domain in ("Log", "Runtime", "Page"):
            await self.command(f"{domain}.enable")
        await self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=844,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        await self.command("Page.navigate", url=address)
        await self.until("document.readyState === 'complete'")

    async def run(self, script: str) -> Any:
        """Return the value of an expression, a promise's when it is there."""
        result = await self.command(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        return result["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait until an expression is true, asked at every frame of the page."""
        waiting = f"() => ({condition}) ? done() : requestAnimationFrame(look)"
        promise = f"new Promise(done => {{ const look = {waiting}; look() }})"
        await asyncio.wait_for(self.run(promise), timeout=20)

    async def screenshot(self) -> bytes:
        """Return a picture of the page, a PNG."""
        picture = await self.command("Page.captureScreenshot", format="png")
        return base64.b64decode(picture["data"])


def _is_fault(received: dict[str, Any]) -> bool:
    """Tell whether the browser reports what its console would show in red."""
    method = received.get("method")
    if method == "Runtime.consoleAPICalled":
        return received["params"]["type"] in {"assert", "error"}
    return method in {"Log.entryAdded", "Runtime.exceptionThrown"}


@asynccontextmanager
async def new_page(profile: Path) -> AsyncIterator[Page]:
    """Start a browser with an empty profile; it ends with the block."""
    assert CHROMIUM
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        *_FLAGS,
        f"--user-data-dir={profile}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr
        async with asyncio.timeout(30):
            line = b""
            while not line.startswith(_LISTENING):
                line = await process.stderr.readline()
        address = line.removeprefix(_LISTENING).decode().strip()
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(address, max_msg_size=0) as socket,
        ):
            page = Page(socket)
            yield page
            page.session = None
            await page.command("Browser.close")
    finally:
        try:
            # Reads its output to the end too, without which the pipe stays open.
            await asyncio.wait_for(process.communicate(), timeout=10)
        except TimeoutError:
            process.kill()
            await process.communicate()
