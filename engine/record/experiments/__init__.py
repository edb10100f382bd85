"""Experiments, one a file: a question, the sweeps that answer it, and what their numbers say; none knows how a sweep is run.

The contract. The file's name is the experiment's name; the first line of its docstring is its title, the paragraph after that
the question, the next how it is judged. The functions:

    sweeps(model, form) -> Mapping[str, Sweep]   what is to be measured, by name, in the order in which it is done; several where
                                                 one grid cannot say it; `form` is one of `engine.record.scale`
    answer(found) -> tuple[Verdict, ...]         what they say, computed from the numbers, each with its uncertainty
    figures(found) -> tuple[Figure, ...]         charts (`engine.record.figure`)
    table(found) -> Table                        the numbers behind them

`found` has the cells that are done so far, as `engine.record.done_cells.Found`: the name of the sweep → the number of the cell →
`SweepCellDone`. Sweeps that have not begun may be missing from it, and cells of it may have failed: charts and tables then have
less in them, and the answer says that it cannot tell. When a difference counts is said in `engine.record.spread`, once for all.
"""

from engine.record.catalogue import EXPERIMENTS

__all__ = ["EXPERIMENTS"]  # the registry of this folder
