"""The API, from settings to exit: what is opened in which order, and why."""

import errno
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

import structlog
import uvicorn

from schemas.comment import CommentEvent
from schemas.errors import ScoringError, SettingsError, TidegateError
from worker.api.api import Api, refuse_scale
from worker.api.application import application
from worker.api.connection import Connection
from worker.api.desk import Desk
from worker.api.figures import Figures
from worker.api.keys import Keys
from worker.api.language import LanguageDetector
from worker.api.pace import Pace
from worker.api.publisher import Publisher
from worker.api.rooms import Rooms
from worker.bundle import Bundle, open_bundle
from worker.garbage import spare_windows
from worker.heap import share_one_heap
from worker.judge import Judge
from worker.policies import Policies, load_policies
from worker.prepare import Prepare
from worker.pulse import Pulse
from worker.run import heed_signals, open_health, tokeniser
from worker.scoring.load import load_scorer
from worker.scoring.time_limit import each_within
from worker.settings import ApiSettings, Settings
from worker.shared import Shared, Stop
from worker.topics import admin_client, check_topics
from worker.transactions import Transactions

log = structlog.get_logger()

BACKLOG: Final = 2_048  # connections that wait to be accepted
KEEP_ALIVE_S: Final = 75
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
# The pace is first measured on a batch of few comments of this length and on one of more, the best
# of so many times: a kernel is built for each new shape, and others use the same cores.
TIMES: Final = 4
FEW: Final = 2
TRIED: Final = 16
TRIED_TEXT: Final = "This is a comment of some length, neither long nor short. " * 3


def run_api(settings: Settings) -> None:
    """Answer requests until SIGTERM or SIGINT.

    Raises:
        TidegateError: what a person can mend.
    """
    shared = _shared(settings)
    heed_signals(shared.stop)  # first: a signal must find its handler, also as PID 1
    share_one_heap()  # before a thread starts
    bundle = open_bundle(
        settings.bundle, allow_unsigned=settings.allow_unsigned, key=settings.bundle_key
    )
    policies = load_policies(settings.policy, bundle.manifest)
    refuse_scale(settings.api.scale, bundle.manifest)
    keys = Keys(settings.api.keys)
    _look_at_certificate(settings.api)
    listening = _listen(settings.api.host, settings.api.port)
    failures: list[BaseException] = []

    def failed(error: BaseException) -> None:
        if not isinstance(error, TidegateError):
            log.error("a thread failed", exc_info=error)
        failures.append(error)
        shared.stop.set()

    figures = Figures()
    publisher = _publisher(shared, figures, failed) if settings.api.publish != "no" else None
    health = open_health(shared, figures, publisher.troubles if publisher else list)
    rooms, overlap = _rooms(shared, bundle, policies)  # before any thread
    pace = _pace(rooms, settings.limits.pieces * bundle.manifest.max_length)
    shared.pulse.rest()  # this thread has no more to say: what follows is the server's
    desk = Desk(rooms, shared.pulse, settings.api, pace, failed, overlap=overlap)
    figures.waits.set_function(lambda: desk.waits_s)
    api = Api(
        settings.api,
        bundle.manifest,
        policies.version,
        desk,
        rooms,
        LanguageDetector(),
        figures,
        publisher,
        settings.topics.feedback,
    )
    health.serve()
    desk.open()
    if publisher:
        publisher.open()
    spare_windows(settings.api.batch)
    host, port = listening.getsockname()[:2]
    log.info(
        "api started",
        host=host,
        port=port,
        bundle=bundle.manifest.name,
        version=bundle.manifest.version,
        policy=policies.version,
        keys="needed" if keys.are_needed else "none",
        publishes=settings.api.publish,
        health_port=health.port,
    )
    if not keys.are_needed and settings.api.host not in LOOPBACK:
        log.warning("everybody who reaches this port may ask", set="TIDEGATE_API__KEYS")
    _server(settings, api, keys, shared).run(sockets=[listening])
    desk.close()
    if publisher:
        publisher.close()
    for failure in failures:
        if isinstance(failure, TidegateError):
            raise failure
        raise ScoringError("the API failed, and must start anew") from failure
    log.info("api stopped")


