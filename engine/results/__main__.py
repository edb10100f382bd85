"""Makes the page of results from the result files, or with `--run` those files from the experiments first; knows no numbers.

python -m engine.results                                   docs/results.md, its charts and README's quotation, from the files
python -m engine.results --run --form full --model gpt2    measures first; what was measured already is not measured again
"""

import argparse
import sys
from pathlib import Path

from engine.agreeing import agreed, agreeing, comparison
from engine.experimenting import experimenting, gathered, take_over
from engine.progress import Progress
from engine.record.agreement_file import as_json as agreed_as_json
from engine.record.agreement_file import read_agreed
from engine.record.catalogue import EXPERIMENTS, builtin_models, packaged_models
from engine.record.errors import BadInput
from engine.record.experiment_folder import as_file_name, default_folder
from engine.record.folder import write_atomic
from engine.record.result import as_json, read_result
from engine.record.scale import FORMS, durations
from engine.results.agreement import figures
from engine.results.outcome import INSTALL, charts
from engine.results.page import ACROSS, AGREEMENT, BESIDE, page, panels, read_agreements, read_all, with_quote

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str] | None = None) -> int:
    """Do what the arguments say and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m engine.results", description=__doc__.splitlines()[0])
    parser.add_argument("--run", action="store_true", help="carry the experiments out first; resumed where they were")
    parser.add_argument("--form", choices=FORMS, default="short", help=f"for each with a built-in model: {durations()}")
    parser.add_argument("--model", nargs="+", help="default: the built-in ones")
    every = [*EXPERIMENTS.names(), AGREEMENT]
    parser.add_argument("--experiment", nargs="+", default=every, help=f"default: all; {AGREEMENT}: a part of {BESIDE} alone")
    parser.add_argument("--without-oracle", action="store_true", help=f"{AGREEMENT}: leave out what takes many passes")
    parser.add_argument("--replace", action="store_true", help="let a shorter form take the place of a longer one")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where results.md and results/ are (default: docs)")
    given = parser.parse_args(arguments)
    (given.docs / "results").mkdir(parents=True, exist_ok=True)
    alone = given.model or [each.name for each in builtin_models()]
    with_others = (given.model or [*alone, *(each.name for each in packaged_models() if each.ready)])[-1]
    try:
        for name in given.experiment if given.run else ():
            for model in [with_others] if name == ACROSS else alone:
                into = given.docs / "results"
                if name != AGREEMENT and (given.replace or may_take(path_of(name, model, into), given.form)):
                    measure(name, model, given.form, into)
                if name == BESIDE or (name == AGREEMENT and BESIDE not in given.experiment):
                    if given.replace or may_take(path_of(AGREEMENT, model, into), given.form):
                        compare(model, given.form, into, not given.without_oracle)
        make(given.docs)
    except BadInput as error:
        print(f"espalier: {error}", file=sys.stderr)
        return 2
    print(given.docs / "results.md")
    return 0


def path_of(name: str, model: str, into: Path) -> Path:
    """Where the result of an experiment lies; that of one on many models takes the place of the one before."""
    return into / (f"{name}.json" if name == ACROSS else f"{name}-{as_file_name(model)}.json")


def may_take(path: Path, form: str) -> bool:
    """Whether a result of this form may be written there: it does not take the place of one of a longer form. Says so on stderr
    where it may not."""
    if not path.exists():
        return True
    there = read_agreed(path) if path.name.startswith(f"{AGREEMENT}-") else read_result(path)
    if FORMS.index(there.form) <= FORMS.index(form):
        return True
    print(f"{path} stays as it is: it has the {there.form} form, and this would be the {form} one (--replace).", file=sys.stderr)
    return False


def measure(name: str, model: str, form: str, into: Path) -> None:
    """Carry one experiment out on one model, but for what its result file has already, and keep that file."""
    folder, progress = default_folder(name, model, form), Progress(sys.stderr)
    there = read_result(path) if (path := path_of(name, model, into)).exists() else None
    if there is not None and (there.experiment, there.model, there.form) == (name, model, form):
        take_over(there, folder)
    print(f"{name} on {model}, {form} form, in {folder}", file=sys.stderr)
    for event in experimenting(name, model, form, folder):
        progress.show(event)
    progress.close()
    keep(name, model, form, folder, into)


def compare(model: str, form: str, into: Path, oracle: bool) -> None:
    """Have the criteria compared on one model, and keep that as a file beside the results."""
    folder, progress = default_folder(AGREEMENT, model, form), Progress(sys.stderr)
    print(f"{AGREEMENT} on {model}, {form} form, in {folder}", file=sys.stderr)
    asked = comparison(model, form, oracle)
    for event in agreeing(asked, folder):
        progress.show(event)
    progress.close()
    write_atomic(path_of(AGREEMENT, model, into), agreed_as_json(agreed(asked, folder)))


def keep(name: str, model: str, form: str, folder: Path, into: Path) -> Path:
    """Write the result file of an experiment that was carried out in a folder, as far as it was."""
    path = path_of(name, model, into)
    write_atomic(path, as_json(gathered(name, model, form, folder)))
    return path


def make(docs: Path) -> None:
    """Make the page and its charts from the result files, and README's quotation where one stands beside; raises `BadInput` for a
    result file that holds none, and where matplotlib is missing."""
    results, agreements = read_all(docs / "results"), read_agreements(docs / "results")
    try:
        for name in EXPERIMENTS.names():
            charts(panels(each for each in results if each.experiment == name), docs / "results")
        charts(figures(agreements), docs / "results")
    except ModuleNotFoundError as error:
        raise BadInput(f"The charts need {error.name}; run {INSTALL}.") from error
    write_atomic(docs / "results.md", page(results, agreements))
    readme = docs.parent / "README.md"
    if readme.is_file():
        write_atomic(readme, with_quote(readme.read_text(encoding="utf-8"), results))


if __name__ == "__main__":
    sys.exit(main())
