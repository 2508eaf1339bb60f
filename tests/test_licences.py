"""The licences of what ferox depends on, as docs/licences.md lists them: `--rewrite-golden` writes the table anew."""

import tomllib
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from data.draw import draw
from data.files import write_text
from data.splits import SplitPlan, split
from inference.engine import Engine
from inference.licence import terms
from inference.manifest import Manifest, data_record

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "licences.md"
BEGIN, END = "<!-- licences: begin -->", "<!-- licences: end -->"
APPROVED = "License :: OSI Approved :: "
# Not installed beside the others, for it takes onnxruntime's place, or only while a wheel is built: as PyPI states it
# of onnxruntime-gpu 1.31.1 and hatchling 1.33.0.
ELSEWHERE = {"onnxruntime-gpu": "MIT License", "hatchling": "MIT"}


def requirements() -> Iterator[tuple[str, str]]:
    """What needs a package, and the package, of all that pyproject.toml names."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = content["project"]
    groups = {"everything": project["dependencies"], **project["optional-dependencies"]}
    groups["building"] = content["build-system"]["requires"]
    for group, lines in groups.items():
        yield from ((group, name) for line in lines if (name := Requirement(line).name) != project["name"])


def stated(name: str) -> str | None:
    """The licence that a package's metadata state; None where it cannot be installed for this Python."""
    if name in ELSEWHERE:
        return ELSEWHERE[name]
    try:
        said = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return None
    approved = [line.removeprefix(APPROVED) for line in said.get_all("Classifier", []) if line.startswith(APPROVED)]
    # Some packages state the whole text, whose first words are its name.
    named, *text = (said["License"] or "").strip().splitlines() or [""]
    version = next((line.strip() for line in text if line.strip().startswith("Version")), "")
    return said["License-Expression"] or ", ".join(approved) or " ".join([named, *version.split(",")[:1]]).strip()


def listed() -> list[list[str]]:
    """The rows of the table."""
    text = DOCUMENT.read_text()
    lines = text[text.index(BEGIN) : text.index(END)].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")][2:]


def table() -> str:
    rows = [f"| {group} | {name} | {stated(name)} |" for group, name in requirements()]
    return "\n".join([BEGIN, "", "| needed for | package | licence |", "|---|---|---|", *rows, "", END])


def test_every_dependency_is_listed_with_the_licence_that_it_states(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--rewrite-golden"):
        text = DOCUMENT.read_text()
        write_text(DOCUMENT, text[: text.index(BEGIN)] + table() + text[text.index(END) + len(END) :])
    rows, needed = listed(), list(requirements())
    assert [(group, name) for group, name, _ in rows] == needed, "make golden"
    assert all(licence and licence != "None" for _, _, licence in rows)
    # paddle2onnx cannot be installed for Python 3.13.
    installed = {name: licence for _, name in needed if (licence := stated(name)) is not None}
    assert {name: licence for _, name, licence in rows if name in installed} == installed, "make golden"
    assert len(installed) > len(ELSEWHERE)


def test_terms_say_what_is_known_of_the_faces_that_were_learned_from(tiny_manifest: Manifest) -> None:
    faces = draw(300, seed=3)
    drawn = data_record(faces.source, faces.fingerprint, split(faces, SplitPlan()))
    assert "nobody else has rights in these" in terms(replace(tiny_manifest, data=drawn))
    own = replace(drawn, source="drawn-people")
    assert "They learned from drawn-people. Under which terms" in terms(replace(tiny_manifest, data=own))
    whole = replace(own, source="a.csv", counts={"train": 28_709, "validation": 3_589, "test": 3_589})
    assert "research and teaching alone" in terms(replace(tiny_manifest, data=whole))
    # A model that began with another's weights, or was taught by it, learned from those faces, too.
    assert "research and teaching alone" in terms(replace(tiny_manifest, data=drawn, inherited=(whole,)))
    both = terms(replace(tiny_manifest, data=drawn, inherited=(own,)))
    assert f"They learned from {faces.source} and drawn-people." in both
    begun = replace(tiny_manifest, recipe=tiny_manifest.recipe | {"weights": "imagenet"})
    assert terms(begun).endswith("learned from ImageNet, which has terms of its own.")


@pytest.mark.parametrize("card", sorted((ROOT / "artifacts" / "models").glob("*.md")), ids=lambda path: path.stem)
def test_the_cards_of_shipped_models_say_their_terms(card: Path) -> None:
    manifest = Engine.load(card.with_suffix(".onnx"), provider="cpu", threads=1).manifest
    assert card.read_text().endswith(f"## Licence\n\n{terms(manifest)}\n")
