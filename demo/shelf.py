"""The models on offer: whatever artifacts lie in a folder now, loaded when first asked for."""

import re
import threading
from collections import OrderedDict
from pathlib import Path

from data.errors import InputError
from inference.engine import Engine

ALL = "all"
# The best of the models that come with the project; where it is on the shelf, it is what people meet first.
DEFAULT = "cnn_4.torch.best-official.fp16"
KEPT = 12  # Loaded models; the one used longest ago makes room.
REMEDY = "train and export one with: make run"
# A name's words lie between hyphens, but for the time that a run began, `20261125-222923`.
WORDS = re.compile(r"\d{8}-\d{6}|[^-]+")
TIME = re.compile(r"(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)")


class Shelf:
    """A folder of artifacts. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._loaded: OrderedDict[tuple[str, int, int], Engine] = OrderedDict()

    def names(self) -> list[str]:
        """Return the artifacts' names, without their suffix, sorted, but `DEFAULT` first."""
        found = (file.stem for file in self.folder.glob("*.onnx") if not file.name.startswith("."))
        return sorted(found, key=lambda name: (name != DEFAULT, name))

    def engine(self, name: str) -> Engine:
        """Return an artifact, loaded anew where its file has changed.

        Raises:
            InputError: there is none of that name, or it cannot be used.
        """
        # Only names that the folder was listed with are opened: what a client sends is never part of a path.
        if name not in (known := self.names()):
            choice = f"expected one of {', '.join(known)}" if known else f"there is none yet; {REMEDY}"
            raise InputError(f"the model is {name[:100]!r}, {choice}")
        path = self.folder / f"{name}.onnx"
        state = path.stat()
        key = (name, state.st_mtime_ns, state.st_size)
        with self._lock:
            if key not in self._loaded:
                self._loaded[key] = Engine.load(path)
            self._loaded.move_to_end(key)
            while len(self._loaded) > KEPT:
                self._loaded.popitem(last=False)
            return self._loaded[key]

    def engines(self, name: str) -> list[Engine]:
        """Return the artifact called `name`, or every one for `ALL`; an `InputError` where there is none."""
        names = self.names() if name == ALL else [name]
        if not names:
            raise InputError(f"there is no model in {self.folder.name} yet: expected an exported .onnx; {REMEDY}")
        return [self.engine(each) for each in names]


def title(name: str) -> str:
    """Return an artifact's name, `<model>.<framework>.<recipe>-<protocol>[-<tag>][.int8]`, as people read it."""
    model, *others = name.split(".")
    words = "-".join(part.upper() if part in ("mlp", "cnn") else part.capitalize() for part in model.split("_")[:2])
    tail = "".join(f" {part}" for part in model.split("_")[2:])
    return " · ".join([words.replace("Resnet", "ResNet") + tail, *map(_spoken, others)])


def _spoken(part: str) -> str:
    return ", ".join(TIME.sub(r"\1-\2-\3 \4:\5:\6", word) for word in WORDS.findall(part))
