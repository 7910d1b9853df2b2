"""What befalls workers and brokers in a soak: one fault after another, in an order of chance."""

import signal
from collections.abc import Callable
from random import Random
from threading import Event
from typing import Final

from faults.cluster import Cluster, Node
from faults.crew import Crew
from faults.proxy import ApiKey, Held, Proxy, Weather
from rig.stream import eventually

PATIENCE_S: Final = 30.0
ANSWERED: Final = (ApiKey.END_TXN, ApiKey.TXN_OFFSET_COMMIT, ApiKey.ADD_PARTITIONS_TO_TXN)
LATE: Final = (ApiKey.END_TXN, ApiKey.TXN_OFFSET_COMMIT)


class Deeds:
    """Faults, each by its name; a deed says how often it demonstrably bit.

    They come in rounds that hold each deed as often as its share, shuffled: so each has befallen
    a worker early in its life, and what it costs once isn't taken for what it costs every hour.
    """

    def __init__(self, cluster: Cluster, crew: Crew, random: Random) -> None:
        self._cluster = cluster
        self._crew = crew
        self._random = random
        # Shares of a round: a broker that restarts is away for long, others hardly.
        self._shares: dict[Callable[[], int], int] = {
            self.kill: 4,
            self.terminate: 2,
            self.freeze: 3,
            self.cut: 3,
            self.reset: 3,
            self.half_open: 2,
            self.slow: 2,
            self.drop_answer: 4,
            self.deliver_late: 4,
            self.restart_broker: 1,
        }
        self._round: list[Callable[[], int]] = []

    def one(self) -> tuple[str, int]:
        """Do one, and return its name and how often it bit."""
        if not self._round:
            self._round = [deed for deed, share in self._shares.items() for _ in range(share)]
            self._random.shuffle(self._round)
        deed = self._round.pop()
        return deed.__name__.replace("_", " "), deed()

    # -- workers

    def kill(self) -> int:
        """Kill a worker; a successor takes its slot."""
        return self._crew.replace(self._crew.any_mortal(self._random), signal.SIGKILL)

    def terminate(self) -> int:
        """End a worker as a deploy does."""
        return self._crew.replace(self._crew.any_mortal(self._random), signal.SIGTERM)

    def freeze(self) -> int:
        """Stop a worker for a while that its session may not outlast."""
        worker = self._crew.workers[self._random.choice(sorted(self._crew.workers))]
        worker.send(signal.SIGSTOP)
        worker.wait_until_stopped()
        if worker.process.poll() is not None:
            return 0
        self._wait(1, 8)
        worker.send(signal.SIGCONT)
        return 1

    # -- the wire

    def cut(self) -> int:
        """Close all connections to one broker."""
        return min(1, self._proxy().cut())

    def reset(self) -> int:
        """Reset all connections to one broker."""
        return min(1, self._proxy().reset())

    def half_open(self) -> int:
        """Let the connections to one broker stand, and nothing pass."""
        proxy = self._proxy()
        before = proxy.counted["half open"]
        with proxy.half_open():
            self._wait(0.5, 3)
        return min(1, proxy.counted["half open"] - before)

    def slow(self) -> int:
        """Make the wire to one broker slow."""
        proxy = self._proxy()
        before = proxy.counted["delayed"]
        with proxy.weather(Weather(0.2, 0.15, bytes_per_s=1e6 / 8, slice_bytes=1_000)):
            self._wait(2, 6)
        return min(1, proxy.counted["delayed"] - before)

    def drop_answer(self) -> int:
        """Have a transaction's request done, and its answer lost."""
        key = self._random.choice(ANSWERED)
        before = self._counted("response dropped")
        for proxy in self._cluster.proxies:
            proxy.drop_response(key)
        self._wait_until(lambda: self._counted("response dropped") > before)
        self._heal()
        return self._counted("response dropped") - before

    def deliver_late(self) -> int:
        """Have a transaction's request arrive once it has been sent again (KAFKA-17754)."""
        key = self._random.choice(LATE)
        held = [proxy.hold(key) for proxy in self._cluster.proxies]
        self._wait_until(lambda: any(each.caught.is_set() for each in held))
        self._heal()
        self._wait(0.05, 2)
        caught = [each for each in held if each.caught.is_set()]
        return sum(map(_delivered, caught))

    # -- brokers

    def restart_broker(self) -> int:
        """Stop a broker, in good order or not, and start it again."""
        node = self._random.choice(self._cluster.nodes)
        self._random.choice([Node.stop, Node.kill])(node)
        self._wait(0, 5)
        node.start()
        node.wait_until_it_answers()
        return 1

    # --

    def _proxy(self) -> Proxy:
        return self._random.choice(self._cluster.proxies)

    def _counted(self, fault: str) -> int:
        return sum(proxy.counted[fault] for proxy in self._cluster.proxies)

    def _heal(self) -> None:
        for proxy in self._cluster.proxies:
            proxy.heal()

    def _wait(self, least_s: float, most_s: float) -> None:
        Event().wait(self._random.uniform(least_s, most_s))

    def _wait_until(self, what: Callable[[], bool]) -> None:
        """Wait for a request to come by; that none came is no error, but no fault either."""
        try:
            eventually(what, within_s=PATIENCE_S)
        except AssertionError:
            return


def _delivered(held: Held) -> int:
    try:
        held.deliver()
    except OSError:  # the broker is away
        return 0
    return 1
