"""Opening a bundle or a checkpoint, and the golden comments that an engine must pass."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rig.stub import stub_manifest, stub_tokenise
from schemas.bundle import CONFIG, FLOAT_WEIGHTS, GOLDEN, MANIFEST, TOKENIZER
from schemas.errors import BundleError, ScoringError, SettingsError
from schemas.labels import LABELS
from worker.batching import Layout, MicroBatch
from worker.bundle import Bundle, open_bundle
from worker.pulse import Pulse
from worker.run import tokeniser
from worker.scoring import golden
from worker.scoring.engine import Logits
from worker.scoring.load import load_scorer
from worker.scoring.scorer import Scorer
from worker.settings import ScoringSettings, Settings
from worker.tokenise import Pieces

A_CONFIG = {
    "model_type": "bert",
    "id2label": {"0": "a", "1": "b"},
    "problem_type": "multi_label_classification",
    "max_position_embeddings": 64,
}


def write_checkpoint(folder: Path, **changes: Any) -> Path:
    """Write a checkpoint without a manifest, its weights empty."""
    (folder / CONFIG).write_text(json.dumps(A_CONFIG | changes))
    (folder / FLOAT_WEIGHTS).touch()
    (folder / TOKENIZER).write_text("{}")
    return folder


def test_a_checkpoint_needs_somebody_who_trusts_it(tmp_path: Path) -> None:
    """A file of weights that nothing vouches for is not loaded by default."""
    write_checkpoint(tmp_path)

    with pytest.raises(BundleError, match="nothing vouches for it") as caught:
        open_bundle(str(tmp_path), allow_unsigned=False)

    assert "TIDEGATE_ALLOW_UNSIGNED" in (caught.value.hint or "")


def test_a_trusted_checkpoint_brings_its_own_labels(tmp_path: Path) -> None:
    """Thresholds of one half, logits as they are, as long as its positions reach."""
    found = open_bundle(str(write_checkpoint(tmp_path)), allow_unsigned=True)

    assert not found.hashed
    assert found.manifest.labels == ["a", "b"]
    assert found.manifest.thresholds == {"a": 0.5, "b": 0.5}
    assert found.manifest.max_length == 64


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"problem_type": "single_label_classification"}, "exclude each other"),
        ({"id2label": None}, "names no labels"),
        ({"id2label": {"x": "a"}}, "names no labels"),
    ],
)
def test_a_checkpoint_of_another_shape_is_refused(
    tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    """It would give numbers that are no probabilities of labels."""
    with pytest.raises(BundleError, match=named):
        open_bundle(str(write_checkpoint(tmp_path, **changes)), allow_unsigned=True)


@pytest.mark.parametrize("name", [FLOAT_WEIGHTS, TOKENIZER])
def test_a_checkpoint_without_a_file_is_refused(tmp_path: Path, name: str) -> None:
    """Only safetensors and a fast tokenizer; nothing that a pickle could run."""
    (write_checkpoint(tmp_path) / name).unlink()

    with pytest.raises(BundleError, match=f"{name} is not in it"):
        open_bundle(str(tmp_path), allow_unsigned=True)


@pytest.mark.parametrize("reference", ["/no/such/folder", "no-such-folder", "a/b/c"])
def test_a_bundle_that_is_not_there_is_named(reference: str) -> None:
    """What looks like a name on the hub has one slash; this is none."""
    with pytest.raises(BundleError, match=f"`{reference}`: there is no such folder"):
        open_bundle(reference, allow_unsigned=False)


def test_a_folder_that_is_no_bundle_is_named(tmp_path: Path) -> None:
    """What was looked for in it, and who writes such a folder."""
    with pytest.raises(BundleError, match=f"neither {MANIFEST} nor {CONFIG}"):
        open_bundle(str(tmp_path), allow_unsigned=True)


def test_a_tokeniser_is_verified_before_it_is_read(tmp_path: Path) -> None:
    """A regular expression in it is code, too."""
    (tmp_path / TOKENIZER).write_text("{}")

    with pytest.raises(BundleError, match=f"{CONFIG} is needed"):
        tokeniser(Bundle(tmp_path, stub_manifest(), hashed=True), Settings())


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime", "torch"])
def test_weights_are_verified_before_they_are_read(tmp_path: Path, engine: str) -> None:
    """Whichever engine asks for them."""
    bundle = Bundle(tmp_path, stub_manifest(), hashed=True)
    settings = ScoringSettings.model_validate({"engine": engine})

    with pytest.raises((BundleError, SettingsError), match=r"is needed|not installed"):
        load_scorer(bundle, settings, stub_tokenise, Pulse())


# -- golden comments


class Engine:
    """Gives all pieces the same logits, off by a little, more in company, or at one width."""

    description = "fake"
    budget = 4_096
    requests = 1
    layout = Layout(8)

    def __init__(
        self, off: float = 0.0, off_in_company: float = 0.0, off_at_width: int | None = None
    ) -> None:
        self._off, self._in_company, self._width = off, off_in_company, off_at_width

    def logits(self, batches: Sequence[MicroBatch]) -> list[Logits]:
        """Return the logits of each row."""
        return [
            np.full(
                (len(b), len(LABELS)),
                self._off
                + (self._in_company if len(b) > 1 else 0)
                + (max(len(piece) for row in b for piece in row) == self._width),
                dtype=np.float32,
            )
            for b in batches
        ]


def bundle_with(golden_comments: Any, folder: Path) -> Bundle:
    """Return a bundle with such golden comments."""
    (folder / GOLDEN).write_text(json.dumps(golden_comments))
    return Bundle(folder, stub_manifest(), hashed=True)


def comments(probability: float = 0.5, number: int = 8, labels: Sequence[str] = LABELS) -> Any:
    """Return golden comments of such a probability."""
    scores = dict.fromkeys(labels, probability)
    texts = [{"text": f"comment {n}", "scores": scores} for n in range(number)]
    return {"tolerance": 0.02, "comments": texts}


def scorer(engine: Engine) -> Scorer:
    """Return a scorer around an engine."""
    return Scorer(engine, stub_manifest(), 512)


def test_a_faithful_engine_passes(tmp_path: Path) -> None:
    """And the greatest difference is told, for the log."""
    bundle = bundle_with(comments(), tmp_path)

    assert golden.check(bundle, stub_tokenise, scorer(Engine())) == 0
    assert 0.01 > golden.check(bundle, stub_tokenise, scorer(Engine(off=0.02))) > 0


@pytest.mark.parametrize(
    "engine", [Engine(off=1), Engine(off_in_company=1), Engine(off=float("nan"))]
)
def test_an_engine_that_is_off_is_refused(engine: Engine, tmp_path: Path) -> None:
    """Alone or only in company, by a number or by none at all."""
    bundle = bundle_with(comments(), tmp_path)

    with pytest.raises(ScoringError, match=r"the engine is off by .* at most 0\.02 is allowed"):
        golden.check(bundle, stub_tokenise, scorer(engine))


@pytest.mark.parametrize("width", [16, 32, 64, 128])
def test_an_engine_that_is_off_at_one_width_is_refused(width: int, tmp_path: Path) -> None:
    """None of the golden comments may have it: OpenVINO's kernel for 32 places was wrong."""
    bundle = bundle_with(comments(), tmp_path)

    with pytest.raises(
        ScoringError, match=r"says otherwise of \d+ tokens in a wider row, by 1\.00"
    ):
        golden.check(bundle, stub_tokenise, scorer(Engine(off_at_width=width)))


