"""How much memory a piece of work takes at its peak, beyond what was there before; knows nothing of models.

Counted is what torch hands out, and not what the process holds: on a CPU the allocator of the C library keeps freed memory, so
that the same pass of a small model raised the resident set by 44 to 88 MB from one time to the next.
"""

import weakref
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def peak(work: Callable[[], object], device: torch.device) -> int | None:
    """The most bytes that were alive at once in `work`, besides those that were there before; None where that is not measured.

    On CUDA this is what the allocator says. On a CPU it is the storage of every tensor that an operation returns; buffers that a
    kernel takes and gives back within one operation are not seen.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    if device.type != "cpu":
        return None
    with _Alive() as alive:
        work()
    return alive.most


class _Alive(TorchDispatchMode):
    """Adds up the storages that come and go; one that an operation gets as its argument, unseen, was there before."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0  # bytes more than there were before
        self._known: dict[int, weakref.finalize] = {}

    def __torch_dispatch__(self, function: Callable, types: tuple, args: tuple = (), kwargs: dict | None = None) -> object:
        for tensor in tree_leaves((args, kwargs)):
            self._meet(tensor, new=False)
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            self._meet(tensor, new=True)
        return result

    def __exit__(self, *raised: object) -> None:
        super().__exit__(*raised)
        for farewell in self._known.values():
            farewell.detach()

    def _meet(self, tensor: object, new: bool) -> None:
        if not isinstance(tensor, Tensor) or tensor.device.type != "cpu":
            return
        storage = tensor.untyped_storage()
        place, size = storage.data_ptr(), storage.nbytes()
        if not size or place in self._known:
            return
        self._known[place] = weakref.finalize(storage, self._leave, place, size)
        self.now += size if new else 0
        self.most = max(self.most, self.now)

    def _leave(self, place: int, size: int) -> None:
        del self._known[place]
        self.now -= size
