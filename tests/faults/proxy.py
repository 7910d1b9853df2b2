"""A proxy in front of a broker that knows Kafka's frames, and does to them what a network does.

Every frame is a length of four bytes and so much more. A request begins with its api key, the
key's version and a correlation id; its response begins with the same correlation id. So a fault
can meet one kind of request, or the response to it, and leave the others alone.

The broker must advertise the proxy's port: clients ask it where it is, and would else go around.
The proxy runs in a thread of its own; its methods are called from others.
"""

import asyncio
import random
import socket
import struct
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from threading import Event, Thread
from typing import Any, Final, Self

HOST: Final = "127.0.0.1"
PATIENCE_S: Final = 30.0
NO_LINGER: Final = struct.pack("ii", 1, 0)  # closing sends RST, and drops what is queued
ROOM: Final = 64  # frames on their way in one direction; the reader waits when it is full


class ApiKey(IntEnum):
    """The requests that faults are about. Source: https://kafka.apache.org/protocol#protocol_api_keys."""

    PRODUCE = 0
    FETCH = 1
    LIST_OFFSETS = 2
    OFFSET_COMMIT = 8
    OFFSET_FETCH = 9
    JOIN_GROUP = 11
    HEARTBEAT = 12
    SYNC_GROUP = 14
    INIT_PRODUCER_ID = 22
    ADD_PARTITIONS_TO_TXN = 24
    ADD_OFFSETS_TO_TXN = 25
    END_TXN = 26
    WRITE_TXN_MARKERS = 27
    TXN_OFFSET_COMMIT = 28
    CONSUMER_GROUP_HEARTBEAT = 68


MEMBERSHIP: Final = frozenset(
    {
        ApiKey.JOIN_GROUP,
        ApiKey.SYNC_GROUP,
        ApiKey.HEARTBEAT,
        ApiKey.CONSUMER_GROUP_HEARTBEAT,
    }
)


@dataclass(frozen=True)
class Weather:
    """How the wire is. In seconds, and bytes a second for all connections together.

    Frames of one direction keep their order, whatever the jitter.
    """

    latency_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float | None = None
    slice_bytes: int | None = None  # a frame is written in pieces of this size


FAIR: Final = Weather()


@dataclass
class Held:
    """A request that the proxy caught, and that has not reached the broker yet.

    Its connection is cut when it is caught, as by a network that delivers late: the client
    connects anew and asks once more.
    """

    key: ApiKey
    upstream: int
    frame: bytes = b""
    caught: Event = field(default_factory=Event)

    def wait(self) -> None:
        """Wait until a request was caught."""
        assert self.caught.wait(PATIENCE_S), f"no {self.key.name} came by"

    def deliver(self) -> bytes:
        """Deliver it, over a connection of its own, and return what the broker answers."""
        self.wait()
        with socket.create_connection((HOST, self.upstream), PATIENCE_S) as broker:
            broker.sendall(self.frame)
            length = _read(broker, 4)
            return length + _read(broker, int.from_bytes(length))


@dataclass
class Kept:
    """A response that the proxy caught, while those behind it on its connection pass."""

    key: ApiKey
    deliver: Callable[[], None]
    caught: Event = field(default_factory=Event)

    def wait(self) -> None:
        """Wait until a response was caught."""
        assert self.caught.wait(PATIENCE_S), f"no answer to {self.key.name} came by"


@dataclass
class _Drop:
    """Responses that are to be dropped."""

    key: ApiKey
    left: int


@dataclass(eq=False)
class _Connection:
    """A client's connection, and the broker's at the other end of the proxy."""

    client: asyncio.StreamWriter
    broker: asyncio.StreamWriter
    keys: dict[int, int] = field(default_factory=dict)  # correlation id -> api key
    dead: bool = False  # half open: both ends believe in it, and nothing passes any more


