"""How workers of the matrix may be told to join their group."""

from collections.abc import Mapping
from typing import Final

PROTOCOLS: Final[Mapping[str, dict[str, str]]] = {
    "consumer": {"TIDEGATE_KAFKA__GROUP_PROTOCOL": "consumer"},
    "classic": {
        "TIDEGATE_KAFKA__GROUP_PROTOCOL": "classic",
        # Each rebalance waits for every member's heartbeat, 3 s by default, and there are two.
        "TIDEGATE_KAFKA__CLIENT__HEARTBEAT_INTERVAL_MS": "500",
        "TIDEGATE_KAFKA__CLIENT__SESSION_TIMEOUT_MS": "6000",
    },
    "auto": {"TIDEGATE_KAFKA__GROUP_PROTOCOL": "auto"},
}
