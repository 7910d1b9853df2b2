"""One worker, from settings to exit: what is opened in which order, and why."""

import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import FrameType
from typing import Any, Final

import structlog
from confluent_kafka import Producer

from schemas.bundle import TOKENIZER, verify
from worker.accounts import Accounts
from worker.at_least_once import AtLeastOnce
from worker.breaker import Breaker
from worker.bundle import Bundle, open_bundle
from worker.garbage import spare_windows
from worker.health import Exposed, Health, Trouble
from worker.heap import share_one_heap
from worker.intake import Intake
from worker.judge import Judge
from worker.pipeline import Rooms, run
from worker.policies import load_policies
from worker.prepare import Prepare
from worker.publish import ExactlyOnce, Publish
from worker.pulse import Pulse
from worker.scoring.careful import Score, careful
from worker.scoring.load import load_for_alone, load_scorer
from worker.scoring.time_limit import within
from worker.settings import Settings
from worker.shared import Shared, Stop
from worker.tokenise import BundleTokeniser, Tokeniser
from worker.topics import admin_client, check_topics
from worker.transactions import Transactions

log = structlog.get_logger()

REPEATED_S: Final = 1.0  # a signal within this time is the first one once more


def run_worker(settings: Settings) -> None:
    """Judge comments until SIGTERM or SIGINT.

    Raises:
        TidegateError: what a person can mend.
        Exception: what no one foresaw; the process must end, the group takes over.
    """
    settings.a_revocation_may_take_no_longer_than_a_thread_may_stand()
    shared = Shared(settings, Stop(settings.publish.drain_s))
    heed_signals(shared.stop)  # first: a signal must find its handler, also as PID 1
    share_one_heap()  # before a thread starts
    bundle = open_bundle(
        settings.bundle, allow_unsigned=settings.allow_unsigned, key=settings.bundle_key
    )
    policies = load_policies(settings.policy, bundle.manifest)
    health = open_health(shared, shared.metrics, shared.readiness.troubles)
    check_topics(settings, admin_client(settings))
    judge = Judge(bundle.manifest, policies, settings.topics)
    publish = publisher(shared, judge)  # ends what a predecessor left open, before the model loads
    tokenise = tokeniser(bundle, settings)
    with _scorer(bundle, settings, tokenise, shared.pulse) as score:  # before any thread
        health.serve()
        log.info(
            "worker started",
            bundle=bundle.manifest.name,
            version=bundle.manifest.version,
            policy=policies.version,
            delivery=settings.publish.delivery,
            group=settings.kafka.group_id,
            slot=settings.slot,
            health_port=health.port,
        )
        prepare = Prepare(settings.limits, tokenise)
        rooms = Rooms(Intake(shared), prepare, score, judge, publish)
        spare_windows(settings.intake.max_messages)
        run(rooms, shared)
    log.info("worker stopped")


def _scorer(
    bundle: Bundle, settings: Settings, tokenise: Tokeniser, pulse: Pulse
) -> AbstractContextManager[Score]:
    """Load what scores windows, each within the time limit."""
    scoring = settings.scoring
    usual = load_scorer(bundle, scoring, tokenise, pulse)

    def load_alone() -> Score:
        alone = load_for_alone(usual, bundle, scoring, tokenise, pulse)
        return within(scoring.time_limit_s, alone)

    return careful(scoring.crash_record, within(scoring.time_limit_s, usual), load_alone)


def tokeniser(bundle: Bundle, settings: Settings) -> BundleTokeniser:
    """Load the bundle's tokeniser, after a look at its hash: a regex in it is code, too."""
    if bundle.hashed:
        verify(bundle.folder, bundle.manifest, ())
    limits = settings.limits
    return BundleTokeniser(
        bundle.folder / TOKENIZER, bundle.manifest.max_length, limits.overlap, limits.pieces
    )


def publisher(
    shared: Shared, judge: Judge, make: Callable[[dict[str, Any]], Producer] = Producer
) -> Publish:
    """Open what publishes windows, and end what a predecessor of our name, or a broker, left open.

    Args:
        shared: says where, and how often a window may be published.
        judge: makes dead letters of what the broker refuses.
        make: makes the producer of its properties.

    Raises:
        ClusterError: the cluster refuses us.
    """
    accounts = Accounts(shared.metrics, Breaker(shared.settings.breaker))
    if shared.settings.publish.delivery == "at-least-once":
        return AtLeastOnce(shared, judge, accounts)
    transactions = Transactions(shared, make)
    transactions.open()
    publish = ExactlyOnce(shared, transactions, judge, accounts)
    publish.end_what_was_left_open()
    return publish


def open_health(shared: Shared, exposed: Exposed, troubles: Trouble) -> Health:
    """Open the port for probes and Prometheus: nobody is answered there yet.

    Args:
        shared: its pulse says whether the process lives.
        exposed: what Prometheus reads.
        troubles: for which a process that lives is not ready.

    Raises:
        SettingsError: the port is in use.
    """
    settings = shared.settings.health

    def not_live() -> list[str]:
        stuck = shared.pulse.stuck(settings.stuck_after_s)
        return [f"thread {name} has not turned for {settings.stuck_after_s:g} s" for name in stuck]

    def not_ready() -> list[str]:
        stopping = ["it was told to stop"] if shared.stop.is_set() else []
        return not_live() + stopping + troubles()

    return Health(settings.host, settings.port, exposed, not_live, not_ready)


def heed_signals(stop: Stop) -> None:
    """Stop in good order at the first signal, at once at one that comes later.

    Supervisors often send the first one twice, to the process and to its group.
    """

    def heed(number: int, _: FrameType | None) -> None:
        if stop.set_for_s() > REPEATED_S:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            os._exit(128 + number)  # PID 1 is spared by its own signals
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, heed)
