"""Tests of engine/failures.py: errors as torch really raises them, where this machine can be made to raise them."""

import errno
import gc
import weakref

import pytest
import torch
from safetensors import SafetensorError

from engine.failures import Shortage, first_fatal, in_short, is_fatal, is_shortage, telling_shortage
from engine.record.errors import BadInput

ASSERTED = "CUDA error: device-side assert triggered\nCUDA kernel errors might be asynchronously reported at some other API call."
SHORT = [
    torch.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.1 GiB of which 9 MiB"
    ),
    MemoryError(),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:117] data. DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."
    ),
    RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB, other allocations: 1.00 GB, max allowed: 9.07 GB)."),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    torch.AcceleratorError("CUDA error: out of memory"),
    RuntimeError("could not create a primitive"),  # so oneDNN says where its code finds no room
    RuntimeError("std::bad_alloc"),
    RuntimeError("can't start new thread"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    SafetensorError("Error while opening file: Cannot allocate memory (os error 12)"),
]
FATAL = [
    torch.AcceleratorError(ASSERTED),
    RuntimeError(ASSERTED),
    RuntimeError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    torch.AcceleratorError("something new"),
]


def test_the_errors_of_this_machine_are_known():
    """What the allocator of the CPU really says."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_shortage(caught.value) and not is_fatal(caught.value)
    assert in_short(caught.value) == "memory ran out (1 EiB more were asked for)"


@pytest.mark.parametrize("error", SHORT, ids=lambda error: str(error)[:30])
def test_memory_that_ran_out_is_no_dead_accelerator(error):
    """Less can be asked for after it."""
    assert is_shortage(error) and not is_fatal(error)
    assert in_short(error).startswith("memory ran out")


@pytest.mark.parametrize("error", FATAL, ids=lambda error: str(error)[:30])
def test_a_dead_accelerator_is_seen_also_behind_what_came_after_it(error):
    """Whatever was being put back when it died has failed as well, in some other way."""
    assert is_fatal(error) and not is_shortage(error)
    after = KeyError("what was to be put back")
    after.__context__ = error
    assert is_fatal(after)
    assert first_fatal(after) == str(error).splitlines()[0]


@pytest.mark.parametrize(
    "error", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("out of memory"), KeyError(1)]
)
def test_other_errors_are_neither(error):
    """They are mistakes, and to be seen as such."""
    assert not is_shortage(error) and not is_fatal(error)
    with pytest.raises(type(error)), telling_shortage("Score"):
        raise error


def test_a_shortage_is_one_sentence_and_lets_go_of_what_was_computed():
    """Once it is let go itself: what is tried next needs the room."""
    held = []

    def compute() -> None:
        large = torch.zeros(4)
        held.append(weakref.ref(large))
        torch.empty(2**60, dtype=torch.uint8)

    try:
        with telling_shortage("Evaluate"):
            compute()
    except BadInput as error:
        told = error
    assert isinstance(told, Shortage) and told.why.lower() in str(told).lower() and held[0]() is not None
    assert str(told).endswith("in Evaluate; close other programs, or ask for fewer or shorter sequences.")
    del told
    gc.collect()
    assert held[0]() is None
