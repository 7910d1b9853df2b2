"""Ten thousand bodies of attackers: each an answer or a refusal, none an error of ours."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final

from rig.asked import asked
from rig.hostile import hostile
from worker.api.application import ANALYZE, SUGGEST, Application

SEED: Final = 20_261_231
BYTES: Final = 3_000
BODIES: Final = 7_000
REFUSED: Final = {400, 413}

WHOLE: Final[dict[str, Any]] = {
    "comment": {"text": "You are awful", "type": "PLAIN_TEXT"},
    "context": {"entries": [{"text": "a", "type": "HTML"}]},
    "requestedAttributes": {"TOXICITY": {"scoreType": "PROBABILITY", "scoreThreshold": 0.1}},
    "attributeScores": {"TOXICITY": {"summaryScore": {"value": 1, "type": "PROBABILITY"}}},
    "languages": ["en"],
    "doNotStore": True,
    "clientToken": "c",
    "communityId": "x",
    "spanAnnotations": True,
    "text": "You are awful",
    "id": "c1",
}

ODD: Final[tuple[Any, ...]] = (
    None,
    True,
    -1,
    1e308,
    float("nan"),
    float("inf"),
    10**400,
    "",
    "\x00",
    "😀" * 50,
    "\u202e.\u0301" * 200,
    "A" * 30_000,
    [],
    [[]],
    {},
    {"": {}},
    [None],
    ["en"] * 2_000,
    {"TOXICITY": {}} | {f"T{n}": None for n in range(300)},
)


def changed(random: Random, whole: Any) -> Any:
    """Return a body in which something is other than it should be, at any depth."""
    if not isinstance(whole, dict) or not whole or random.random() < 0.2:
        return random.choice(ODD)
    name = random.choice(list(whole))
    change = random.random()
    if change < 0.1:
        return {key: value for key, value in whole.items() if key != name}
    if change < 0.2:
        return whole | {name + random.choice(["", "_", "\ud83d"]): random.choice(ODD)}
    return whole | {name: changed(random, whole[name])}


def bodies(random: Random) -> Iterator[bytes]:
    """Yield bodies of both kinds."""
    for payload in hostile(random, BYTES):
        yield payload.value or payload.key or b""
    for _ in range(BODIES):
        body = json.dumps(changed(random, WHOLE)).encode()
        if random.random() < 0.1:  # and some cut in the middle
            body = body[: random.randrange(len(body) + 1)]
        yield body


def test_no_body_is_an_error_of_ours(make: Callable[..., Application]) -> None:
    """200, 400 or 413; a refusal quotes nothing that was sent."""
    app, random = make(body_bytes=100_000, unknown_attributes="leave_out"), Random(SEED)  # noqa: S311
    counted: Counter[int] = Counter()

    for number, body in enumerate(bodies(random)):
        path = (ANALYZE, SUGGEST, "/v1/score")[number % 3]
        answered = asked(app, path, body)
        counted[answered.code] += 1
        if answered.code != 200:
            assert answered.code in REFUSED, (number, path)
            assert len(answered.error["message"]) < 400
            assert "awful" not in answered.body.decode()

    assert counted.total() == 10_000
    assert counted[200] > 1_000 < counted[400]
