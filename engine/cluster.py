"""A Dask cluster to send tasks to: processes that are started on this machine, or one that somebody has started elsewhere.

Knows nothing of sweeps and cells. Dask is imported when a cluster is asked for, and is needed for nothing else.
"""

import logging
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import psutil
import torch

from engine.record.errors import BadInput, shorten
from engine.record.resident import THRESHOLDS

if TYPE_CHECKING:
    from distributed import Client, SpecCluster, WorkerPlugin

LOCAL, ADDRESS = re.compile(r"local:([1-9][0-9]?)"), re.compile(r"[a-z]+://[^\s/]+")
PATIENCE = 30  # seconds until a scheduler has answered, and until a first process has joined it


def processes_here(scheduler: str) -> int | None:
    """How many processes are to be started on this machine; None for a cluster elsewhere. Raises `BadInput` for a scheduler that
    is none, and where Dask is missing."""
    here = LOCAL.fullmatch(scheduler)
    if not here and not ADDRESS.fullmatch(scheduler):
        raise BadInput(
            f"scheduler {shorten(scheduler)} is none; give local:N for 1 to 99 processes on this machine, or the address of "
            "a Dask scheduler such as tcp://10.0.0.1:8786."
        )
    if find_spec("distributed") is None:
        raise BadInput(f"scheduler {scheduler} needs Dask, which is not installed; run pip install 'espalier[cluster]'.")
    return int(here[1]) if here else None


@contextmanager
def joined(scheduler: str) -> Iterator["Client"]:
    """A client of the cluster, which has at least one process by then. Those that were started here end with it.

    Raises `BadInput` as `processes_here`, and where nobody answers.
    """
    count = processes_here(scheduler)
    from distributed import Client

    with ExitStack() as stack:
        try:
            address = stack.enter_context(_started(count)) if count else scheduler
            client = stack.enter_context(Client(address, timeout=PATIENCE, set_as_default=False))
            client.wait_for_workers(count or 1, timeout=PATIENCE)
        except TimeoutError as error:
            raise BadInput(f"scheduler {scheduler} has no worker after {PATIENCE} s; start one there.") from error
        except (OSError, ValueError) as error:  # the second for a protocol that Dask does not speak
            raise BadInput(f"scheduler {scheduler} cannot be reached: {shorten(str(error), 120)}.") from error
        yield client


def offered(client: "Client") -> list[Mapping[str, float]]:
    """What each process has declared that it can give to one task: "memory" in bytes, "accelerator"; or nothing."""
    return [worker["resources"] for worker in client.scheduler_info(n_workers=-1)["workers"].values()]


def furnish(client: "Client", plugin: "WorkerPlugin") -> None:
    """Put a plugin into every process, also into those that join later; raises `BadInput` for what it raises there."""
    try:
        client.register_plugin(plugin)
    except (RuntimeError, ImportError, AttributeError) as error:  # as Dask passes on what a process elsewhere has raised
        raise BadInput(f"A worker of the cluster cannot be used: {shorten(str(error), 160)}") from error


@contextmanager
def _started(count: int) -> Iterator["SpecCluster"]:
    """So many processes on this machine that share its memory and its processor's cores; each accelerator goes to one of them."""
    from distributed import Nanny, Scheduler, SpecCluster

    memory, accelerators = psutil.virtual_memory().available // count, torch.accelerator.device_count()
    threads = str(max(1, torch.get_num_threads() // count))
    with tempfile.TemporaryDirectory(prefix="espalier-") as scratch:
        workers = {}
        for number in range(count):
            own = {"CUDA_VISIBLE_DEVICES": str(number)} if accelerators else {}
            workers[number] = {
                "cls": Nanny,
                "options": {
                    "nthreads": 1,  # a model stands on one task's side at a time
                    "memory_limit": 0,  # Dask would end a process for what the C library has not given back yet
                    "resources": {"memory": memory, "accelerator": int(number < accelerators)},
                    "env": THRESHOLDS | {"OMP_NUM_THREADS": threads} | own,
                    "local_directory": scratch,
                    "host": "127.0.0.1",
                    "silence_logs": logging.ERROR,
                },
            }
        scheduler = {"cls": Scheduler, "options": {"host": "127.0.0.1", "port": 0, "dashboard": False}}
        with SpecCluster(workers=workers, scheduler=scheduler, silence_logs=logging.ERROR) as cluster:
            yield cluster
