"""A Dask cluster to send tasks to: processes that are started on this machine, or one that somebody has started elsewhere.

Knows nothing of sweeps and cells. Dask is imported when a cluster is asked for, and is needed for nothing else.
"""

import logging
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch

from engine.record.errors import BadInput, shorten
from engine.record.memory import available

if TYPE_CHECKING:
    from distributed import Client, SpecCluster, Worker, WorkerPlugin

LOCAL, ADDRESS = re.compile(r"local:([1-9][0-9]?)"), re.compile(r"[a-z]+://[^\s/]+")
VISIBLE = "CUDA_VISIBLE_DEVICES"  # numbers or names of devices, those that programs of CUDA may see
PATIENCE = 30  # seconds until a scheduler has answered, and until a first process has joined it
START = "90s"  # a process that takes longer to be there again has died in starting; importing torch takes a busy machine 20 s


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

    stack = ExitStack()
    try:
        try:
            address = stack.enter_context(_started(count)) if count else scheduler
            client = stack.enter_context(Client(address, timeout=PATIENCE, set_as_default=False))
            client.wait_for_workers(count or 1, timeout=PATIENCE)
        except TimeoutError as error:
            advice = "try it again when this machine has less to do" if count else "start one there"
            raise BadInput(f"scheduler {scheduler} has no worker after {PATIENCE} s; {advice}.") from error
        except (OSError, ValueError) as error:  # the second for a protocol that Dask does not speak
            raise BadInput(f"scheduler {scheduler} cannot be reached: {shorten(str(error), 120)}.") from error
        yield client
    finally:
        with suppress(Exception):  # a cluster of which part has died is no reason to lose what came of the work
            stack.close()


def dask_setup(worker: "Worker") -> None:
    """Called by Dask in each process that was started here. A signal to the group of the one that started them, Ctrl-C in a
    terminal, is for that one alone, which ends the others in order; they end with it, too, should it die."""
    os.setpgrp()


def offered(client: "Client") -> list[Mapping[str, float]]:
    """What each process has declared that it can give to one task: "memory" in bytes, "accelerator"; or nothing."""
    known = client.scheduler_info(n_workers=-1)  # of a scheduler that does not answer, not more than its name
    return [worker["resources"] for worker in known.get("workers", {}).values()]


def replenish(client: "Client") -> None:
    """Begin processes of this machine again that have died in starting, after which Dask gives them up; elsewhere, do nothing."""
    if client.cluster is not None:
        client.cluster.scale(len(client.cluster.worker_spec))


def furnish(client: "Client", plugin: "WorkerPlugin") -> None:
    """Put a plugin into every process, also into those that join later; raises `BadInput` for what it raises there."""
    try:
        client.register_plugin(plugin)
    except (RuntimeError, ImportError, AttributeError) as error:  # as Dask passes on what a process elsewhere has raised
        raise BadInput(f"A worker of the cluster cannot be used: {shorten(str(error), 160)}") from error


def visible_to(number: int, devices: int, environment: Mapping[str, str]) -> dict[str, str]:
    """What tells the process of that number, from 0, which of the devices of CUDA it may see: one of its own, or none where all
    `devices` are given away. Those that are not to be seen here, as the `environment` says, are nobody's."""
    here = environment.get(VISIBLE)
    names = [str(each) for each in range(devices)] if here is None else [name.strip() for name in here.split(",")]
    # No device has this number: an empty text would do but for Windows, where it is no variable at all.
    return {VISIBLE: names[number] if number < devices else "-1"}


@contextmanager
def _started(count: int) -> Iterator["SpecCluster"]:
    """So many processes on this machine that share its memory and its processor's cores; each accelerator goes to one of them."""
    import dask
    from distributed import Nanny, Scheduler, SpecCluster

    memory, accelerators = available() // count, torch.accelerator.device_count()
    environ = {"OMP_NUM_THREADS": str(max(1, torch.get_num_threads() // count))}  # read when a process starts
    with tempfile.TemporaryDirectory(prefix="espalier-") as scratch:
        workers = {}
        for number in range(count):
            own = visible_to(number, torch.cuda.device_count(), os.environ) if torch.cuda.is_available() else {}
            workers[number] = {
                "cls": Nanny,
                "options": {
                    "nthreads": 1,  # a model stands on one task's side at a time
                    "memory_limit": 0,  # Dask would end a process for what the C library has not given back yet
                    "resources": {"memory": memory, "accelerator": int(number < accelerators)},
                    "preload": [__name__],
                    "env": own,
                    "local_directory": scratch,
                    "host": "127.0.0.1",
                    "silence_logs": logging.ERROR,
                },
            }
        scheduler = {"cls": Scheduler, "options": {"host": "127.0.0.1", "port": 0, "dashboard": False}}
        how = {"distributed.nanny.pre-spawn-environ": environ, "distributed.deploy.lost-worker-timeout": START}
        with (
            dask.config.set(how),
            SpecCluster(workers=workers, scheduler=scheduler, silence_logs=logging.ERROR) as cluster,
        ):
            yield cluster
