"""Models by name."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import InputError
from data.places import HOME_VARIABLE, models_folder, reports_folder, runs_folder, shipped_models
from inference import catalogue
from inference.catalogue import DEFAULT, find_model, known_models, model_folders, short_names

WORDS = st.lists(st.sampled_from(["cnn_1", "vgg_32", "torch", "paddle", "int8"]), min_size=1, max_size=4)
STEMS = st.lists(WORDS.map(".".join), unique=True, max_size=8)


@pytest.fixture
def own(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own models, with one in it, beside those that come with ferox."""
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    models_folder().mkdir(parents=True)
    shutil.copy(tiny_model, models_folder())
    return models_folder()


def test_what_is_produced_goes_below_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HOME_VARIABLE, raising=False)
    assert [runs_folder(), models_folder(), reports_folder()] == [
        Path("artifacts/runs"),
        Path("artifacts/models"),
        Path("artifacts/reports"),
    ]
    monkeypatch.setenv(HOME_VARIABLE, "/elsewhere")
    assert models_folder() == Path("/elsewhere/models")


def test_the_models_that_come_with_ferox_are_known_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    models = known_models()
    assert models[0].stem == DEFAULT
    assert all(model.is_shipped for model in models)
    assert {model.path for model in models} == set(shipped_models().glob("*.onnx"))
    assert find_model(models[0].name) == models[0].path


def test_own_models_join_those_that_come_with_ferox(own: Path) -> None:
    mine = [model for model in known_models() if not model.is_shipped]
    assert [(model.name, model.path.parent) for model in mine] == [("mlp_1", own)]
    assert model_folders() == (own, shipped_models())


def test_the_names_of_those_that_come_with_ferox_stay(own: Path) -> None:
    before = {model.name: model.path for model in known_models()}
    for stem in ("vgg_32.torch.published-official", "cnn_1.torch.best-official"):
        shutil.copy(own / "mlp_1.torch.published-official.onnx", own / f"{stem}.onnx")
    after = {model.name: model.path for model in known_models()}
    assert before.items() < after.items()
    assert after["vgg_32.torch.published-official"] == find_model("vgg_32.torch.published-official")
    assert find_model("vgg_32") == shipped_models() / f"{DEFAULT}.onnx"


def test_of_two_with_one_stem_the_own_one_is_meant(own: Path) -> None:
    shutil.copy(own / "mlp_1.torch.published-official.onnx", own / f"{DEFAULT}.onnx")
    assert find_model(DEFAULT).parent == own


@given(STEMS)
def test_short_names_are_beginnings_that_no_other_stem_has(stems: list[str]) -> None:
    names = short_names(stems)
    assert set(names) == set(stems)
    assert len(set(names.values())) == len(stems)
    for stem, name in names.items():
        assert f"{stem}.".startswith(f"{name}.")
        assert name == stem or not any(f"{other}.".startswith(f"{name}.") for other in stems if other != stem)


@pytest.mark.parametrize("named", ["mlp_1", "mlp_1.torch", "mlp_1.torch.published-official"])
def test_a_model_is_named_by_the_beginning_of_its_stem(own: Path, named: str) -> None:
    assert find_model(named) == own / "mlp_1.torch.published-official.onnx"


@pytest.mark.parametrize("named", ["some/where", "missing.onnx"])
def test_a_path_is_a_path(named: str) -> None:
    assert find_model(named) == Path(named)


def test_a_folder_is_no_model(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlp_1").mkdir()
    assert find_model("mlp_1").parent == own


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("vgg_23", "there is no model 'vgg_23'; is vgg_32 meant?"),
        ("cnn_1", "'cnn_1' begins the names of several models: cnn_1.paddle, cnn_1.tensorflow, cnn_1.torch; name one"),
        ("zzz", "there is no model 'zzz'; expected vgg_32, cnn_1.paddle"),
        ("a\x1b[2J", "there is no model 'a?[2J'"),
    ],
)
def test_a_wrong_name_names_the_near_ones(own: Path, named: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        find_model(named)
    assert said in str(refused.value)


def test_without_models_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "model_folders", lambda: (tmp_path,))
    with pytest.raises(InputError, match="there is none yet"):
        find_model("cnn_1")
