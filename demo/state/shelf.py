"""The models on offer: whatever artifacts lie in its folders now, loaded when first asked for."""

import os
import re
import threading
from collections import OrderedDict
from concurrent.futures import Future
from pathlib import Path

from data.errors import InputError, is_text, printable
from inference.catalogue import SUFFIX, known_models
from inference.engine import Engine

ALL = "all"
KEPT = 12  # Loaded models, and how many answer about one picture; the one used longest ago makes room.
REMEDY = "train and export one: ferox train, ferox export"
# A name's words lie between hyphens, but for the time that a run began, `20261125-222923`.
WORDS = re.compile(r"\d{8}-\d{6}|[^-]+")
TIME = re.compile(r"(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)")
# A file's name, and what changes with its content: time in ns, size in bytes.
Key = tuple[str, int, int]


class Shelf:
    """Folders of artifacts, of which the first is one's own. Safe to use from several threads."""

    def __init__(self, *folders: Path) -> None:
        self.folders = folders
        self._lock = threading.Lock()
        self._loaded: OrderedDict[Key, Future[Engine]] = OrderedDict()

    def names(self) -> list[str]:
        """Return the artifacts' names, without their suffix, as `known_models` sorts them; only those that are text."""
        return list(self._files())

    def left_out(self) -> dict[str, InputError]:
        """Return the artifacts that cannot be offered for their names, by these as they can be shown, and why."""
        stems = {path.stem for folder in self.folders for path in folder.glob(f"*{SUFFIX}") if path.name[0] != "."}
        return {printable(stem): not_text(f"{stem}{SUFFIX}") for stem in sorted(stems) if not is_text(stem)}

    def engine(self, name: str | None) -> Engine:
        """Return an artifact, loaded anew where its file has changed; None is what a chooser without models holds.

        Raises:
            InputError: there is none of that name, or it cannot be used.
        """
        # Only names that the folders were listed with are opened: what a client sends is never part of a path.
        known = self._known()
        path = known.get(name) if isinstance(name, str) else None
        if path is None:
            raise InputError(f"the model is {name!r:.100}, expected one of {', '.join(known)}; choose one")
        try:
            return self._kept(path, path.stat())
        except OSError as error:
            raise _unreadable(path, error) from error
        except InputError as error:
            # Of what the engine says, this alone has the whole path in it.
            if isinstance(error.__cause__, OSError):
                raise _unreadable(path, error.__cause__) from error
            raise

    def engines(self, name: str | None) -> tuple[list[Engine], dict[str, InputError]]:
        """Return the artifact called `name`, or for `ALL` all usable ones of the first `KEPT`, and why others are not.

        Raises:
            InputError: there is none of that name, or none that can be used.
        """
        if name != ALL:
            return [self.engine(name)], {}
        usable: list[Engine] = []
        refused: dict[str, InputError] = {}
        known = list(self._known())
        for each in known[KEPT:]:
            refused[each] = InputError(f"at most {KEPT} models answer side by side; choose it alone")
        for each in known[:KEPT]:
            try:
                usable.append(self.engine(each))
            except InputError as error:
                refused[each] = error
        if not usable:
            reasons = "; ".join(map(str, refused.values()))
            raise InputError(f"none of {len(refused)} models can be used: expected one at least; {reasons}")
        return usable, refused

    def _files(self) -> dict[str, Path]:
        return {model.stem: model.path for model in known_models(self.folders)}

    def _known(self) -> dict[str, Path]:
        """Return the artifacts' files by their names; an `InputError` where there is none."""
        if known := self._files():
            return known
        raise InputError(f"there is no model in {self.folders[0].name} yet: expected an exported .onnx; {REMEDY}")

    def _kept(self, path: Path, state: os.stat_result) -> Engine:
        """Return an artifact's engine, loaded once for all who ask, and without holding up who asks for another."""
        key = (path.stem, state.st_mtime_ns, state.st_size)
        with self._lock:
            engine = self._loaded.get(key)
            is_first = engine is None
            if engine is None:
                engine = self._loaded[key] = Future()
            self._loaded.move_to_end(key)
            while len(self._loaded) > KEPT:
                self._loaded.popitem(last=False)
        if is_first:
            self._load(path, key, engine)
        return engine.result()

    def _load(self, path: Path, key: Key, engine: "Future[Engine]") -> None:
        try:
            engine.set_result(Engine.load(path))
        except BaseException as error:
            # A file that could not be read may be readable the next time.
            with self._lock:
                if self._loaded.get(key) is engine:
                    del self._loaded[key]
            engine.set_exception(error)


def _unreadable(path: Path, error: OSError) -> InputError:
    """Return what visitors are told, who are shown no path of this machine."""
    gone = isinstance(error, FileNotFoundError)
    reason = "is no longer here" if gone else f"cannot be read ({error.strerror})"
    return InputError(f"{path.stem} {reason}: expected an exported .onnx; choose another")


def not_text(name: str) -> InputError:
    """Return what is said of a file or folder whose name no browser can be told."""
    return InputError(f"{printable(name)} is left out, its name is no UTF-8: expected one that is; rename it")


def title(name: str) -> str:
    """Return an artifact's name, `<model>.<framework>.<recipe>-<protocol>[-<tag>][.int8]`, as people read it."""
    model, *others = name.split(".")
    shown = (part.upper() if part in ("mlp", "cnn", "vgg") else part.capitalize() for part in model.split("_")[:2])
    words = "-".join(shown)
    tail = "".join(f" {part}" for part in model.split("_")[2:])
    return " · ".join([words.replace("Resnet", "ResNet") + tail, *map(_spoken, others)])


def _spoken(part: str) -> str:
    return ", ".join(TIME.sub(r"\1-\2-\3 \4:\5:\6", word) for word in WORDS.findall(part))
