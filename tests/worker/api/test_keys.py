"""Keys: known by their hashes, bounded in how often they ask, never shown."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

import worker.api.keys
from schemas.errors import SettingsError
from worker.api.errors import ApiError
from worker.api.keys import Keys

SECRET = "wave-4711"  # noqa: S105 - a test's


def line(name: str, key: str, rest: str = "") -> str:
    """Return the line of a key."""
    return f"{name} {sha256(key.encode()).hexdigest()} {rest}".strip()


@pytest.fixture
def keys_of(tmp_path: Path) -> Callable[..., Keys]:
    """Give a reader of a file with these lines."""

    def read(*lines: str) -> Keys:
        file = tmp_path / "keys"
        file.write_text("\n".join(lines))
        return Keys(file)

    return read


def test_without_a_file_everybody_may_ask() -> None:
    """A laptop needs no keys."""
    keys = Keys(None)

    assert not keys.are_needed
    keys.admit(None)


def test_a_key_that_is_listed_may_ask(keys_of: Callable[..., Keys]) -> None:
    """Comments and empty lines are passed over."""
    keys = keys_of("# ours", "", line("site", SECRET), line("other", "another"))

    assert keys.are_needed
    keys.admit(SECRET)
    keys.admit("another")


@pytest.mark.parametrize("given", [None, "", "wrong", SECRET + " ", "\ud800"])
def test_any_other_key_is_refused_and_not_shown(
    given: str | None, keys_of: Callable[..., Keys]
) -> None:
    """403, as Perspective had it."""
    with pytest.raises(ApiError) as refused:
        keys_of(line("site", SECRET)).admit(given)

    assert refused.value.code == 403
    assert refused.value.body()["error"]["status"] == "PERMISSION_DENIED"
    assert "wrong" not in str(refused.value.body())


def test_an_allowance_that_is_spent_comes_back_with_time(
    keys_of: Callable[..., Keys], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two comments a second: two at once, then one each half second; the answer says when."""
    now = 100.0
    monkeypatch.setattr(worker.api.keys, "monotonic", lambda: now)
    keys = keys_of(line("site", SECRET, "2"))
    key = keys.admit(SECRET)
    key.spend(1)
    key.spend(1)

    with pytest.raises(ApiError) as refused:
        key.spend(1)

    assert (refused.value.code, refused.value.retry_after_s) == (429, 0.5)
    assert refused.value.body()["error"]["status"] == "RESOURCE_EXHAUSTED"
    now += 0.5
    key.spend(1)
    with pytest.raises(ApiError):
        key.spend(1)


def test_a_request_of_many_comments_is_let_in_and_waited_for_afterwards(
    keys_of: Callable[..., Keys], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it could never be made; what counts is comments, not requests."""
    now = 100.0
    monkeypatch.setattr(worker.api.keys, "monotonic", lambda: now)
    key = keys_of(line("site", SECRET, "2")).admit(SECRET)

    key.spend(12)

    with pytest.raises(ApiError) as refused:
        key.spend(1)
    assert refused.value.retry_after_s == 5.5
    now += 5.5
    key.spend(1)


@pytest.mark.parametrize("wrong", ["site", SECRET, f"site {SECRET}", "site " + "0" * 63, "a b c"])
def test_a_line_that_is_no_key_is_named_by_its_number_and_not_shown(
    wrong: str, keys_of: Callable[..., Keys]
) -> None:
    """Somebody may have written the key itself."""
    with pytest.raises(SettingsError, match=r"line 2: expected a name") as refused:
        keys_of(line("site", SECRET), wrong)

    assert SECRET not in refused.value.what


def test_an_allowance_of_nothing_is_refused(keys_of: Callable[..., Keys]) -> None:
    """A key that may never ask is a mistake."""
    with pytest.raises(SettingsError, match="line 1: 0 comments a second"):
        keys_of(line("site", SECRET, "0"))


def test_a_key_that_is_listed_twice_is_refused(keys_of: Callable[..., Keys]) -> None:
    """One of its two allowances would not hold."""
    with pytest.raises(SettingsError, match="slow and fast are the same key"):
        keys_of(line("slow", SECRET, "0.5"), line("fast", SECRET))


def test_a_file_without_keys_is_refused(keys_of: Callable[..., Keys]) -> None:
    """Nobody could ask."""
    with pytest.raises(SettingsError, match="it holds no key"):
        keys_of("# keys will follow", "")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """At the start, not at the first request."""
    with pytest.raises(SettingsError, match="nowhere"):
        Keys(tmp_path / "nowhere")
