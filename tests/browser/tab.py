"""One tab, used as a person uses it: with a mouse, a keyboard and eyes."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.browser.chromium import Chromium, Json

WAIT_S = 20.0
KEYS = {"Enter": ("Enter", 13, "\r"), "Escape": ("Escape", 27, ""), "Tab": ("Tab", 9, "")}
DRAG_COPY = 1

# The first element in sight of this selector that says these words, or is labelled so.
FIND = """(selector, words) => [...document.querySelectorAll(selector)].find((node) => node.checkVisibility()
  && (words === null || node.textContent.includes(words) || node.getAttribute("aria-label") === words))"""

# Where to press it, in pixels; null while something else lies over it.
POINT = f"""(selector, words) => {{
  const node = ({FIND})(selector, words);
  if (!node || node.disabled) return null;
  node.scrollIntoView({{ block: "nearest" }});
  const box = node.getBoundingClientRect();
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  return node.contains(document.elementFromPoint(x, y)) ? {{ x, y }} : null;
}}"""


class Tab:
    """A page in a browser profile of its own.

    `complaints` are what it said on the console, threw or failed to load; `dialogs` what it popped up; `requests`
    every address it asked for.
    """

    def __init__(self, browser: Chromium, session_id: str) -> None:
        self._browser = browser
        self._session_id = session_id
        self._closing: set[asyncio.Task[Json]] = set()
        self.complaints: list[str] = []
        self.dialogs: list[str] = []
        self.requests: list[str] = []

    async def call(self, method: str, **params: Any) -> Json:
        """Return the result of a method of the protocol."""
        return await self._browser.call(method, session_id=self._session_id, **params)

    async def goto(self, url: str) -> None:
        """Open an address, and wait until the page shows itself."""
        await self.call("Page.navigate", url=url)
        await self.wait_for(
            "document.readyState === 'complete' && document.querySelector('#main textarea, #main .foot')"
        )

    async def run(self, function: str, *arguments: Any) -> Any:
        """Return what a JavaScript function returns, awaited, as JSON. Raises RuntimeError when it throws."""
        expression = f"({function})({', '.join(json.dumps(argument) for argument in arguments)})"
        answer = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"].get("exception", {}).get("description", "it threw"))
        return answer["result"].get("value")

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression."""
        return await self.run(f"() => ({expression})")

    async def wait_for(self, expression: str, *, within_s: float = WAIT_S) -> Any:
        """Return the value of an expression once it is truthy. Raises TimeoutError, which shows the page's words."""
        until = time.monotonic() + within_s
        while not (value := await self.evaluate(f"((found) => found instanceof Node || found || false)({expression})")):
            if time.monotonic() > until:
                raise TimeoutError(f"never: {expression}\n{await self.evaluate('document.body.innerText')}")
            await asyncio.sleep(0.03)
        return value

    async def words(self, selector: str) -> str:
        """Return what can be read in an element; "" when it isn't there."""
        return str(await self.run("(selector) => document.querySelector(selector)?.innerText ?? ''", selector))

    async def wait_for_words(self, selector: str, words: str, *, within_s: float = WAIT_S) -> str:
        """Return what can be read in an element once it holds these words."""
        text = f"document.querySelector({json.dumps(selector)})?.innerText"
        return str(await self.wait_for(f"({text}?.includes({json.dumps(words)}) && {text})", within_s=within_s))

    async def count(self, selector: str) -> int:
        """Return how many elements match."""
        return int(await self.run("(selector) => document.querySelectorAll(selector).length", selector))

    async def click(self, selector: str, words: str | None = None) -> None:
        """Press the first such element in sight with the mouse, once nothing lies over it."""
        await self.release(await self.hold(selector, words))

    async def hold(self, selector: str, words: str | None = None) -> Json:
        """Press the mouse button down on an element, and return where."""
        at: Json = await self.wait_for(f"({POINT})({json.dumps(selector)}, {json.dumps(words)})")
        await self._mouse("mouseMoved", at)
        await self._mouse("mousePressed", at, button="left", clickCount=1)
        return at

    async def release(self, at: Json) -> None:
        """Let go of the mouse button."""
        await self._mouse("mouseReleased", at, button="left", clickCount=1)

    async def hover(self, selector: str) -> None:
        """Move the mouse over an element."""
        await self._mouse("mouseMoved", await self.wait_for(f"({POINT})({json.dumps(selector)}, null)"))

    async def type(self, selector: str, text: str) -> None:
        """Put the cursor at the end of a field, and type."""
        await self.click(selector)
        await self.run("(selector) => { const f = document.querySelector(selector); f.setSelectionRange(1e6, 1e6); }", selector)  # fmt: skip
        await self.call("Input.insertText", text=text)

    async def press(self, key: str) -> None:
        """Press Enter, Escape or Tab."""
        name, code, text = KEYS[key]
        down: Json = {"text": text} if text else {}
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=name, code=name, windowsVirtualKeyCode=code, **down)  # fmt: skip
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=name, code=name, windowsVirtualKeyCode=code)

    async def upload(self, selector: str, *files: Path) -> None:
        """Choose files in a file input."""
        found = await self.call("Runtime.evaluate", expression=f"document.querySelector({json.dumps(selector)})")
        await self.call(
            "DOM.setFileInputFiles", files=[str(file) for file in files], objectId=found["result"]["objectId"]
        )

    async def drop(self, selector: str, *files: Path) -> None:
        """Drag files in from outside, over an element, and let go; what shows meanwhile is waited for."""
        at = await self.wait_for(f"({POINT})({json.dumps(selector)}, null)")
        data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": DRAG_COPY}
        await self.call("Input.dispatchDragEvent", type="dragEnter", data=data, **at)
        await self.call("Input.dispatchDragEvent", type="dragOver", data=data, **at)
        await self.wait_for("document.querySelector('.drop')")
        await self.call("Input.dispatchDragEvent", type="drop", data=data, **at)

    async def resize(self, width: int, height: int) -> None:
        """Give the window another size."""
        await self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)  # fmt: skip

    async def prefer(self, scheme: str) -> None:
        """Have the system prefer `light` or `dark`."""
        await self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    async def screenshot(self, path: Path) -> None:
        """Write what is on the screen to a PNG file."""
        path.write_bytes(base64.b64decode((await self.call("Page.captureScreenshot"))["data"]))

    def strangers(self, url: str) -> list[str]:
        """Return the addresses asked for that aren't on the host of `url`."""
        own = urlsplit(url).netloc
        return [asked for asked in self.requests if urlsplit(asked).netloc != own and not asked.startswith("data:")]

    def hear(self, method: str, params: Json) -> None:
        """Keep what an event tells; dialogs are dismissed."""
        match method:
            case "Runtime.consoleAPICalled":
                self.complaints.append(" ".join(str(part.get("value", part)) for part in params["args"]))
            case "Runtime.exceptionThrown":
                self.complaints.append(str(params["exceptionDetails"]))
            case "Log.entryAdded":
                self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Network.webSocketCreated":
                self.requests.append(params["url"])
            case "Page.javascriptDialogOpening":
                self.dialogs.append(params["message"])
                closing = asyncio.create_task(self.call("Page.handleJavaScriptDialog", accept=False))
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)

    async def _mouse(self, kind: str, at: Json, **params: Any) -> None:
        await self.call("Input.dispatchMouseEvent", type=kind, **at, **params)


@asynccontextmanager
async def new_tab(browser: Chromium, *, width: int = 1280, height: int = 860) -> AsyncIterator[Tab]:
    """Open a tab in a profile of its own; both are gone after the block."""
    context_id = (await browser.call("Target.createBrowserContext"))["browserContextId"]
    target = await browser.call("Target.createTarget", url="about:blank", browserContextId=context_id)
    attached = await browser.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
    tab = Tab(browser, attached["sessionId"])
    browser.listen(attached["sessionId"], tab.hear)
    for domain in ("Page", "Runtime", "Log", "Network"):
        await tab.call(f"{domain}.enable")
    await tab.resize(width, height)
    try:
        yield tab
    finally:
        await browser.call("Target.disposeBrowserContext", browserContextId=context_id)
