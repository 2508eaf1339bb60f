"""ImageNet weights: what is transplanted answers as torchvision's own network, and nothing doubtful is read."""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest

from data.errors import InputError
from training import imagenet
from training.specs import MODELS
from training.weights import initial_weights

torch = pytest.importorskip("torch", reason="PyTorch is not installed (ferox[torch])")

SPEC = MODELS["resnet_18"]


def reader(source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "training.torch.imagenet", str(source), str(out)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_transplanted_weights_answer_as_torchvision_s_network_on_a_grey_face(tmp_path: Path) -> None:
    from torchvision.models import resnet18

    from training.torch.model import build, set_weights

    torch.manual_seed(0)
    theirs = resnet18()
    torch.save(theirs.state_dict(), tmp_path / "any.pth")
    assert reader(tmp_path / "any.pth", tmp_path / "out.npz").returncode == 0
    with np.load(tmp_path / "out.npz", allow_pickle=False) as arrays:
        weights = initial_weights(SPEC, 0) | {name: arrays[name] for name in arrays.files}
    theirs.fc = torch.nn.Linear(512, 7)
    theirs.fc.load_state_dict(
        {part: torch.from_numpy(weights[f"dense_1.{part}"]) for part in ("weight", "bias")},
    )
    ours = build(SPEC)
    set_weights(ours, weights)
    faces = torch.rand(2, 1, 48, 48)
    large = torch.nn.functional.interpolate(faces, size=(224, 224), mode="bilinear", align_corners=False)
    with torch.inference_mode():
        assert torch.allclose(ours.eval()(faces), theirs.eval()(large.expand(-1, 3, -1, -1)), atol=1e-4)


class Evil:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    torch.save({"conv1.weight": Evil(tmp_path / "ran")}, tmp_path / "evil.pth")
    done = reader(tmp_path / "evil.pth", tmp_path / "out.npz")
    assert done.returncode == 2
    assert "no state dict of plain tensors" in done.stderr
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "out.npz").exists()


def test_another_network_s_weights_are_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    assert "holds 1 arrays" in reader(tmp_path / "other.pth", tmp_path / "out.npz").stderr


def test_without_a_network_the_error_names_the_file_to_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagenet, "URL", "http://127.0.0.1:9/resnet18-f37072fd.pth")
    with pytest.raises(InputError, match=rf"place it at {tmp_path / imagenet.FILE}"):
        imagenet.imagenet_weights(SPEC, initial_weights(SPEC, 0), tmp_path)


def test_a_connection_that_breaks_off_is_an_error_that_names_the_file_to_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Short(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"0123456789")

        def log_message(self, *arguments: object) -> None:
            """Keep the test's output clean."""

    with HTTPServer(("127.0.0.1", 0), Short) as server:
        threading.Thread(target=server.handle_request).start()
        monkeypatch.setattr(imagenet, "URL", f"http://127.0.0.1:{server.server_port}/{imagenet.FILE}")
        with pytest.raises(InputError, match=r"IncompleteRead.*place it at"):
            imagenet.imagenet_weights(SPEC, initial_weights(SPEC, 0), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / imagenet.FILE).write_bytes(b"half of it")
    with pytest.raises(InputError, match="expected f37072fd"):
        imagenet.imagenet_weights(SPEC, initial_weights(SPEC, 0), tmp_path)
