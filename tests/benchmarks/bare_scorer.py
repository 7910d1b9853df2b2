"""The bare scorer: texts in a list to probabilities, without Kafka. Prints comments a second."""

import json
import sys
from time import monotonic

from benchmarks.texts import real_texts
from worker import logs
from worker.bundle import open_bundle
from worker.pulse import Pulse
from worker.run import tokeniser
from worker.scoring.load import load_scorer
from worker.settings import LogSettings, load_settings

WINDOW = 500

logs.configure(LogSettings(level="warning"))
settings = load_settings()
bundle = open_bundle(settings.bundle, allow_unsigned=False)
tokenise = tokeniser(bundle, settings)
scorer = load_scorer(bundle, settings.scoring, tokenise, Pulse())
_, texts = real_texts(int(sys.argv[1]))
# The first window warms the shapes up, as the worker's first window does before its clock starts.
marks = []
for start in range(0, len(texts), WINDOW):
    pieces = [piece for found in tokenise(texts[start : start + WINDOW]) for piece in found.ids]
    scorer.probabilities(pieces)
    marks.append(monotonic())
print(json.dumps({"comments_per_s": (len(texts) - WINDOW) / (marks[-1] - marks[0])}))
