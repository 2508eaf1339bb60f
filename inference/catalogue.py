"""The models there are, and what to call them: those that come with ferox, and those of one's own.

A model is named by its file, by its file's stem, or by the shortest beginning of the stem that no other model shares:
`vgg_32` for `vgg_32.torch.best-official-student.int8.onnx`. Those that come with ferox are told apart among themselves
alone, so that their names stay what they are whatever is exported beside them.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data.errors import InputError, is_text, printable
from data.places import models_folder, shipped_models

# What is used where no model is named.
DEFAULT = "vgg_32.torch.best-official-student.int8"
SUFFIX = ".onnx"
MOST_NAMED = 5


@dataclass(frozen=True)
class KnownModel:
    """An artifact that can be used by name: its short `name`, its file, and whether it came with ferox."""

    name: str
    path: Path
    is_shipped: bool

    @property
    def stem(self) -> str:
        """The file's name without its ending."""
        return self.path.stem


def model_folders() -> tuple[Path, ...]:
    """Return the folders of models, one's own first, each once."""
    own, shipped = models_folder(), shipped_models()
    return (shipped,) if own.resolve() == shipped.resolve() else (own, shipped)


def known_models(folders: Sequence[Path] | None = None) -> list[KnownModel]:
    """Return the artifacts of `folders`, by default of `model_folders`: the default model first, then by their stems.

    Of two with one stem, the first folder's is meant. Names that are no text are left out: none of them can be typed.
    """
    files: dict[str, Path] = {}
    for folder in model_folders() if folders is None else folders:
        for path in folder.glob(f"*{SUFFIX}"):
            if not path.name.startswith(".") and is_text(path.stem):
                files.setdefault(path.stem, path)
    shipped = shipped_models().resolve()
    brought = [stem for stem, path in files.items() if _comes_with_ferox(path, shipped)]
    names = short_names(list(files)) | short_names(brought)
    models = [KnownModel(names[stem], path, stem in brought) for stem, path in files.items()]
    return sorted(models, key=lambda model: (model.stem != DEFAULT, model.stem))


def _comes_with_ferox(path: Path, shipped: Path) -> bool:
    # In a checkout one's own models join the shipped ones, which alone have their report beside them.
    return path.parent.resolve() == shipped and (shipped / "reports" / path.stem).is_dir()


def short_names(stems: Sequence[str]) -> dict[str, str]:
    """Return, by stem, the shortest beginning of whole words between dots that no other stem begins with."""
    return {stem: _short_name(stem, [other for other in stems if other != stem]) for stem in stems}


def _short_name(stem: str, others: Sequence[str]) -> str:
    words = stem.split(".")
    for count in range(1, len(words)):
        beginning = ".".join(words[:count])
        if not any(other == beginning or other.startswith(f"{beginning}.") for other in others):
            return beginning
    return stem


def find_model(named: str | Path) -> Path:
    """Return the file of a model that is named by file, by stem, or by a beginning that one model alone has.

    Raises:
        InputError: no model is called so, or several are; the near ones are named.
    """
    path, name = Path(named), str(named)
    if path.is_file() or path.suffix == SUFFIX or "/" in name:
        return path
    models = known_models()
    for called in ({model.stem: model for model in models}, {model.name: model for model in models}):
        if name in called:
            return called[name].path
    begun = [model for model in models if model.stem.startswith(f"{name}.")]
    if len(begun) == 1:
        return begun[0].path
    raise InputError(_not_one(name, models, [model.name for model in begun]))


def _not_one(name: str, models: Sequence[KnownModel], several: Sequence[str]) -> str:
    shown = f"{printable(name)[:100]!r}"
    if several:
        return f"{shown} begins the names of several models: {_list(several)}; name one of them"
    names = [model.name for model in models]
    near = difflib.get_close_matches(name, [*names, *(model.stem for model in models)], MOST_NAMED)
    expected = f"is {_list(near)} meant?" if near else f"expected {_list(names)}" if names else "there is none yet"
    return f"there is no model {shown}; {expected}; ferox models lists all, a file is named by its path"


def _list(names: Sequence[str]) -> str:
    rest = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + rest
