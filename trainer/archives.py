"""A path to the tables that it holds: a file itself, gzipped, or what lies in a zip.

Nothing that an archive holds is written to disk, and what is unpacked is bounded.
"""

import gzip
import io
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, Final

from schemas.errors import CommentsFileError

TABLES: Final = (".csv", ".jsonl", ".ndjson", ".parquet")

MOST_UNPACKED: Final = 4 * 2**30  # bytes of one member; Jigsaw's train.csv has 0.07 GiB
MOST_DEPTH: Final = 2  # Kaggle's zip holds zips; theirs hold none
MOST_MEMBERS: Final = 64

_PACKING: Final = re.compile(r"(\.gz|\.zip)+$", re.IGNORECASE)

_DAMAGED: Final = (
    OSError,
    EOFError,
    RuntimeError,  # a zip that asks for a password, or a way of packing that is unknown
    ValueError,
    lzma.LZMAError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)

Opener = Callable[[], BinaryIO]


@dataclass(frozen=True, slots=True)
class Stored:
    """One table: a file of its own or a member of an archive.

    Attributes:
        name: for messages: the path, and within an archive the member's.
        open: opens the table's bytes, unpacked, from the start.
    """

    name: str
    open: Opener

    @property
    def file(self) -> str:
        """The last part of the name, in lower case and without .gz."""
        return PurePosixPath(self.name.lower()).name.removesuffix(".gz")


def contents(path: Path) -> list[Stored]:
    """Return the tables of a file, those of a zip in the order of their names.

    `archive.zip/train.csv` names one table of a zip. Files are opened when they are read.

    Raises:
        CommentsFileError: a zip is missing, damaged, too large or holds no table.
    """
    archive, member = _within(path)
    if archive.suffix.lower() == ".gz":
        return [Stored(str(path), lambda: _gunzipped(path))]
    if archive.suffix.lower() != ".zip":
        return [Stored(str(path), lambda: _opened(path))]
    found = _members(str(archive), lambda: _opened(archive), MOST_DEPTH)
    if not found:
        raise CommentsFileError(f"{archive}: no table in it", f"it may hold {', '.join(TABLES)}")
    return [_called(member, found, archive)] if member else found


def without_packing(name: str) -> str:
    """Return a file's name without .gz and .zip, in capitals or not."""
    return _PACKING.sub("", name)


class _Unpacked(io.RawIOBase):
    """The bytes of one member as they are unpacked, up to MOST_UNPACKED."""

    def __init__(self, name: str, packed: IO[bytes] | gzip.GzipFile, beneath: ExitStack) -> None:
        self._name = name
        self._packed = packed
        self._beneath = beneath
        self._left = MOST_UNPACKED

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            chunk = self._packed.read(len(buffer))
        except _DAMAGED as error:
            raise _damaged(self._name, error) from None
        self._left -= len(chunk)
        if self._left < 0:
            raise too_large(self._name)
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        self._beneath.close()
        super().close()


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise CommentsFileError(f"{path}: {error.strerror}", "look at the path") from error


def _gunzipped(path: Path) -> BinaryIO:
    with ExitStack() as stack:
        packed = stack.enter_context(gzip.GzipFile(fileobj=stack.enter_context(_opened(path))))
        return io.BufferedReader(_Unpacked(str(path), packed, stack.pop_all()))


def _within(path: Path) -> tuple[Path, str]:
    """Split `archive.zip/train.csv` into the archive and the member; '' if there is none."""
    for parent in path.parents:
        if parent.suffix.lower() == ".zip" and parent.is_file():
            return parent, path.relative_to(parent).as_posix()
    return path, ""


def _called(member: str, found: list[Stored], archive: Path) -> Stored:
    names = [stored.name.removeprefix(f"{archive}/") for stored in found]
    for name, stored in zip(names, found, strict=True):
        if member in {name, PurePosixPath(name).name}:
            return stored
    raise CommentsFileError(f"{archive}: no {member} in it", f"it holds {', '.join(names)}")


def _members(name: str, archive: Opener, depth: int) -> list[Stored]:
    """List the tables of a zip, and those of the zips in it."""
    with ExitStack() as stack:
        infos = [i for i in _zip(name, archive, stack).infolist() if _is_read(i.filename, depth)]
    if len(infos) > MOST_MEMBERS:
        raise CommentsFileError(
            f"{name}: {len(infos)} tables in it, at most {MOST_MEMBERS} are read",
            "unpack it and name the files",
        )
    found: list[Stored] = []
    for info in sorted(infos, key=lambda info: info.filename):
        inside = f"{name}/{_printable(info.filename)}"
        if info.file_size > MOST_UNPACKED:
            raise too_large(inside)
        member = _member_opener(inside, archive, info.filename)
        if info.filename.lower().endswith(".zip"):
            found += _members(inside, _kept(member), depth - 1)
        else:
            found.append(Stored(inside, member))
    return found


def _zip(name: str, archive: Opener, stack: ExitStack) -> zipfile.ZipFile:
    stream = stack.enter_context(archive())
    try:
        return stack.enter_context(zipfile.ZipFile(stream))
    except _DAMAGED as error:
        raise _damaged(name, error) from None


def _member_opener(name: str, archive: Opener, member: str) -> Opener:
    def opener() -> BinaryIO:
        with ExitStack() as stack:
            try:
                packed = stack.enter_context(_zip(name, archive, stack).open(member))
            except _DAMAGED as error:
                raise _damaged(name, error) from None
            return io.BufferedReader(_Unpacked(name, packed, stack.pop_all()))

    return opener


def _kept(opener: Opener) -> Opener:
    """Unpack a zip within a zip once: it is read from its end."""
    kept: list[bytes] = []

    def again() -> BinaryIO:
        if not kept:
            with opener() as stream:
                kept.append(stream.read())
        return io.BytesIO(kept[0])

    return again


def _is_read(member: str, depth: int) -> bool:
    path = PurePosixPath(member)
    of_a_mac = path.parts[0] == "__MACOSX" or path.name.startswith(".")
    suffixes = (*TABLES, ".zip") if depth > 1 else TABLES
    return not of_a_mac and path.suffix.lower() in suffixes


def _printable(name: str) -> str:
    """Return a member's name as a terminal may show it."""
    return "".join(c if c.isprintable() else "?" for c in name)


def _damaged(name: str, error: BaseException) -> CommentsFileError:
    return CommentsFileError(
        f"{name}: cannot be unpacked ({type(error).__name__})",
        "it is cut off, locked with a password or no archive; copy the file again",
    )


def too_large(name: str) -> CommentsFileError:
    """Return the error of a table that grows beyond the bound."""
    return CommentsFileError(
        f"{name}: unpacks to more than {MOST_UNPACKED / 2**30:g} GiB",
        "cut it into smaller files; a small archive that grows so far is a zip bomb",
    )
