"""What PyTorch multiplies at most, as the measure of a processor or of a graphics card: `python -m training.torch.multiply
PRECISION THREADS`; see `inference.benchmark.multiply`."""

import sys
from collections.abc import Callable

import torch

from inference.benchmark.contender import serve, turn
from inference.benchmark.messages import Answer, Ready, Request, Turn
from inference.machine import require_bf16

KINDS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def main() -> None:
    """Serve the precision and the threads of the command line, on the processor."""
    precision, threads = sys.argv[1:]
    serve(lambda: _begin(precision, int(threads)))


def _begin(precision: str, threads: int) -> tuple[Ready, Callable[[Request], Answer | Turn]]:
    torch.set_num_threads(threads)
    gpu = torch.cuda.is_available()
    if precision == "bf16" and not gpu:
        require_bf16()

    def work(request: Request) -> Turn:
        place = "cuda" if gpu else "cpu"
        left, right = (torch.randn(request.batch, request.batch, device=place).to(KINDS[precision]) for _ in range(2))
        return turn(lambda: _multiplied(left, right), request.seconds)

    return Ready(version=torch.__version__, threads=torch.get_num_threads()), work


def _multiplied(left: torch.Tensor, right: torch.Tensor) -> None:
    left @ right
    if left.is_cuda:
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