class Proxy:
    """Listens on `port`, and passes frames on to a broker.

    Args:
        upstream: the broker's own port, which it does not advertise.
        seed: of the jitter.

    Attributes:
        counted: what was done to connections and frames, by fault.
        seen: requests that came by, by api key.
    """

    def __init__(self, upstream: int, seed: int = 0) -> None:
        self.upstream = upstream
        self.counted: Counter[str] = Counter()
        self.seen: Counter[int] = Counter()
        self._random = random.Random(seed)  # noqa: S311 - the jitter is no secret
        self._weather = FAIR
        self._swallowed: frozenset[int] | None = frozenset()  # api keys; None: everything
        self._holds: list[Held] = []
        self._keeps: list[Kept] = []
        self._drops: list[_Drop] = []
        self._connections: set[_Connection] = set()
        self._ending = False
        self._free_at = 0.0  # the loop's time when the wire has taken all it was given
        self._socket = socket.create_server((HOST, 0))
        self.port = int(self._socket.getsockname()[1])
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name=f"proxy-{self.port}")

    def __enter__(self) -> Self:
        """Start to listen."""
        self._thread.start()
        self._in_loop(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        """Drop every connection, and end the thread."""
        self._in_loop(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    @property
    def faults(self) -> int:
        """How often it has done anything but pass frames on."""
        return self.counted.total()

    # -- what befalls every connection at once

    def cut(self) -> int:
        """Close every connection in good order, and return how many there were."""
        return self._close_all("cut", _close)

    def reset(self) -> int:
        """Reset every connection, and return how many there were."""
        return self._close_all("reset", _reset)

    # -- what lasts for a while

    @contextmanager
    def half_open(self) -> Iterator[None]:
        """Let connections stand, and swallow what is sent over them.

        One that has swallowed anything stays dead after the block: no network gives back what
        it has lost, and only a time-out at one of its ends ends it.
        """
        with self._swallowing(None):
            yield

    @contextmanager
    def without(self, keys: Collection[ApiKey]) -> Iterator[None]:
        """Swallow requests of some kinds, and pass on all others."""
        with self._swallowing(frozenset(keys)):
            yield

    @contextmanager
    def weather(self, weather: Weather) -> Iterator[None]:
        """Make the wire slow."""
        self._weather = weather
        try:
            yield
        finally:
            self._weather = FAIR

    # -- what befalls one request

    def hold(self, key: ApiKey) -> Held:
        """Catch the next request of a kind, to be delivered when the test says so."""
        held = Held(key, self.upstream)
        self._holds.append(held)
        return held

    def keep_response(self, key: ApiKey) -> Kept:
        """Catch the next response of a kind, to be delivered when the test says so."""
        kept = Kept(key, _nothing)
        self._keeps.append(kept)
        return kept

    def drop_response(self, key: ApiKey, times: int = 1) -> None:
        """Let the broker do what the next requests of a kind ask, and the client not hear of it.

        The connection breaks with each: the client learns that no answer will come.
        """
        self._drops.append(_Drop(key, times))

    def heal(self) -> None:
        """Forget what was to be caught or dropped and has not come by."""
        self._holds.clear()
        self._keeps.clear()
        self._drops.clear()

    # -- inside the loop

    def _in_loop(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    @contextmanager
    def _swallowing(self, keys: frozenset[int] | None) -> Iterator[None]:
        self._swallowed = keys
        try:
            yield
        finally:
            self._swallowed = frozenset()

    def _close_all(self, fault: str, close: Callable[[asyncio.StreamWriter], None]) -> int:
        async def act() -> int:
            living = [c for c in self._connections if not c.dead]
            for connection in living:
                close(connection.client)
                close(connection.broker)
            self.counted[fault] += len(living)
            return len(living)

        return int(self._in_loop(act()))

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, sock=self._socket)

    async def _end(self) -> None:
        self._server.close()
        self._ending = True
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        """Pass frames of one connection on in both directions, until either end closes."""
        try:
            answers, broker = await asyncio.open_connection(HOST, self.upstream)
        except OSError:  # the broker is away, and so are we
            _reset(client)
            return
        connection = _Connection(client, broker)
        self._connections.add(connection)
        ways = [
            asyncio.create_task(self._way(reader, broker, connection, self._passes_request)),
            asyncio.create_task(self._way(answers, client, connection, self._passes_response)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._connections.discard(connection)
            close = _reset if self._ending else _close  # at the end nobody waits for a flush
            close(client)
            close(broker)

    async def _way(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        connection: _Connection,
        passes: Callable[[_Connection, bytes], bool],
    ) -> None:
        """Read and write apart, so that latency holds up no frame behind the one that waits."""
        wire: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(ROOM)
        writing = asyncio.create_task(self._write(wire, writer))
        reading = asyncio.create_task(self._read(reader, wire, connection, passes))
        try:
            await asyncio.wait({writing, reading}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (writing, reading):
                task.cancel()
            await asyncio.gather(writing, reading, return_exceptions=True)

    async def _read(
        self,
        reader: asyncio.StreamReader,
        wire: asyncio.Queue[tuple[float, bytes]],
        connection: _Connection,
        passes: Callable[[_Connection, bytes], bool],
    ) -> None:
        arrives = 0.0
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                length = await reader.readexactly(4)
                frame = length + await reader.readexactly(int.from_bytes(length))
                if passes(connection, frame):
                    arrives = max(arrives, self._loop.time() + self._delay_s())
                    await wire.put((arrives, frame))

    def _delay_s(self) -> float:
        weather = self._weather
        return max(0.0, weather.latency_s + self._random.uniform(-1, 1) * weather.jitter_s)

    async def _write(
        self, wire: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while True:
                arrives, frame = await wire.get()
                await self._until(arrives)
                size = self._weather.slice_bytes or len(frame)
                for start in range(0, len(frame), size):
                    piece = frame[start : start + size]
                    await self._wire_takes(len(piece))
                    writer.write(piece)
                    await writer.drain()

    async def _wire_takes(self, count: int) -> None:
        if self._weather.bytes_per_s is not None:
            begins = max(self._free_at, self._loop.time())
            self._free_at = begins + count / self._weather.bytes_per_s
            await self._until(self._free_at)

    async def _until(self, when: float) -> None:
        if (wait_s := when - self._loop.time()) > 0:
            self.counted["delayed"] += 1
            await asyncio.sleep(wait_s)

    # -- what becomes of a frame

    def _passes_request(self, connection: _Connection, frame: bytes) -> bool:
        key, correlation = int.from_bytes(frame[4:6]), int.from_bytes(frame[8:12])
        self.seen[key] += 1
        if self._is_swallowed(connection, key):
            return False
        held = next((h for h in self._holds if h.key == key), None)
        if held is not None:
            self._holds.remove(held)
            self.counted["held"] += 1
            held.frame = frame
            _reset(connection.client)
            held.caught.set()
            return False
        connection.keys[correlation] = key
        return True

    def _passes_response(self, connection: _Connection, frame: bytes) -> bool:
        key = connection.keys.pop(int.from_bytes(frame[4:8]), None)
        if self._swallowed is None or connection.dead:
            return not self._is_swallowed(connection, -1)
        kept = next((k for k in self._keeps if k.key == key), None)
        if kept is not None:
            self._keeps.remove(kept)
            kept.deliver = partial(self._deliver_late, connection.client, frame)
            kept.caught.set()
            self.counted["answer kept back"] += 1
            return False
        drop = next((d for d in self._drops if d.key == key), None)
        if drop is None:
            return True
        drop.left -= 1
        if drop.left == 0:
            self._drops.remove(drop)
        self.counted["response dropped"] += 1
        _reset(connection.client)
        return False

    def _deliver_late(self, client: asyncio.StreamWriter, frame: bytes) -> None:
        async def deliver() -> None:
            if not client.is_closing():  # else the client has given the answer up
                client.write(frame)
                await client.drain()

        self._in_loop(deliver())

    def _is_swallowed(self, connection: _Connection, key: int) -> bool:
        if self._swallowed is None and not connection.dead:
            connection.dead = True
            self.counted["half open"] += 1
        elif self._swallowed and key in self._swallowed:
            self.counted["swallowed"] += 1
            return True
        return connection.dead


def end_txn_error(response: bytes) -> int:
    """Return the error code in the response to an EndTxn of version 0 to 2, as librdkafka's.

    Behind the length: correlation id, throttle time (four bytes each), error code (two).
    """
    return int.from_bytes(response[12:14], signed=True)


def offset_commit_error(response: bytes) -> int:
    """Return the error code in the response to a TxnOffsetCommit of version 3 for one partition.

    From the end: three empty sets of tagged fields (one byte each), before them the code (two).
    """
    return int.from_bytes(response[-5:-3], signed=True)


def _nothing() -> None:
    """There is no response yet."""


def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):  # it may be closed already
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    writer.transport.abort()


def _read(broker: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        more = broker.recv(count - len(found))
        if not more:
            raise ConnectionError(f"the broker closed after {len(found)} of {count} bytes")
        found += more
    return found
