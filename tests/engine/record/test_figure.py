"""Which points of a figure are a front."""

from engine.record.figure import front


def test_a_front_is_what_no_other_beats() -> None:
    """Against every point by a plain loop; of two alike the first, and nothing that is as good and dearer."""
    points = [(3.0, 10.0), (1.0, 30.0), (2.0, 20.0), (2.0, 25.0), (3.0, 10.0), (4.0, 10.0), (2.5, 22.0)]
    best = {one for one in points if not any(o[0] <= one[0] and o[1] <= one[1] and o != one for o in points)}
    assert front(points) == (1, 2, 0) and {points[number] for number in front(points)} == best
    assert front([]) == ()
