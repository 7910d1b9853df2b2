"""An ensemble: the mean of what its members say, label by label, and only of like splits."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification

from schemas.bundle import BundleManifest, Calibration
from schemas.errors import TrainingError
from schemas.labels import LABELS
from trainer.bootstrap import Floats
from trainer.data import LabelledFile, read_files
from trainer.ensemble import held_out_by, mean_of
from trainer.export import ship
from trainer.model import load_model
from trainer.predictors import Predictor, predictor
from trainer.teacher import HELD_OUT, read_teacher
from trainer.teaching import pace, teach

BACKWARDS = tuple(reversed(LABELS))
TWO = ("obscene", "toxicity")  # the second is another's name for ours


@pytest.fixture(scope="session")
def members(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return folders of three untrained models: all labels, backwards, and two of them."""
    folders = []
    for seed, labels in enumerate([LABELS, BACKWARDS, TWO]):
        torch.manual_seed(seed)
        model = load_model(str(tiny_base), labels)
        for weight in model.get_submodule("classifier").parameters():
            torch.nn.init.normal_(weight, std=3.0)  # else all say about one half
        folder = tmp_path_factory.mktemp("members") / f"seed-{seed}"
        model.save_pretrained(folder)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (folder / name).write_bytes((tiny_base / name).read_bytes())
        folders.append(folder)
    return folders


def by_hand(folder: Path, text: str) -> dict[str, float]:
    """Ask one member about one text, by transformers alone."""
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    with torch.inference_mode():
        logits = model(torch.tensor([tokenizer.encode(text).ids])).logits[0]
    names = ["toxic" if name == "toxicity" else name for name in model.config.id2label.values()]
    return dict(zip(names, logits.sigmoid().tolist(), strict=True))


