"""The README's list of modules is that of the source: `--rewrite-golden` writes it anew."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.files import write_text

ROOT = Path(__file__).parents[1]
PACKAGES = ("data", "training", "export", "inference", "demo", "ferox", "benchmarks")
BEGIN, END = "<!-- modules: begin -->", "<!-- modules: end -->"


def summary(module: Path) -> str:
    """The first sentence of a module's docstring, or its first line, without the command that it names."""
    said = ast.get_docstring(ast.parse(module.read_text()))
    assert said, f"{module} does not say what it is for"
    line = said.splitlines()[0]
    return re.split(": `(?:ferox|python -m)", line)[0].removesuffix(".")


def modules(package: Path) -> Iterator[str]:
    """A line for each module: those of a room indented under it."""
    for path in sorted(package.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        depth = "  " * len(package.relative_to(ROOT).parts)
        if path.is_dir() and (path / "__init__.py").exists():
            yield f"{depth}{path.name + '/':<{25 - len(depth)}} {summary(path / '__init__.py')}"
            yield from modules(path)
        elif path.suffix == ".py" and path.name != "__init__.py":
            yield f"{depth}{path.name:<{25 - len(depth)}} {summary(path)}"


def listing() -> str:
    lines = []
    for package in PACKAGES:
        lines += [f"{package + '/':<24}{summary(ROOT / package / '__init__.py')}", *modules(ROOT / package)]
    return "\n".join([BEGIN, "```", *lines, "```", END])


def test_the_readme_lists_every_module_as_it_describes_itself(request: pytest.FixtureRequest) -> None:
    readme = ROOT / "README.md"
    text = readme.read_text()
    start, end = text.index(BEGIN), text.index(END) + len(END)
    if request.config.getoption("--rewrite-golden"):
        text = text[:start] + listing() + text[end:]
        write_text(readme, text)
        end = text.index(END) + len(END)
    assert text[start:end] == listing(), "pytest tests/test_readme.py --rewrite-golden"