def _rooms(shared: Shared, bundle: Bundle, policies: Policies) -> tuple[Rooms, bool]:
    """Load the model; say, too, whether its batches may overlap."""
    settings = shared.settings
    tokenise = tokeniser(bundle, settings)
    scorer = load_scorer(bundle, settings.scoring, tokenise, shared.pulse, lone_first=True)
    score = each_within(settings.scoring.time_limit_s, scorer.begin)
    judge = Judge(bundle.manifest, policies, settings.topics, over_api=True)
    return Rooms(Prepare(settings.limits, tokenise), score, judge), scorer.overlaps


class Server(uvicorn.Server):
    """uvicorn's, told to end by our own signal handlers.

    Its own would send the process the signal once more when it has ended in good order.
    """

    def __init__(self, config: uvicorn.Config, stop: Stop, pulse: Pulse) -> None:
        super().__init__(config)
        self._stop = stop
        self._pulse = pulse

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Say, ten times a second, that the server turns, and whether it is time to end."""
        self._pulse.beat("server")
        return self._stop.is_set() or await super().on_tick(counter)


def _server(settings: Settings, api: Api, keys: Keys, shared: Shared) -> Server:
    ours = settings.api
    config = uvicorn.Config(
        application(api, keys),
        http=Connection,
        ws="none",
        lifespan="off",
        access_log=False,  # an address may hold a key
        log_config=None,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(settings.publish.drain_s),
        ssl_certfile=ours.tls_certificate,
        ssl_keyfile=ours.tls_key,
    )
    return Server(config, shared.stop, shared.pulse)


def _look_at_certificate(ours: ApiSettings) -> None:
    """Load what the server will load when all else is ready; a key with a password is asked none.

    Raises:
        SettingsError: it cannot be used.
    """
    if ours.tls_certificate is None:
        return
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(ours.tls_certificate, ours.tls_key, password="")
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(
            f"TIDEGATE_API__TLS_CERTIFICATE {ours.tls_certificate} and TIDEGATE_API__TLS_KEY "
            f"{ours.tls_key} cannot be used: {error.strerror or error}",
            "expected a certificate with its chain, and its key without a password, both in PEM",
        ) from error


def _listen(host: str, port: int) -> socket.socket:
    """Open the port before anything is loaded, so that one in use is said at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        is_busy = error.errno in {errno.EADDRINUSE, errno.EACCES}
        raise SettingsError(
            f"port {host}:{port} cannot be opened: {error.strerror or error}",
            "set TIDEGATE_API__PORT (--port) to a free one, or to 0"
            if is_busy
            else "set TIDEGATE_API__HOST to an address of this machine",
        ) from error
    # Accepted sockets inherit it; asyncio sets it only where a socket names its protocol. Else the
    # second packet of an answer waits 40 ms for the client to acknowledge the first.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _pace(rooms: Rooms, tokens: int) -> Pace:
    """Measure how long comments take here."""
    comment = CommentEvent(id="-", text=TRIED_TEXT)

    def takes_s(number: int) -> float:
        began = monotonic()
        rooms([comment] * number).result()
        return monotonic() - began

    few_s, many_s = (min(takes_s(each) for _ in range(TIMES)) for each in (FEW, TRIED))
    each_s = (many_s - few_s) / (TRIED - FEW) if many_s > few_s else many_s / TRIED
    a_byte_s = each_s / Pace(tokens, 0.0).weight(comment.text)
    return Pace(tokens, a_byte_s, max(0.0, few_s - FEW * each_s))


def _shared(settings: Settings) -> Shared:
    """Return what the threads share, under a slot that no worker has."""
    ours = settings.model_copy(update={"slot": f"api-{settings.slot}"})
    shared = Shared(ours, Stop(settings.publish.drain_s))
    shared.readiness.clear("group")  # the API joins none
    return shared


def _publisher(
    shared: Shared, figures: Figures, failed: Callable[[BaseException], None]
) -> Publisher:
    """Look at the topics, and end what a predecessor of our name left open."""
    settings, topics = shared.settings, shared.settings.topics
    ours = (topics.verdicts, topics.flags, topics.feedback)
    check_topics(settings, admin_client(settings), ours)
    transactions = Transactions(shared)
    transactions.open()
    for collector in (shared.metrics.aborts, shared.metrics.connected):
        figures.registry.register(collector)
    return Publisher(transactions, shared, figures, failed)
