"""The application over a stub whose scores are a hash of the text, in this process."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from rig.fake_cluster import FakeCluster
from rig.stub import stub_manifest, stub_score, stub_tokenise
from schemas.bundle import ScoreMap
from schemas.labels import LABELS
from worker.api.api import Api
from worker.api.application import Application, application
from worker.api.desk import Desk
from worker.api.figures import Figures
from worker.api.keys import Keys
from worker.api.language import LanguageDetector
from worker.api.pace import Pace
from worker.api.publisher import Publisher
from worker.api.rooms import Rooms
from worker.begun import when_asked
from worker.judge import Judge
from worker.policies import load_policies
from worker.prepare import Prepare
from worker.pulse import Pulse
from worker.settings import ApiSettings, LimitSettings, Settings, TopicSettings
from worker.shared import Shared, Stop
from worker.transactions import Transactions

HALVES: Final = {label: ScoreMap(x=[0, 1], y=[0, 0.5]) for label in LABELS}


@pytest.fixture(scope="session")
def detect() -> LanguageDetector:
    """Load the language model once."""
    return LanguageDetector()


@pytest.fixture
def make(detect: LanguageDetector) -> Iterator[Callable[..., Application]]:
    """Give a maker of applications with these settings."""
    manifest = stub_manifest().model_copy(update={"score_maps": {"perspective": HALVES}})
    policies = load_policies(None, manifest)
    rooms = Rooms(
        Prepare(LimitSettings(), stub_tokenise),
        when_asked(stub_score),
        Judge(manifest, policies, TopicSettings(), over_api=True),
    )
    with ExitStack() as stack:

        def joined(ours: ApiSettings, cluster: FakeCluster, figures: Figures) -> Publisher:
            shared = Shared(Settings(api=ours), Stop(drain_s=1))
            transactions = Transactions(shared, cluster.make)
            transactions.open()
            publisher = Publisher(transactions, shared, figures, cluster.failures.append)
            publisher.open()
            stack.callback(publisher.close)
            stack.callback(shared.stop.set)  # first: a cluster that is away must not be waited for
            return publisher

        def made(
            keys: Path | None = None,
            cluster: FakeCluster | None = None,
            pace: Pace | None = None,
            **settings: Any,
        ) -> Application:
            joins = {"publish": "before-answer"} if cluster else {}
            ours = ApiSettings(**({"deadline_s": 20} | joins | settings))
            pace = pace or Pace(1_024, 1e-9)
            desk = Desk(rooms, Pulse(), ours, pace, lambda _: None, overlap=True)
            figures = Figures()
            publisher = joined(ours, cluster, figures) if cluster else None
            api = Api(
                ours,
                manifest,
                policies.version,
                desk,
                rooms,
                detect,
                figures,
                publisher,
                "feedback",
            )
            desk.open()
            stack.callback(desk.close)
            app = application(api, Keys(keys))
            app.state.figures = api.figures  # for tests: the application itself shows none
            return app

        yield made
