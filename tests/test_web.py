"""The static site as files: what is written, what is refused, and that its words are all there."""

import gzip
import json
import re
import shutil
from pathlib import Path

import cv2
import pytest

from data.errors import InputError
from data.faceset import LABELS
from demo.web import site as web
from demo.web.cascade import NAME, frontal_faces
from demo.web.sentences import OWN, SHARED, sentences
from demo.web.site import write_site
from inference.engine import Engine

SOURCE = Path(web.__file__).with_name("src")
PAGE = Path(web.__file__).with_name("static") / "index.html"


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of what `make web` builds, with a word in each file."""
    folder = tmp_path / "built"
    folder.mkdir()
    for name in ("index.html", "page.js", "worker.js", web.WORKER, web.EMBED, web.LICENCES):
        (folder / name).write_text(f"/* {name} */")
    (folder / "page.js.br").write_bytes(b"packed")
    monkeypatch.setattr(web, "BUILT", folder)
    return folder


def test_a_site_holds_its_models_words_and_compressed_copies(built: Path, tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    site = write_site(out, [tiny_model])
    stated = json.loads((out / "site.json").read_text())
    assert stated["models"][0]["digest"] == Engine.load(tiny_model, provider="cpu").manifest.digest
    assert (out / stated["models"][0]["file"]).read_bytes() == tiny_model.read_bytes()
    assert stated["emotions"]["zh"].keys() == set(LABELS) == stated["colours"].keys()
    assert {name for name in site.files if not (out / name).is_file()} == set()
    assert gzip.decompress((out / "site.json.gz").read_bytes()) == (out / "site.json").read_bytes()
    assert not (out / web.EMBED).exists()
    assert "Intel License Agreement" in (out / web.LICENCES).read_text()
    assert NAME in (out / web.LICENCES).read_text()


def test_the_service_worker_changes_with_any_file_and_keeps_what_the_first_answer_needs(
    built: Path, tiny_model: Path, tmp_path: Path
) -> None:
    write_site(tmp_path / "site", [tiny_model])
    first = (tmp_path / "site" / web.WORKER).read_text()
    kept = json.loads(first.partition("= ")[2].partition(";\n")[0])
    assert {"./", "index.html", "page.js", "site.json", f"models/{tiny_model.name}"} <= set(kept["files"])
    assert not [name for name in kept["files"] if name.endswith(".br")]
    write_site(tmp_path / "same", [tiny_model])
    assert (tmp_path / "same" / web.WORKER).read_text() == first
    (built / "page.js").write_text("another")
    write_site(tmp_path / "site", [tiny_model])
    assert (tmp_path / "site" / web.WORKER).read_text() != first


def test_an_earlier_site_is_replaced_and_what_lies_beside_it_stays(
    built: Path, tiny_model: Path, tmp_path: Path
) -> None:
    out, other = tmp_path / "site", tmp_path / "other.onnx"
    shutil.copy(tiny_model, other)
    write_site(out, [tiny_model, other], embed=True)
    (out / "CNAME").write_text("example.org")
    write_site(out, [tiny_model])
    assert sorted(path.name for path in (out / "models").iterdir()) == [tiny_model.name, f"{tiny_model.name}.gz"]
    assert not (out / web.EMBED).exists()
    assert (out / "CNAME").read_text() == "example.org"


@pytest.mark.parametrize(
    "document", ["no JSON", "{}", '{"files": ["../../kept"]}', '{"files": ["/etc/passwd"]}', '{"files": [1]}']
)
def test_a_folder_with_something_else_in_it_is_refused(
    document: str, built: Path, tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "site.json").write_text(document)
    with pytest.raises(InputError, match="something else than a site"):
        write_site(tmp_path / "site", [tiny_model])
    assert [path.name for path in (tmp_path / "site").iterdir()] == ["site.json"]


def test_two_models_of_one_name_are_refused(built: Path, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two models are called"):
        write_site(tmp_path / "site", [tiny_model, tiny_model])
    assert not (tmp_path / "site").exists()


def test_names_that_addresses_cannot_hold_are_quoted_or_refused(built: Path, tiny_model: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_model, named := tmp_path / "50 % #1.onnx")
    assert write_site(tmp_path / "site", [named]).models[0].file == "models/50%20%25%20%231.onnx"
    shutil.copy(tiny_model, unnamed := tmp_path / "a\udcff.onnx")
    with pytest.raises(InputError, match="rename the file"):
        write_site(tmp_path / "other", [unnamed])


def test_without_its_scripts_it_says_how_to_build_them(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "BUILT", tmp_path / "missing")
    with pytest.raises(InputError, match="run make web"):
        write_site(tmp_path / "site", [tiny_model])
    monkeypatch.setattr(web, "is_checkout", lambda: False)
    with pytest.raises(InputError, match="make wheel"):
        write_site(tmp_path / "site", [tiny_model])


def test_every_sentence_that_the_page_says_is_there_and_no_other() -> None:
    scripts = "".join(path.read_text() for path in SOURCE.glob("*.ts"))
    said = set(re.findall(r'data-(?:word|name)="(\w+)"', PAGE.read_text()))
    said |= set(re.findall(r'"((?:web|camera|faces|download|photo|not|all|no)_\w+)"', scripts))
    said |= set(re.findall(r'say\(\s*"(\w+)"', scripts))
    for is_chinese in (False, True):
        assert said == sentences(is_chinese).keys()
    for english, chinese in OWN.values():
        assert sorted(re.findall(r"{\w+}", english)) == sorted(re.findall(r"{\w+}", chinese))
    assert len(set(SHARED)) == len(SHARED)


def test_the_cascade_is_whole_and_has_upright_rectangles_alone() -> None:
    cascade, licence = frontal_faces()
    text = (Path(cv2.data.haarcascades) / NAME).read_text()
    assert "<tilted>1" not in text
    assert (cascade.width, cascade.height, len(cascade.stages)) == (20, 20, 20)
    nodes = [node for stage in cascade.stages for tree in stage.trees for node in tree.nodes]
    assert len(cascade.features) == len(nodes)
    # What the loops in float32 count on: whole weights, so that a feature's sum is exact.
    assert {weight for feature in cascade.features for *_, weight in feature} <= {-1.0, 2.0, 3.0}
    assert licence.endswith("possibility of such damage.")


def test_the_lock_file_names_no_host() -> None:
    # `npm install` writes where a package asks for money, whatever .npmrc says of registries.
    lock = (SOURCE.parent / "package-lock.json").read_text()
    assert '"node_modules/onnxruntime-web"' in lock
    assert "://" not in lock
