"""Files for other servers, read by what they are read with: Triton's own protobuf, and YAML."""

import argparse
import stat
from pathlib import Path

import pytest
from test_fixed_batch import fixed

from data.errors import InputError
from data.faceset import LABELS
from ferox.serving.command import add_repository_arguments as add_arguments
from ferox.serving.repository import main, write_repository

NAMES = ("cnn_1.torch.published-official", "mlp_1.torch.published-official")


@pytest.fixture
def repository(artifacts: dict[str, Path], tmp_path: Path) -> Path:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    models = [str(artifacts[name]) for name in NAMES]
    folder = tmp_path / "repository"
    assert main(parser.parse_args([str(folder), *models, "--storage-uri", "s3://bucket/a b"])) == 0
    return folder


def test_tritons_own_protobuf_reads_each_models_description(repository: Path, artifacts: dict[str, Path]) -> None:
    pytest.importorskip("grpc", reason="Triton's protobuf needs grpcio, as tensorflow brings it")
    grpc = pytest.importorskip("tritonclient.grpc", reason="Triton's protobuf needs ferox[dev]")
    text_format = pytest.importorskip("google.protobuf.text_format")
    assert sorted(path.name for path in repository.iterdir() if path.is_dir()) == sorted(NAMES)
    for name in NAMES:
        config = text_format.Parse(
            (repository / name / "config.pbtxt").read_text(), grpc.model_config_pb2.ModelConfig()
        )
        assert (config.name, config.platform, config.backend) == (name, "onnxruntime_onnx", "onnxruntime")
        assert config.max_batch_size == 64
        assert config.dynamic_batching.max_queue_delay_microseconds == 2000
        types = grpc.model_config_pb2.DataType
        (pixels,) = config.input
        assert (pixels.name, pixels.data_type, list(pixels.dims)) == ("pixels", types.Value("TYPE_UINT8"), [48, 48])
        for output, expected in zip(config.output, ("logits", "probabilities"), strict=True):
            assert (output.name, output.data_type, list(output.dims)) == (expected, types.Value("TYPE_FP32"), [7])
            labels = (repository / name / output.label_filename).read_text()
            assert tuple(labels.splitlines()) == LABELS
        assert (repository / name / "1" / "model.onnx").read_bytes() == artifacts[name].read_bytes()


def test_kserves_document_runs_triton_over_a_copy(repository: Path) -> None:
    yaml = pytest.importorskip("yaml", reason="reading YAML needs pyyaml, as gradio brings it")
    assert yaml.safe_load((repository / "inferenceservice.yaml").read_text()) == {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "ferox"},
        "spec": {
            "predictor": {
                "model": {
                    "modelFormat": {"name": "triton"},
                    "protocolVersion": "v2",
                    "storageUri": "s3://bucket/a b",
                }
            }
        },
    }


def test_a_server_of_another_user_may_read_it(repository: Path) -> None:
    for path in repository.rglob("*"):
        assert path.stat().st_mode & stat.S_IROTH, path


def test_nothing_is_replaced_and_nothing_unfit_is_written(repository: Path, artifacts: dict[str, Path]) -> None:
    with pytest.raises(InputError, match="is there already, expected a new one"):
        write_repository(repository, [artifacts[NAMES[0]]])
    before = sorted(repository.rglob("*"))
    bad = repository.parent / "bad.onnx"
    bad.write_bytes(b"no model")
    with pytest.raises(InputError, match=r"bad\.onnx"):
        write_repository(repository, [artifacts["mlp_2.torch.published-random"], bad])
    for name in ("Ferox", "a_b", "-a", "a" * 64, ""):
        with pytest.raises(InputError, match="expected up to 63"):
            write_repository(repository, [artifacts["mlp_2.torch.published-random"]], name=name)
    assert sorted(repository.rglob("*")) == before


def test_an_artifact_of_a_fixed_batch_is_refused(artifacts: dict[str, Path], tmp_path: Path) -> None:
    model = fixed(artifacts[NAMES[0]], tmp_path, 8)
    with pytest.raises(InputError, match=r"takes 8 faces at a time, expected one that takes any number"):
        write_repository(tmp_path / "repository", [model])
    assert not (tmp_path / "repository").exists()
