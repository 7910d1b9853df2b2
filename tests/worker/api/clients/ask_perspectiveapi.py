"""PyPI's perspectiveapi: ask_perspectiveapi.py KEY, behind at_loopback.py."""

import json
import sys

from perspective import Attribute  # type: ignore[import-not-found]
from perspective.blocking import Perspective  # type: ignore[import-not-found]

(key,) = sys.argv[1:]
asked = [Attribute.TOXICITY, Attribute.SEVERE_TOXICITY, Attribute.INSULT, Attribute.THREAT]
score = Perspective(key).score("You are awful", attributes=asked)
json.dump({each.name: getattr(score, each.name.lower()) for each in Attribute}, sys.stdout)
