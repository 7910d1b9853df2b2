"""The shipped bundle on its engine: what only the real one can show."""

from contextlib import suppress
from pathlib import Path
from threading import Thread

import numpy as np

import deploy.demo
from schemas.verdict import BORDERLINE
from schemas.wire import WireError, decode_comment
from worker.bundle import open_bundle
from worker.pulse import Pulse
from worker.run import tokeniser
from worker.scoring.load import load_scorer
from worker.scoring.scorer import Scorer
from worker.settings import Settings
from worker.tokenise import Tokeniser


def shipped(pulse: Pulse) -> tuple[Scorer, Tokeniser]:
    """Load the shipped bundle, as a worker does."""
    settings = Settings()
    bundle = open_bundle(settings.bundle, allow_unsigned=False)
    tokenise = tokeniser(bundle, settings)
    return load_scorer(bundle, settings.scoring, tokenise, pulse), tokenise


def demo_texts(count: int) -> list[str]:
    """Return texts of the demo's comments; some of those are broken on purpose."""
    lines = (Path(deploy.demo.__file__).parent / "comments.jsonl").read_bytes().splitlines()
    texts = []
    for line in lines[:count]:
        with suppress(WireError):
            texts.append(decode_comment(line).text)
    return texts


def test_the_engine_beats_for_the_thread_that_asked_it() -> None:
    """Its own threads come and go; a beat in their name would look like one that hangs."""
    pulse = Pulse()
    scorer, tokenise = shipped(pulse)
    pieces = [
        piece
        for found in tokenise(["one", "two words", "three words here"] * 50)
        for piece in found.ids
    ]

    device = Thread(target=scorer.probabilities, args=(pieces,), name="device")
    device.start()
    device.join()

    assert pulse.stuck(after_s=-1) == ["MainThread", "device"]


def test_a_comment_scores_alone_as_in_any_company() -> None:
    """Alone, sorted under the budget with others, and seven at a time."""
    scorer, tokenise = shipped(Pulse())
    pieces = [piece for found in tokenise(demo_texts(120)) for piece in found.ids]

    alone = np.concatenate([scorer.probabilities([piece]) for piece in pieces])
    together = scorer.probabilities(pieces)
    in_sevens = np.concatenate(
        [scorer.probabilities(pieces[at : at + 7]) for at in range(0, len(pieces), 7)]
    )

    assert alone.std(axis=0).max() > 0.1, "a model that says the same of all proves nothing"
    assert np.abs(together - alone).max() < BORDERLINE
    assert np.abs(in_sevens - alone).max() < BORDERLINE
