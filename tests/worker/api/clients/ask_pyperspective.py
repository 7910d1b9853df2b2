"""PyPI's PyPerspective: ask_pyperspective.py KEY, behind at_loopback.py."""

import json
import sys

from PyPerspective.errors import InvalidAuthKey  # type: ignore[import-not-found]
from PyPerspective.Perspective import Perspective  # type: ignore[import-not-found]

(key,) = sys.argv[1:]
try:
    client = Perspective(key)  # it tries the key, with a request that has no body
except InvalidAuthKey:
    json.dump({"wrong_key": True}, sys.stdout)
    sys.exit()
comment = client.get_score("You are awful", tests=["TOXICITY", "INSULT"])
json.dump(
    {
        "scores": {each.name: each.score for each in comment.attributes},
        "spans": [[span.start, span.end, str(span)] for span in comment["toxicity"].spans],
        "languages": comment.requests_langs,
        "detected": comment.detected_langs,
    },
    sys.stdout,
)
