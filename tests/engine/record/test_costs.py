"""What a cut was measured to cost survives the way through a line, and lines that were written before that are read."""

import json

from engine.record.costs import Latency, Memory
from engine.record.events import EVENTS, ModelCut
from engine.record.line import Stamped, decode, encode
from engine.record.state import RunState, fold

TIMED, HELD = (Latency(8, 256, 0.2, 0.1, 7, "decode"),), (Memory(8, 256, 9, None, "decode"),)
WHOLE = ModelCut(1000, 600, 4000, 2400, TIMED, 1e-6, HELD, 4100, 2500, "cpu")


def test_a_cut_goes_through_a_line_unchanged():
    """None for what was not measured included."""
    assert decode(encode(WHOLE, "event", 3, 1.5), "event", EVENTS) == Stamped(3, 1.5, WHOLE)


def test_a_line_of_a_run_that_measured_less_is_still_a_cut():
    """Times of prefill only, no memory, no file, no machine; the state holds it like any other."""
    timed = {"batch": 1, "length": 256, "dense": 0.2, "cut": 0.1, "repeats": 7}
    told = {"parameters_before": 1000, "parameters_after": 600, "bytes_before": 4000, "bytes_after": 2400, "difference": 1e-6}
    line = json.dumps({"seq": 0, "at": 1.0, "event": "ModelCut", "latency": [timed]} | told).encode()
    read = decode(line, "event", EVENTS)
    cut = fold(RunState(), [read]).standing.cut
    assert cut == ModelCut(1000, 600, 4000, 2400, (Latency(1, 256, 0.2, 0.1, 7, "prefill"),), 1e-6)
    assert (cut.memory, cut.file_before, cut.file_after, cut.machine) == ((), None, None, "")
