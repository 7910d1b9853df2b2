"""The shipped bundle on its engine: what only the real one can show."""

from threading import Thread

from worker.bundle import open_bundle
from worker.pulse import Pulse
from worker.run import tokeniser
from worker.scoring.load import load_scorer
from worker.settings import Settings


def test_the_engine_beats_for_the_thread_that_asked_it() -> None:
    """Its own threads come and go; a beat in their name would look like one that hangs."""
    settings, pulse = Settings(), Pulse()
    bundle = open_bundle(settings.bundle, allow_unsigned=False)
    tokenise = tokeniser(bundle, settings)
    scorer = load_scorer(bundle, settings.scoring, tokenise, pulse)
    pieces = [
        piece
        for found in tokenise(["one", "two words", "three words here"] * 50)
        for piece in found.ids
    ]

    device = Thread(target=scorer.probabilities, args=(pieces,), name="device")
    device.start()
    device.join()

    assert pulse.stuck(after_s=-1) == ["MainThread", "device"]
