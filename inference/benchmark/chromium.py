"""onnxruntime-web in Chromium, as a contender of a benchmark.

The page is isolated from those of other origins, which it has to be for threads and for a clock of 5 microseconds
(https://developer.mozilla.org/docs/Web/API/Performance_API/High_precision_timing). All that it loads comes from this
process, on the loopback.
"""

import json
import os
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from data.errors import InputError
from inference.benchmark.contender import serve
from inference.benchmark.memory import descendants, peak_memory, words_of
from inference.benchmark.messages import Answer, Ready, Request, Turn
from inference.benchmark.web import browser, package_folder

# They keep a browser from asking for updates; a container has neither its sandbox nor a graphics card.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
# No name is looked up: all that the page needs is at an address.
ALONE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
PAGE = b"""<!doctype html><link rel="icon" href="data:,"><script type="module">
import * as ort from "/runtime/ort.wasm.min.mjs";
import { begin } from "/web_contender.mjs";
const bytes = async (path) => new Uint8Array(await (await fetch(path)).arrayBuffer());
window.start = async (piece, threads) => {
  window.contender = await begin(ort, { model: await bytes("/model"), pixels: await bytes("/pixels"), piece, threads });
  return window.contender.threads;
};
document.documentElement.dataset.ready = "";
</script>"""
KINDS = {".mjs": "text/javascript", ".wasm": "application/wasm", "": "application/octet-stream"}


def main() -> None:
    """Serve the artifact, the batch that it takes, the faces and the threads of the command line."""
    model, piece, pixels, threads = sys.argv[1:]
    with ExitStack() as stack:
        serve(lambda: _begin(stack, Path(model), Path(pixels), int(piece), int(threads)))


def _begin(
    stack: ExitStack, model: Path, pixels: Path, piece: int, threads: int
) -> tuple[Ready, Callable[[Request], Answer | Turn]]:
    from playwright.sync_api import sync_playwright

    runtime = package_folder()
    if runtime is None:
        raise InputError("onnxruntime-web has gone; run make web")
    address = _served(stack, {"/model": model, "/pixels": pixels}, runtime)
    driver = stack.enter_context(sync_playwright())
    opened = driver.chromium.launch(executable_path=browser(), args=[*FLAGS, ALONE])
    stack.callback(opened.close)
    page = opened.new_page()
    page.set_default_timeout(0)
    page.goto(address)
    page.wait_for_selector("html[data-ready]", state="attached")
    used = page.evaluate("([piece, threads]) => start(piece, threads)", [piece, threads])
    version = json.loads((runtime.parent / "package.json").read_text())["version"]
    ready = Ready(version=f"{version}, Chromium {opened.version}", threads=used)

    def work(request: Request) -> Answer | Turn:
        if request.do == "answer":
            return Answer(logits=tuple(map(tuple, page.evaluate("() => contender.answer()"))))
        wanted = [request.batch, request.seconds]
        found: Any = page.evaluate("([batch, seconds]) => contender.turn(batch, seconds)", wanted)
        return Turn(milliseconds=tuple(found["milliseconds"]), busy=None, memory=_browser_memory())

    return ready, work


def _browser_memory() -> int | None:
    """Return what the browser's own processes have held at most, in bytes; not its driver's, nor this one's."""
    return peak_memory(child for child in descendants(os.getpid()) if "--type=renderer" in words_of(child))


def _served(stack: ExitStack, files: dict[str, Path], runtime: Path) -> str:
    """Serve the page and what it loads on a free port of the loopback; return the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content, kind = self._found()
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content or b"")))
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def _found(self) -> tuple[bytes | None, str]:
            if self.path == "/":
                return PAGE, "text/html; charset=utf-8"
            name = self.path.rpartition("/")[2]
            own = Path(__file__).with_name(name) if self.path == "/web_contender.mjs" else None
            file = files.get(self.path) or own or (runtime / name if self.path == f"/runtime/{name}" else None)
            if file is None or not file.is_file():
                return None, "text/plain"
            return file.read_bytes(), KINDS.get(Path(name).suffix, KINDS[""])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stack.callback(server.server_close)
    stack.callback(server.shutdown)
    return f"http://127.0.0.1:{server.server_address[1]}/"


if __name__ == "__main__":
    main()
