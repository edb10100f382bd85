"""Tests of engine/provenance.py: a result says with what its numbers were measured, whoever puts them together."""

import torch

from engine.provenance import machine, told, versions
from engine.record.cells import SweepStarted


def started(version: str, machine: str = "", **versions: str) -> SweepStarted:
    """The beginning of a sweep there."""
    return SweepStarted({}, 1, 0, 0, version, None, versions, machine)


def test_what_is_here_is_named():
    """As the packages themselves say."""
    assert versions()["torch"] == torch.__version__ and set(versions()) == {"espalier", "python", "torch", "transformers"}
    assert "processors" in machine()


def test_what_several_sweeps_were_measured_with_is_said_of_all_of_them():
    """Once where it is the same; a sweep that was gone on with elsewhere has begun twice."""
    both = [
        started("1", "a laptop", torch="2.13"),
        started("2", "a server", torch="2.13"),
        started("2", "a server", torch="2.14"),
    ]
    assert told(both[1:2]) == ({"espalier": "2", "torch": "2.13"}, "a server")
    assert told(both) == ({"espalier": "1; 2", "torch": "2.13; 2.14"}, "a laptop; a server")
    again = [started("1; 2", "a laptop; a server", torch="2.13; 2.14"), started("2", "a laptop", torch="2.14")]
    assert told(again) == told(both)


def test_of_an_older_record_nothing_is_made_up():
    """It has the version of this project, and is not given what whoever reads it has."""
    assert told([started("0")]) == ({"espalier": "0"}, "unknown")
    assert told([]) == ({}, "unknown")
