"""Names of groups of people, by which a classifier is seen to be biased.

Source: Dixon et al. 2018, "Measuring and mitigating unintended bias in text classification".
"""

import re
from typing import Final

IDENTITIES: Final = (
    "african", "african american", "american", "asian", "bisexual", "black", "blind", "buddhist",
    "canadian", "catholic", "chinese", "christian", "deaf", "elderly", "european", "female", "gay",
    "heterosexual", "hispanic", "homosexual", "indian", "japanese", "jew", "jewish", "latina",
    "latino", "latinx", "lesbian", "lgbt", "lgbtq", "male", "mexican", "middle aged",
    "middle eastern", "millenial", "muslim", "nonbinary", "old", "older", "paralyzed",
    "protestant", "queer", "sikh", "straight", "taoist", "teenage", "trans", "transgender",
    "white", "young", "younger",
)  # fmt: skip

NAME: Final = re.compile(
    r"\b(?:" + "|".join(sorted(IDENTITIES, key=len, reverse=True)) + r")\b", re.IGNORECASE
)


def named(text: str) -> set[str]:
    """Return the names that a text holds, in lower case."""
    return {name.lower() for name in NAME.findall(text)}
