"""What a text will take: learned from batches of any size, and by none of them misled."""

import pytest

from worker.api.pace import A_COMMENT, Pace

A_BYTE_S = 10e-6
A_BATCH_S = 3e-3


def a_pace() -> Pace:
    """Return the pace of a machine on which a batch takes 3 ms and 10 µs a byte."""
    return Pace(1_024, A_BYTE_S, A_BATCH_S)


def test_batches_of_one_short_comment_say_nothing_of_what_bytes_cost() -> None:
    """Most of what they take is what any batch takes; else the door were closed for no reason."""
    pace = a_pace()

    for _ in range(100):
        pace.learn(50, A_BATCH_S + 50 * A_BYTE_S)

    assert pace.seconds(10_000) == pytest.approx(0.1)


@pytest.mark.parametrize("weight", [50, 10_000])
def test_a_machine_that_is_twice_as_slow_is_found_out_by_batches_of_any_size(weight: int) -> None:
    """Within some thirty of them; others may work on the same cores."""
    pace = a_pace()

    for _ in range(30):
        pace.learn(weight, 2 * (A_BATCH_S + weight * A_BYTE_S))

    assert pace.seconds(10_000) == pytest.approx(0.2, rel=0.01)


def test_one_batch_changes_little() -> None:
    """It may have waited for something else."""
    pace = a_pace()

    pace.learn(1_000, 10 * (A_BATCH_S + 1_000 * A_BYTE_S))

    assert 0.1 < pace.seconds(10_000) < 0.3


def test_a_text_weighs_its_bytes_up_to_what_is_scored_of_it() -> None:
    """And what any comment costs."""
    pace = a_pace()

    assert pace.weight("ab") == A_COMMENT + 2
    assert pace.weight("ä") == A_COMMENT + 2
    assert pace.weight("a" * 1_000_000) == A_COMMENT + 5 * 1_024
