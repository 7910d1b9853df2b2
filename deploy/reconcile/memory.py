"""What a topic may have forgotten by itself, told from its settings and its age."""

from collections.abc import Mapping, Sequence
from typing import Final

from deploy.reconcile.scope import Memory

# A verdict without scores' names is some hundred bytes; with the longest id, community and
# trace that the contracts allow it stays below this.
LARGEST_OUTCOME: Final = 8_192


def memory_of(
    config: Mapping[str, str] | None, begins: Sequence[int], ends: Sequence[int], age_ms: int
) -> Memory:
    """Say what a topic may have forgotten.

    Args:
        config: its settings; None: they may not be seen.
        begins: the first offset of each partition.
        ends: the end of each partition.
        age_ms: of the oldest comment that is looked at: no outcome of those is older.
    """
    beginning = any(begins)
    if config is None:
        return Memory(superseded=True, stones=True, beginning=beginning)
    if "compact" not in config["cleanup.policy"].split(","):
        return Memory(beginning=beginning)
    lag_ms = int(config["min.compaction.lag.ms"])
    cleanable = age_ms > lag_ms and (beginning or not _is_one_segment(config, ends, age_ms))
    aged = age_ms > lag_ms + int(config["delete.retention.ms"])
    return Memory(superseded=cleanable, stones=cleanable and aged, beginning=beginning)


def _is_one_segment(config: Mapping[str, str], ends: Sequence[int], age_ms: int) -> bool:
    """Say whether each log is still its first segment: the cleaner never touches the last one."""
    rolled_ms = min(int(config["segment.ms"]), int(config["max.compaction.lag.ms"]))
    rolled_ms -= int(config["segment.jitter.ms"])
    largest = max(ends, default=0) * LARGEST_OUTCOME
    return age_ms < rolled_ms and largest < int(config["segment.bytes"])
