"""Two square matrices multiplied by PyTorch, as the measure of a processor or of a graphics card."""

import sys
from collections.abc import Callable

import torch

from inference.benchmark.contender import serve, turn
from inference.benchmark.messages import Answer, Ready, Request, Turn
from inference.machine import require_bf16

KINDS = {"fp32": torch.float32, "bf16": torch.bfloat16}
INT8 = "int8"


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
        multiply = _multiplication(precision, request.batch, "cuda" if gpu else "cpu")
        return turn(multiply, request.seconds)

    return Ready(version=torch.__version__, threads=torch.get_num_threads()), work


def _multiplication(precision: str, side: int, place: str) -> Callable[[], None]:
    """Return what multiplies two square matrices and waits for the product; int8's are summed in int32."""
    multiply: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = torch.matmul
    if precision == INT8:
        left, right = (torch.randint(-64, 64, (side, side), dtype=torch.int8, device=place) for _ in range(2))
        # What torch.ao's quantised layers multiply with; there is no public name for it.
        multiply = torch._int_mm
    else:
        left, right = (torch.randn(side, side, device=place).to(KINDS[precision]) for _ in range(2))

    def multiplied() -> None:
        multiply(left, right)
        if left.is_cuda:
            torch.cuda.synchronize()

    return multiplied


if __name__ == "__main__":
    main()
