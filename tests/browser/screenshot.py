"""Takes the picture of the page that the README shows: a real recovery under way, on the built-in model and text.

python -m tests.browser.screenshot docs/page.png
"""

import sys
import tempfile
from pathlib import Path

from engine.record.recipe import Recipe
from tests.browser import driving
from tests.browser.harness import chromium, find_chromium, visit

ENOUGH = 60  # steps of the recovery that its curve has by then
RECIPE = Recipe.model_validate({"heads": {"level": 0.5}, "neurons": {"level": 0.7, "shape": "linear"}})


def main(target: Path) -> None:
    """Prune, recover, wait for some steps of the control, and keep what is on the screen at 1440×900."""
    with tempfile.TemporaryDirectory(prefix="espalier-") as scratch, chromium(find_chromium()) as browser:
        with driving.serve_dashboard(Path(scratch), threads=None) as server:
            with visit(browser, driving.address(server, RECIPE)) as seen:
                board = driving.Dashboard(seen.page)
                board.says(driving.READY)
                board.press("Prune")
                board.says(driving.PRUNED)
                board.press("Recover")
                board.until(lambda: board.steps("the control") >= ENOUGH, "the control to train", seconds=600)
                board.page.mouse.move(0, 0)
                board.page.screenshot(path=target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
