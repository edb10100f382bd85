"""One visit from the first look to the smaller model: each test is a step that begins where the one before it ended."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.driving import PRUNED, READY, RECOVERED, Dashboard, address, supervisor
from tests.browser.harness import Server, Visit, visit, wait_until

pytestmark = pytest.mark.browser
HEADS, NEURONS = 36, 3456  # of the built-in model that the page begins with


@pytest.fixture(scope="module")
def seen(browser: Browser, server: Server) -> Iterator[Visit]:
    """A page on a small recipe; closed by the last test."""
    with visit(browser, address(server)) as seen:
        yield seen


@pytest.fixture(scope="module")
def board(seen: Visit) -> Dashboard:
    """The same page, to be driven."""
    return Dashboard(seen.page)


def test_the_page_opens_and_says_in_words_when_it_is_ready(board: Dashboard) -> None:
    """The page is there while the worker still starts; then the model, the text and the scores are."""
    assert board.page.title() == "Espalier"
    board.says(READY)
    assert board.page.locator(".heatmapcell").count() == HEADS
    board.until(lambda: board.perplexities()["baseline"] is not None, "the baseline")
    assert board.perplexities()["baseline"] > 1
    assert board.perplexities()["pruned"] is None
    board.shows("Importance of heads", "scored by activation")
    assert board.button("Recover").is_disabled()
    assert "Prune first" in board.button("Recover").get_attribute("title")


def test_a_slider_shows_what_would_go_at_once_and_what_it_costs_soon(board: Dashboard) -> None:
    """Heads at one half: 18 of 36 heads in the words, 18 dashed frames on the map, then a perplexity."""
    board.move("Heads", 0.5)
    board.until(lambda: board.counts()[0] == HEADS // 2, "the counts of the preview", seconds=20)
    board.until(lambda: "Perplexity would be" in board.draft.inner_text(), "the perplexity of the preview")
    dashed = [path.get_attribute("d") for path in board.page.locator(".esp-importance path.line").all()]
    assert HEADS // 2 in [(path or "").count("M") for path in dashed]
    assert board.closed() == 0


def test_another_criterion_scores_the_map_and_is_measured_anew(board: Dashboard) -> None:
    """Without heads just as many neurons go by any criterion, but others: a perplexity of the one is none of the other."""
    board.move("Heads", 0)
    board.move("Neurons", 0.3)
    board.until(lambda: board.counts()[0] == 0 and "Perplexity would be" in board.draft.inner_text(), "the first preview")
    before = board.draft.inner_text()
    board.choose("Criterion", "random (free)")
    board.until(lambda: board.draft.inner_text() != before, "the first perplexity to go")
    board.shows("Importance of heads", "scored by random")
    board.until(lambda: "Perplexity would be" in board.draft.inner_text(), "a perplexity by the other criterion")
    assert board.draft.inner_text() != before
    board.choose("Criterion", "activation (one pass)")
    board.shows("Importance of heads", "scored by activation")
    board.until(lambda: board.draft.inner_text() == before, "the first perplexity again")
    board.move("Heads", 0.5)
    board.until(lambda: board.counts()[0] == HEADS // 2, "the counts")
    board.until(lambda: "Perplexity would be" in board.draft.inner_text(), "the perplexity of the preview")


def test_the_main_loop_stands_on_one_screen(board: Dashboard) -> None:
    """With every line of words that a preview brings, nothing of it lies below the lower edge of a window of 1440×900."""
    lowest = board.page.evaluate(
        "Math.max(...[...document.querySelectorAll('.esp-main > *')].map(e => e.getBoundingClientRect().bottom))"
    )
    assert lowest <= 900
    assert board.page.evaluate("document.querySelector('.esp-main').getBoundingClientRect().top") >= 0


def test_changing_the_shape_moves_the_blocks_and_moving_a_block_makes_it_custom(board: Dashboard) -> None:
    """Shape and block sliders show the same schedule, whichever of them is moved; Neurons stays their mean."""
    board.choose("Shape", "uniform")
    board.until(lambda: board.value("Front") == board.value("Back") == 0.3, "equal blocks")
    board.choose("Shape", "linear")
    board.until(lambda: board.value("Back") > board.value("Front"), "the blocks to follow, and Steepness to be of use")
    board.move("Steepness", 4)
    board.until(lambda: board.value("Back") > 2 * board.value("Front"), "the back block to lose more")
    assert abs((board.value("Front") + board.value("Middle") + board.value("Back")) / 3 - board.value("Neurons")) < 0.011
    board.move("Back", 0.6)
    board.until(lambda: board.page.get_by_label("Shape", exact=True).input_value() == "custom", "a custom shape")
    mean = (board.value("Front") + board.value("Middle") + 0.6) / 3
    board.until(lambda: abs(board.value("Neurons") - mean) < 0.011, "the level to follow")
    expected = round(mean * NEURONS)
    board.until(lambda: abs(board.counts()[1] - expected) <= 25, "the neurons of the custom shape")


def test_apply_to_says_what_the_shape_is_about(board: Dashboard) -> None:
    """With heads chosen, the block sliders move heads and leave the neurons alike in every layer."""
    board.choose("Shape", "uniform")
    board.press("heads")
    board.move("Heads", 0.5)
    board.choose("Shape", "linear")
    board.until(lambda: board.value("Back") > board.value("Front"), "the blocks to follow the shape")
    blocks = ("Front", "Middle", "Back")  # they follow when the hand rests
    board.until(lambda: abs(sum(map(board.value, blocks)) / 3 - 0.5) < 0.011, "the blocks' mean to be the level of the heads")
    board.press("neurons")
    board.choose("Shape", "uniform")
    board.move("Neurons", 0.3)
    board.until(lambda: board.value("Front") == board.value("Back") == 0.3, "the blocks to show the neurons again")
    assert board.value("Heads") == 0.5  # and what they said of the heads stands


def test_prune_closes_the_heads_and_raises_perplexity(board: Dashboard) -> None:
    """The words, the map and the chart of perplexities agree about what has gone and what it costs."""
    board.move("Heads", 0.5)
    board.move("Neurons", 0.9)
    board.until(lambda: board.counts()[0] == HEADS // 2 and board.counts()[1] > 3000, "the counts")
    board.press("Prune")
    board.says(PRUNED)
    board.until(lambda: board.closed() == board.crosses() == HEADS // 2, "the heads to be closed, in words and in crosses")
    board.until(lambda: board.perplexities()["pruned"] is not None, "the perplexity")
    found = board.perplexities()
    assert found["pruned"] > found["baseline"]
    board.shows("Share removed, by layer", "90 % of neurons")
    board.shows("Text before and after", "pruned: ")
    board.until(lambda: board.counts() == (0, 0), "the line about what would go to be empty")
    board.until(lambda: board.button("Undo").is_enabled(), "Undo")


@pytest.mark.parametrize(("layer", "head"), [(2, 3), (4, 1)])
def test_a_click_on_the_map_and_its_keyboard_twin_do_the_same(board: Dashboard, layer: int, head: int) -> None:
    """A click on a cell opens a closed head or closes an open one; the number fields and their button take it back."""
    card = board.card("Importance of heads")
    for label, number in (("Layer", layer), ("Head", head)):
        board.write(label, str(number), within=card)
    board.until(lambda: f"Layer {layer}, head {head} is" in card.inner_text(), "the twin to name the head")
    before = board.closed()
    was, now = ("closed", "open") if f"head {head} is closed" in card.inner_text() else ("open", "closed")
    card.locator(".heatmapcell").nth(layer * 6 + head).click()
    board.until(lambda: f"Layer {layer}, head {head} is {now}" in card.inner_text(), "the click to be done")
    assert board.closed() == before + (1 if now == "closed" else -1)
    board.says(PRUNED)
    board.press("Close this head" if now == "open" else "Open this head")
    board.until(lambda: f"Layer {layer}, head {head} is {was}" in card.inner_text(), "the twin to be done")
    assert board.closed() == before
    board.says(PRUNED)


def test_recover_pauses_steps_resumes_and_stops(board: Dashboard) -> None:
    """Each answers within a training step, in words; what was trained until Stop is kept and measured."""
    board.write("Recovery steps", "100000")
    board.press("Recover")
    board.says("Recovering the pruned model: step")
    board.press("Pause")
    board.says("Paused: Recovering the pruned model: step")
    at = board.steps()
    board.page.wait_for_timeout(1500)
    assert board.steps() == at
    board.press("Step")
    board.until(lambda: board.steps() == at + 1, "one step")
    board.says("Paused:")
    board.press("Resume")
    board.until(lambda: (board.steps()) > at + 2, "more steps")
    board.press("Stop")
    board.says(RECOVERED)
    board.until(lambda: board.perplexities()["recovered"] is not None, "the perplexity")
    assert board.perplexities()["control"] is None


def test_undo_takes_the_recovery_back_and_then_the_pruning(board: Dashboard) -> None:
    """Each Undo shows the screen of the change before it; Reset goes back to the model as it was loaded."""
    board.press("Undo")
    board.says(PRUNED)
    board.until(lambda: board.perplexities()["recovered"] is None, "the recovery to be gone")
    assert board.closed() == HEADS // 2
    board.press("Reset")
    board.says(READY)
    board.until(lambda: board.closed() == board.crosses() == 0, "every head to be open")
    board.until(lambda: board.perplexities()["pruned"] is None, "the pruned perplexity to be gone")
    board.press("Prune")
    board.says(PRUNED)
    board.press("Undo")
    board.says(READY)
    board.until(lambda: board.closed() == 0, "every head to be open")


def test_a_recovery_is_shown_beside_its_control(board: Dashboard) -> None:
    """Both arms have a curve in the chart of losses and a perplexity."""
    board.press("Prune")
    board.says(PRUNED)
    board.write("Recovery steps", "6")
    board.press("Recover")
    board.says(RECOVERED)
    board.until(lambda: board.perplexities().get("control") is not None, "the control")
    found = board.perplexities()
    assert found["recovered"] < found["pruned"]
    for arm in ("Recovered", "Control"):
        board.shows("Loss in recovery", rf"{arm}, step 6 of 6: training \d+\.\d+, validation \d+\.\d+")


def test_the_smaller_model_has_a_size_and_a_measured_speed(board: Dashboard) -> None:
    """Its card gives parameters, bytes and the time of a pass beside the dense model's, at two batch sizes or more."""
    board.press("Make the smaller model")
    board.says("The smaller model is made")
    board.shows("The smaller model", r"Parameters 1,983,744 [\d,]+ 0\.\d\d Weights [\d.]+ MB [\d.]+ MB 0\.\d\d")
    said = board.said("The smaller model")
    assert len(re.findall(r"\d+ × \d+ tokens [\d.]+ ms [\d.]+ ms \d\.\d\d", said)) >= 2
    assert board.run in said


def test_the_whole_visit_asked_no_other_machine_and_had_no_error(seen: Visit, server: Server) -> None:
    """Not one request left this machine, the console has no error, the server dropped no message."""
    assert len(seen.requests) > 20
    assert seen.strangers() == []
    assert seen.complaints == []
    assert "rate exceeded" not in server.log.read_text()


def test_closing_the_page_ends_its_kernel_and_its_idle_worker(board: Dashboard, server: Server) -> None:
    """The kernel goes at once; the worker, which nobody looks at and which has nothing to do, within a minute."""
    kernels, worker = len(server.kernels()), supervisor(server.home / "runs" / board.run)
    assert worker.is_running()
    board.page.close(run_before_unload=True)
    wait_until(lambda: len(server.kernels()) == kernels - 1, 20, "the kernel to end")
    wait_until(lambda: not worker.is_running(), 60, "the worker to end")