@pytest.mark.parametrize(
    "wrong", [comments(number=7), comments(probability=2), comments(labels=["toxic"]), {}, []]
)
def test_golden_comments_that_are_wrong_are_named(wrong: Any, tmp_path: Path) -> None:
    """Too few, impossible, of other labels, or none at all: the file is named."""
    with pytest.raises(BundleError, match=GOLDEN.replace(".", r"\.")):
        golden.check(bundle_with(wrong, tmp_path), stub_tokenise, scorer(Engine()))


def test_a_golden_comment_of_two_pieces_is_refused(tmp_path: Path) -> None:
    """Its probabilities would be those of its first piece, whatever the file says."""

    def in_two(texts: Sequence[str]) -> list[Pieces]:
        return [Pieces(([0], [0]), truncated=False) for _ in texts]

    with pytest.raises(BundleError, match="longer than a piece"):
        golden.check(bundle_with(comments(), tmp_path), in_two, scorer(Engine()))


def test_a_bundle_without_golden_comments_is_refused(tmp_path: Path) -> None:
    """An engine that nobody could try is not trusted."""
    with pytest.raises(BundleError, match=GOLDEN.replace(".", r"\.")):
        golden.check(
            Bundle(tmp_path, stub_manifest(), hashed=True), stub_tokenise, scorer(Engine())
        )
