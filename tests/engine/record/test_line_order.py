"""Tests of engine/record/line_order.py against every loss of a line and every order in which writers can meet."""

import itertools

import pytest

from engine.record.line_order import Copy, Missing, Places


def line(number: int | None, writer: str = "") -> tuple[bytes, int | None]:
    """What a writer makes of a number."""
    return f"{number} {writer}".encode(), number


def wrong(lines) -> list[tuple[int, Missing | Copy]]:
    """What is wrong with lines, and where."""
    places = Places()
    return [(place, found) for place, each in enumerate(lines) if (found := places.see(*each)) is not None]


WHOLE = [line(number) for number in range(8)]


@pytest.mark.parametrize("first", range(8))
@pytest.mark.parametrize("count", range(1, 8))
def test_missing_lines_are_told_once_whichever_they_are(first, count):
    """At the line after them, by the places that they had; at the end nothing shows them."""
    left = WHOLE[:first] + WHOLE[first + count :]
    seen = first + count < len(WHOLE)
    assert wrong(left) == ([(first, Missing(first, first + count - 1))] if seen else [])


def test_lines_are_missing_once_more_further_on():
    """Each gap is told; what a writer adds by then, by the lines that it counts, is in its place."""
    assert wrong([*WHOLE[:2], *WHOLE[3:5], WHOLE[6], line(5, "new")]) == [(2, Missing(2, 2)), (4, Missing(5, 5))]


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(range(8), 2)))
def test_two_lines_in_each_others_places_are_told(one, other):
    """The later one stands before its number."""
    lines = list(WHOLE)
    lines[one], lines[other] = lines[other], lines[one]
    assert wrong(lines)[0] == (one, Missing(one, other - 1))


@pytest.mark.parametrize(("of", "at"), list(itertools.product(range(8), range(9))))
def test_a_copy_is_told_wherever_it_stands(of, at):
    """Also the last line once more; one that stands before its line is what makes that look like the copy."""
    found = wrong([*WHOLE[:at], WHOLE[of], *WHOLE[at:]])
    assert found[0] == ((at, Copy(of)) if at > of else (at, Missing(at, of - 1)) if at < of else (of + 1, Copy(of)))


@pytest.mark.parametrize(("of", "at"), list(itertools.permutations(range(8), 2)))
def test_a_copy_in_the_place_of_another_line_is_told(of, at):
    """Though no line after it stands elsewhere."""
    lines = list(WHOLE)
    lines[at] = WHOLE[of]
    assert wrong(lines)[0] == ((at, Copy(of)) if at > of else (at, Missing(at, of - 1)))


def test_whatever_writers_come_between_each_other_nothing_is_wrong():
    """Three writers that add four lines: every order in which they count the lines and write their own."""
    for order in set(itertools.permutations("aaaabbcc")):
        lines, counted = [], {}
        for writer in order:
            if writer in counted:
                lines.append(line(counted.pop(writer), f"{writer}{len(lines)}"))
            else:
                counted[writer] = len(lines)
        assert wrong(lines) == [], order


def test_lines_whose_numbers_cannot_be_relied_on_take_their_places():
    """A torn one, a damaged one, one of an older version."""
    lines = list(WHOLE)
    lines[2] = lines[5] = (b"torn", None)
    assert wrong(lines) == [] and wrong([*lines[:4], *lines[5:]]) == [(5, Missing(5, 5))]
