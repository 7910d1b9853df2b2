"""Comments to score: real ones where they are, those of the demo elsewhere."""

import csv
import json
import os
from itertools import cycle, islice
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def data_folder() -> Path:
    """Return where real comments are, on a machine that has them."""
    return Path(os.environ.get("TIDEGATE_DATA", ROOT.parent / "shared" / "data"))


def real_texts(count: int) -> tuple[str, list[str]]:
    """Return where the texts are from, and `count` of them in their order."""
    file = data_folder() / "jigsaw-toxic-only.csv"
    if file.is_file():
        with file.open(encoding="utf-8", newline="") as rows:
            texts = [row["comment_text"] for row in islice(csv.DictReader(rows), count)]
        return file.name, texts
    lines = (ROOT / "deploy" / "demo" / "comments.jsonl").read_text(encoding="utf-8").splitlines()
    return "demo", list(islice(cycle(json.loads(line)["text"] for line in lines), count))
