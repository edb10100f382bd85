"""Work in steps: its value where nobody looks at them, and the same steps in other words."""

from collections.abc import Generator

import pytest

from engine.record.steps import ended, retold


def counting(up_to: int) -> Generator[int, None, str]:
    """So many steps, and what they come to."""
    yield from range(up_to)
    return f"{up_to} steps"


@pytest.mark.parametrize("up_to", [0, 3])
def test_the_value_is_what_the_steps_come_to(up_to: int) -> None:
    """Also where there is none."""
    assert ended(counting(up_to)) == f"{up_to} steps"


def test_steps_in_other_words_are_as_many_and_come_to_the_same() -> None:
    """One at a time: the next is not made before it is asked for."""
    made: list[int] = []
    steps = retold(counting(3), lambda step: made.append(step) or -step)
    assert next(steps) == 0 and made == [0]
    assert list(steps) == [-1, -2]
    assert ended(retold(counting(3), str)) == "3 steps"


def test_an_error_comes_through() -> None:
    """In the step in which it was raised."""

    def failing() -> Generator[int, None, None]:
        yield 1
        raise ValueError("the second")

    steps = retold(failing(), str)
    assert next(steps) == "1"
    with pytest.raises(ValueError, match="the second"):
        next(steps)
