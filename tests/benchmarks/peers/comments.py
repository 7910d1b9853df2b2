"""Comments to score, each as long as it was up to what the model takes.

So all engines compute the same tokens, whatever they do with a longer comment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from tokenizers import Tokenizer

from benchmarks.texts import real_texts
from schemas.bundle import TOKENIZER, read_manifest

LONE_TOKENS: Final = 40
WORDS: Final = "this is a comment as long as people write them when they think of it "


@dataclass(frozen=True, slots=True)
class Comments:
    """Comments that fit the model.

    Attributes:
        source: where they are from.
        texts: each at most as long as the model takes.
        tokens: of each, [CLS] and [SEP] included.
        lone: one of 40 tokens, for the latency.
    """

    source: str
    texts: Sequence[str]
    tokens: Sequence[int]
    lone: str

    @classmethod
    def for_model(cls, folder: Path, count: int) -> Self:
        """Take the first `count` comments of the file, as long as the model takes them."""
        longest = read_manifest(folder).max_length
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        source, found = real_texts(count)
        texts = [_cut(tokenizer, text, longest) for text in found]
        tokens = [len(encoding.ids) for encoding in tokenizer.encode_batch(texts)]
        return cls(source, texts, tokens, _lone(tokenizer))


def _cut(tokenizer: Tokenizer, text: str, longest: int) -> str:
    """Cut a text behind the last token that fits, and again if the rest is tokenised otherwise."""
    encoding = tokenizer.encode(text)
    while len(encoding.ids) > longest:
        text = text[: encoding.offsets[longest - 2][1]]
        shorter = tokenizer.encode(text)
        # an end inside a word may be worth more tokens than it was
        longest, encoding = (longest - (len(shorter.ids) > longest)), shorter
    return text


def _lone(tokenizer: Tokenizer) -> str:
    words = (WORDS * LONE_TOKENS).split()
    count = next(
        n
        for n in range(1, len(words))
        if len(tokenizer.encode(" ".join(words[:n])).ids) >= LONE_TOKENS
    )
    return " ".join(words[:count])
