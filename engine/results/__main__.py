"""Makes the page of results from the result files, or with `--run` those files from the experiments first; knows no numbers.

python -m engine.results                                   docs/results.md, its charts and README's quotation, from the files
python -m engine.results --run --form full --model gpt2    measures first; what was measured already is not measured again
"""

import argparse
import sys
from pathlib import Path

from engine.experimenting import experimenting, gathered
from engine.progress import Progress
from engine.record.catalogue import EXPERIMENTS, builtin_models, packaged_models
from engine.record.errors import BadInput
from engine.record.folder import write_atomic
from engine.record.result import as_json
from engine.record.scale import FORMS
from engine.record.trial import as_file_name, default_folder
from engine.results.outcome import INSTALL, charts
from engine.results.page import ACROSS, page, panels, read_all, with_quote

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str] | None = None) -> int:
    """Do what the arguments say and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m engine.results", description=__doc__.splitlines()[0])
    parser.add_argument("--run", action="store_true", help="carry the experiments out first; resumed where they were")
    parser.add_argument("--form", choices=FORMS, default="short", help="short: minutes; full: a night")
    parser.add_argument("--model", nargs="+", help="default: the built-in ones")
    parser.add_argument("--experiment", nargs="+", default=list(EXPERIMENTS.names()), help="default: all")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where results.md and results/ are (default: docs)")
    given = parser.parse_args(arguments)
    (given.docs / "results").mkdir(parents=True, exist_ok=True)
    alone = given.model or [each.name for each in builtin_models()]
    with_others = (given.model or [*alone, *(each.name for each in packaged_models() if each.ready)])[-1]
    try:
        for name in given.experiment if given.run else ():
            for model in [with_others] if name == ACROSS else alone:
                measure(name, model, given.form, given.docs / "results")
        make(given.docs)
    except BadInput as error:
        print(f"espalier: {error}", file=sys.stderr)
        return 2
    print(given.docs / "results.md")
    return 0


def measure(name: str, model: str, form: str, into: Path) -> None:
    """Carry one experiment out on one model, and keep its result file."""
    folder, progress = default_folder(name, model, form), Progress(sys.stderr)
    print(f"{name} on {model}, {form} form, in {folder}", file=sys.stderr)
    for event in experimenting(name, model, form, folder):
        progress.show(event)
    progress.close()
    keep(name, model, form, folder, into)


def keep(name: str, model: str, form: str, folder: Path, into: Path) -> Path:
    """Write the result file of an experiment that was carried out in a folder, as far as it was; that of an experiment on many
    models takes the place of the one before."""
    path = into / (f"{name}.json" if name == ACROSS else f"{name}-{as_file_name(model)}.json")
    write_atomic(path, as_json(gathered(name, model, form, folder)))
    return path


def make(docs: Path) -> None:
    """Make the page and its charts from the result files, and README's quotation where one stands beside; raises `BadInput` for a
    result file that holds none, and where matplotlib is missing."""
    results = read_all(docs / "results")
    try:
        for name in EXPERIMENTS.names():
            charts(panels(each for each in results if each.experiment == name), docs / "results")
    except ModuleNotFoundError as error:
        raise BadInput(f"The charts need {error.name}; run {INSTALL}.") from error
    write_atomic(docs / "results.md", page(results))
    readme = docs.parent / "README.md"
    if readme.is_file():
        write_atomic(readme, with_quote(readme.read_text(encoding="utf-8"), results))


if __name__ == "__main__":
    sys.exit(main())
