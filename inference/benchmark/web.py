"""Where onnxruntime-web is: the same runtime as WebAssembly, under Node.js and in Chromium.

A checkout has it below `demo/web` after `make web`; the variable FEROX_ORT_WEB names another folder beside whose
`node_modules` it lies.
"""

import importlib.util
import os
import shutil
from pathlib import Path

VARIABLE = "FEROX_ORT_WEB"
NODE, CHROMIUM = "onnxruntime-web in Node.js", "onnxruntime-web in Chromium"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
HERE = Path(__file__).parent
SCRIPT = HERE / "node_contender.mjs"


def package_folder() -> Path | None:
    """Return onnxruntime-web's folder of built files; None where it is not there."""
    beside = Path(os.environ.get(VARIABLE) or HERE.parents[1] / "demo" / "web")
    folder = beside / "node_modules" / "onnxruntime-web" / "dist"
    return folder.resolve() if (folder / "ort.wasm.min.mjs").is_file() else None


def browser() -> str | None:
    """Return the path of a Chromium; None where there is none."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def missing(*, in_browser: bool) -> str:
    """Return what is missing to run it, and where that comes from, as one sentence; empty where nothing is."""
    lacking = []
    if package_folder() is None:
        lacking.append(f"onnxruntime-web (make web, or {VARIABLE})")
    if in_browser and browser() is None:
        lacking.append("Chromium")
    if in_browser and importlib.util.find_spec("playwright") is None:
        lacking.append("playwright (ferox[dev])")
    if not in_browser and shutil.which("node") is None:
        lacking.append("Node.js")
    return " and ".join(lacking)