def test_a_teacher_is_the_mean_of_its_members_as_reckoned_by_hand(
    members: list[Path], made_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever the order of their labels; who lacks a label has no vote on it."""
    more = tmp_path / "more.jsonl"
    more.write_text('{"text": "a song of the harbour"}\n{"text": "vile page"}\n')

    teach(list(map(str, members)), [LabelledFile(made_file)], [more], tmp_path / "t.jsonl")

    said = read_teacher(tmp_path / "t.jsonl").labels
    texts = read_files([made_file]).texts
    assert list(said) == list(dict.fromkeys([*texts, "a song of the harbour", "vile page"]))
    for text in (texts[0], texts[-1], "vile page"):
        votes = [by_hand(folder, text) for folder in members]
        for label, p in zip(LABELS, said[text].tolist(), strict=True):
            expected = [vote[label] for vote in votes if label in vote]
            assert len(expected) == (3 if label in {"toxic", "obscene"} else 2)
            assert p == pytest.approx(np.mean(expected), abs=1e-4)
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "comments/s, 0.0 min left" in printed.err
    assert "vile page" not in printed.err


def manifest_of(name: str, held_out: str) -> BundleManifest:
    """Return the manifest of a bundle that says what it held out, if it says anything."""
    return BundleManifest(
        name=name,
        version="1",
        base_model="tiny",
        max_length=48,
        labels=["toxic"],
        thresholds={"toxic": 0.5},
        calibration={"toxic": Calibration(slope=1, intercept=0)},
        metrics={"data": {"held_out_fingerprint": held_out} if held_out else {}},
        data_fingerprint="1",
        libraries={},
        files={},
    )


def made(
    name: str, labels: tuple[str, ...], scores: Floats, held_out: str | None = None
) -> Predictor:
    """Return a predictor that says `scores` of whatever it is asked about."""
    manifest = None if held_out is None else manifest_of(name, held_out)
    return Predictor(name, labels, dict.fromkeys(labels, 0.5), lambda _: scores, manifest)


@settings(deadline=None)
@given(
    orders=st.lists(
        st.permutations(LABELS).flatmap(
            lambda order: st.integers(1, 6).map(lambda count: tuple(order[:count]))
        ),
        min_size=1,
        max_size=5,
    ),
    seed=st.integers(0, 999),
)
def test_each_label_is_the_mean_of_those_who_have_it(
    orders: list[tuple[str, ...]], seed: int
) -> None:
    """In 0..1, between the least and the most of what is said."""
    random = np.random.default_rng(seed)
    tables = [random.random((3, len(order))) for order in orders]
    labels = [label for label in LABELS if any(label in order for order in orders)]
    several = [made("m", order, table) for order, table in zip(orders, tables, strict=True)]

    found = mean_of(several, labels).of(["a", "b", "c"], labels)

    for i, label in enumerate(labels):
        votes = [
            table[:, order.index(label)]
            for order, table in zip(orders, tables, strict=True)
            if label in order
        ]
        assert found[:, i] == pytest.approx(sum(votes) / len(votes))


def test_a_label_that_no_member_has_is_named() -> None:
    """A teacher without it would silently teach nothing of it."""
    one = made("one", LABELS[:3], np.zeros((1, 3)))

    with pytest.raises(TrainingError, match="no member has threat, insult, identity_hate"):
        mean_of([one])


def test_the_threshold_of_the_mean_is_the_mean_of_those_who_vote() -> None:
    """So that it can stand in a report; a better one would have to be fitted."""
    thresholds = [{"toxic": 0.2, "threat": 0.6}, {"toxic": 0.4}]
    several = [Predictor("m", tuple(t), t, lambda _: np.zeros((1, 2))) for t in thresholds]

    found = mean_of(several, ["toxic", "threat"]).thresholds

    assert found == pytest.approx({"toxic": 0.3, "threat": 0.6})


def test_members_that_held_out_different_rows_are_refused() -> None:
    """Together they have learnt from all rows, held out or not; both are named."""
    scores = np.zeros((1, 6))
    several = [made("tide", LABELS, scores, each) for each in ("aaaa", "aaaa", "bbbb")]

    assert held_out_by(several[:2]) == "aaaa"
    with pytest.raises(TrainingError, match=r"1\. tide has aaaa, .*3\. tide has bbbb") as refused:
        held_out_by(several)
    assert "--split-seed" in str(refused.value.hint)


@pytest.mark.parametrize("held_out", [None, ""], ids=["no bundle", "a bundle without it"])
def test_a_member_of_which_it_is_not_known_what_it_held_out_is_named_aloud(
    held_out: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    """Peers from the hub are welcome, with a warning."""
    scores = np.zeros((1, 6))

    found = held_out_by([made("a", LABELS, scores, "aaaa"), made("b", LABELS, scores, held_out)])

    assert found is None
    assert "WARNING: nothing says which rows 2. b held out" in capfd.readouterr().err


def test_a_shipped_bundle_is_a_member_in_int8_whatever_stands_beside_a_comment(
    bundle: Path, tmp_path: Path
) -> None:
    """Its scales are static: what it says of a comment does not lean on the batch."""
    ship(bundle, tmp_path / "shipped")
    texts = ["a rotten idiot", *(f"the song of page {n}" for n in range(300))]

    teacher = mean_of([predictor(str(tmp_path / "shipped")), predictor(str(bundle))])

    floating = predictor(str(bundle)).probabilities(texts)
    assert np.abs(teacher.probabilities(texts) - floating).max() < 0.1
    alone = np.concatenate([teacher.probabilities([text]) for text in texts[:20]])
    np.testing.assert_allclose(alone, teacher.probabilities(texts)[:20], atol=1e-5)


def test_nothing_is_written_if_a_member_cannot_be_loaded(
    members: list[Path], made_file: Path, tmp_path: Path
) -> None:
    """It fails before the hours, not after them."""
    with pytest.raises(TrainingError, match="cannot be loaded"):
        teach(
            [str(members[0]), str(tmp_path / "none")],
            [LabelledFile(made_file)],
            [],
            tmp_path / "t.jsonl",
        )

    assert list(tmp_path.iterdir()) == []


def test_a_teacher_of_peers_says_nothing_of_what_they_held_out(
    members: list[Path], made_file: Path, tmp_path: Path
) -> None:
    """The column is left out, so that training can warn, too."""
    teach([str(members[0])], [LabelledFile(made_file)], [], tmp_path / "t.jsonl")

    first = json.loads((tmp_path / "t.jsonl").read_text().splitlines()[0])
    assert list(first) == ["comment_text", *LABELS]
    assert HELD_OUT not in first


def test_the_time_left_is_that_of_the_pace_so_far() -> None:
    """A quarter done in a minute leaves three."""
    assert pace(1_500, 6_000, 60) == "1,500/6,000: 25.0 comments/s, 3.0 min left"
