"""What came of the experiments, for readers: tables, charts, tested claims and the page of them all; measures nothing.

`python -m engine.results` makes `docs/results.md` and its charts from the result files beside them, and `--run` measures anew.
"""
