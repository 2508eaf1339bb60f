"""Steps of learning on a GPU, recorded once and replayed as a whole.

A step of a small network is some hundreds of short kernels, which a GPU computes faster than Python asks for them one
by one. A CUDA graph asks once (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs).
"""

from collections.abc import Callable
from threading import Lock

import torch
from torch import Tensor

# Steps before recording: by then cuDNN has chosen its kernels, and the optimiser has made its state.
WARM_UP = 3
# Held while a step is recorded, and by other threads while they use the GPU: what they ask of it could spoil the graph.
RECORDING = Lock()


class GraphedStep:
    """Calls a step with batches of tensors on a GPU: the first few times itself, then as the graph recorded of it.

    The step reads and writes tensors at the places that they have when it is recorded, so whatever it changes has to be
    changed in place, by others, too. A batch of another size than the first, as an epoch's last may be, is not
    replayed.
    """

    def __init__(self, step: Callable[..., None]) -> None:
        self._step = step
        self._graph: torch.cuda.CUDAGraph | None = None
        self._batch: list[Tensor] = []
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._size, self._taken = 0, 0

    def __call__(self, *batch: Tensor) -> None:
        """Take the step with a batch, tensors whose first dimension is its faces."""
        self._size = self._size or len(batch[0])
        if len(batch[0]) != self._size:
            self._step(*batch)
        elif self._taken < WARM_UP:
            self._taken += 1
            self._aside(*batch)
        else:
            graph = self._graph or self._recorded(batch)
            for place, values in zip(self._batch, batch, strict=True):
                place.copy_(values)
            graph.replay()

    def _aside(self, *batch: Tensor) -> None:
        # What is to be recorded must not have run on the default stream before.
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            self._step(*batch)
        torch.cuda.current_stream().wait_stream(self._stream)

    def _recorded(self, batch: tuple[Tensor, ...]) -> torch.cuda.CUDAGraph:
        """Record the step; it is not taken yet."""
        self._batch = [values.clone() for values in batch]
        self._graph = torch.cuda.CUDAGraph()
        with RECORDING, torch.cuda.graph(self._graph):
            self._step(*self._batch)
        return self._graph
