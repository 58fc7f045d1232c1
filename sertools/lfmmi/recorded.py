"""A stretch of a recursion over frames as a CUDA graph: recorded once, then played by one call of the host.

A frame is a handful of kernels that take a GPU a few microseconds each, as long as the host takes to launch one.  A
graph launches those of :data:`FRAMES` frames at once (torch.cuda.CUDAGraph, from torch 2.1 on).  The kernels and
their order are the same, and so are the numbers.
"""

import inspect
import os
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

CUDA_GRAPHS = "SERTOOLS_CUDA_GRAPHS"
FRAMES = 32  # a stretch, of as many rescalings (dense_scaled); what is left at the end is done frame by frame


def wanted(device: torch.device) -> bool:
    """Whether to record: it was asked for, and can be done while other threads use the GPU, which feeding does."""
    if device.type != "cuda" or os.environ.get(CUDA_GRAPHS, "") in ("", "0"):
        return False
    return "capture_error_mode" in inspect.signature(torch.cuda.graph.__init__).parameters


class Recorded:
    """A function that fills tensors from tensors, of always the same shapes.

    Args:
        run: called as ``run(*inputs, *outputs)``; all it reads and writes besides stays where it is, and nothing in it
            waits for the device.
        inputs, outputs: examples; ``run`` gets copies.
    """

    def __init__(self, run: Callable[..., None], inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        self._inputs = [example.clone(memory_format=torch.contiguous_format) for example in inputs]
        self._outputs = [example.clone(memory_format=torch.contiguous_format) for example in outputs]
        self._run = run  # the recording writes to what it holds: that must not be freed
        device = self._inputs[0].device
        with torch.cuda.device(device):
            self._graph = _record(lambda: run(*self._inputs, *self._outputs))

    def __call__(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        """Fill ``outputs`` as ``run`` would."""
        for buffer, value in zip(self._inputs, inputs, strict=True):
            buffer.copy_(value)
        self._graph.replay()
        for buffer, value in zip(self._outputs, outputs, strict=True):
            value.copy_(buffer)


def _record(run: Callable[[], None]) -> "torch.cuda.CUDAGraph":
    # not by torch.cuda.graph(), which collects garbage and empties the cache of memory every time
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        run()  # libraries make their handles and workspaces, which a graph cannot hold
        graph.capture_begin(capture_error_mode="thread_local")  # type: ignore[call-arg]
        try:
            run()
        finally:
            graph.capture_end()
    torch.cuda.current_stream().wait_stream(stream)
    return graph
