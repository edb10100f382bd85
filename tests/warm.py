"""A process that has read what takes seconds to read, torch and transformers, and forks a fresh one for each program that asks.

What depends on a program's environment, the hub's clients and our own packages, each fork reads anew.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
ANEW = ("huggingface_hub", "datasets", "engine")  # read their environment when they are imported, or hold what does
SERVE = """
import json, os, signal, sys, threading, traceback
import torch, transformers, transformers.modeling_utils
anew = {anew!r}
def run(job):
    os.environ.clear()
    os.environ.update(job["env"])
    for place, number in ((job["out"], 1), (job["err"], 2)):
        os.dup2(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    for name in [name for name in sys.modules if name.split(".")[0] in anew]:
        del sys.modules[name]
    sys.argv = ["-c", *job["arguments"]]
    exec(compile(job["code"], "<string>", "exec"), {{"__name__": "__main__"}})
for line in sys.stdin:
    child = os.fork()
    if not child:
        signal.alarm(300)  # seconds: nobody waits for ever
        status = 0
        try:
            run(json.loads(line))
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(bool(end.code))
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
        except BaseException:
            traceback.print_exc()
            status = 1
        for thread in threading.enumerate():  # as any program waits for its own before it ends
            if thread is not threading.main_thread() and not thread.daemon:
                thread.join()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # to clear away all that was read takes longer than most programs here
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Warm:
    """Such a process; `close` ends it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", SERVE.format(anew=ANEW)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, code: str, arguments: Sequence[str], env: Mapping[str, str], scratch: Path) -> subprocess.CompletedProcess:
        """What comes of `python -W error -c CODE ARGUMENTS` in that environment, at its end; `scratch` takes what it prints."""
        out, err = scratch / "warm.out", scratch / "warm.err"
        job = {"code": code, "arguments": list(arguments), "env": dict(env), "out": str(out), "err": str(err)}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        return subprocess.CompletedProcess(["-c", code], status, out.read_text(), err.read_text())

    def close(self) -> None:
        """End it."""
        self._process.communicate()
