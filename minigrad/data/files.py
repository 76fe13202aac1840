"""The original files of the image sets: where they are, how they are fetched, what is in them.

A file is looked for in the folder that the environment variable MINIGRAD_DATA names, and downloaded
otherwise. Nothing in a file is believed: sizes in a header are compared with the bytes that are
there, and nothing is unpickled.
"""

from __future__ import annotations

import gzip
import math
import os
import sys
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np


class DataError(RuntimeError):
    """A file of a data set is missing, cannot be downloaded, or does not hold what it should."""


@dataclass(frozen=True)
class Remote:
    """Where a set of files is published, and the checksums of its files ("sha256:…" or "md5:…")."""

    name: str
    url: str
    checksums: dict[str, str]


def local_folder(name: str) -> Path | None:
    """MINIGRAD_DATA/name, where the variable is set and the folder exists."""
    root = os.environ.get("MINIGRAD_DATA")
    folder = Path(root, name) if root else None
    return folder if folder is not None and folder.is_dir() else None


def cache_folder() -> Path:
    """Where downloads are kept: minigrad in the XDG cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minigrad"


def problem(path: Path, what: str, remote: Remote) -> DataError:
    """An error about a file that says both ways to get it."""
    return DataError(
        f"{remote.name}: {path} {what}; either set MINIGRAD_DATA to a folder that holds the "
        f"original files in {remote.name}, or let them be downloaded from {remote.url}: be online, "
        f"pip install pooch, and have no {remote.name} in MINIGRAD_DATA"
    )


def locate(remote: Remote, file: str) -> Path:
    """The path of a file of a set: in MINIGRAD_DATA, in the cache, or downloaded into the cache."""
    folder = local_folder(remote.name)
    if folder is None:
        return _download(remote, file)
    path = folder / file
    if not path.is_file():
        raise problem(path, "is missing", remote)
    return path


def _download(remote: Remote, file: str) -> Path:
    """The cached file, fetched where it is absent or its checksum is wrong.

    Pooch downloads under a temporary name and renames a file only once its checksum is right: an
    interrupted download leaves nothing that the next one could take for the whole.
    """
    path = cache_folder() / remote.name / file
    try:
        import pooch
    except ImportError:
        raise problem(path, "is missing, and pooch is not installed", remote) from None
    try:
        found = pooch.retrieve(
            remote.url + file,
            known_hash=remote.checksums[file],
            fname=file,
            path=path.parent,
            progressbar=sys.stderr.isatty(),
        )
    except (OSError, ValueError) as error:  # no network, no permission; a wrong checksum
        reason = f"cannot be downloaded ({type(error).__name__}: {error})"
        raise problem(path, reason, remote) from error
    return Path(found)


def read_idx(path: Path, shape: tuple[int, ...], remote: Remote) -> np.ndarray:
    """The bytes of a gzipped IDX file as a (samples, *shape) array of uint8.

    The format of MNIST's files: two zero bytes, a code for the dtype (8 for unsigned bytes), the
    number of axes, the length of each as a big-endian 32-bit integer, then the values.
    """
    try:
        with gzip.open(path) as stream:
            content = stream.read()
    except (OSError, EOFError, zlib.error) as error:
        raise problem(path, f"is not a whole gzip file ({error})", remote) from error
    ndim = 1 + len(shape)
    start = 4 + 4 * ndim
    if len(content) < start or content[:4] != bytes((0, 0, 8, ndim)):
        raise problem(path, f"is not an IDX file of unsigned bytes with {ndim} axes", remote)
    lengths = tuple(int(n) for n in np.frombuffer(content, ">u4", ndim, offset=4))
    if lengths[1:] != shape:
        raise problem(path, f"holds samples of shape {lengths[1:]}, not {shape}", remote)
    if len(content) - start != math.prod(lengths):
        raise problem(
            path,
            f"promises {math.prod(lengths)} values {lengths} but holds {len(content) - start}",
            remote,
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(lengths)


def read_cifar(remote: Remote, archive: str, files: list[str]) -> list[np.ndarray]:
    """The records of files of CIFAR-10's binary version, each as a (samples, 3073) array of uint8.

    A record is one byte for the label, 0 … 9, then 3 × 32 × 32 bytes for the image. The files are
    read from the archive, or where somebody unpacked it in MINIGRAD_DATA.
    """
    folder = local_folder(remote.name)
    if folder is not None and (folder / files[0]).parent.is_dir():
        return [_read_records(folder / file, remote) for file in files]
    path = locate(remote, archive)
    try:
        with tarfile.open(path, "r:gz") as tar:
            members = [tar.extractfile(file) for file in files]
            contents = [b"" if member is None else member.read() for member in members]
    except (OSError, EOFError, KeyError, tarfile.TarError) as error:
        raise problem(path, f"is not the whole archive ({error})", remote) from error
    return [
        _records(content, path / file, remote)
        for file, content in zip(files, contents, strict=True)
    ]


def _read_records(path: Path, remote: Remote) -> np.ndarray:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise problem(path, f"cannot be read ({error.strerror})", remote) from error
    return _records(content, path, remote)


def _records(content: bytes, path: Path, remote: Remote) -> np.ndarray:
    if not content or len(content) % 3073:
        what = f"has {len(content)} bytes, which are no records of 3073 bytes"
        raise problem(path, what, remote)
    records = np.frombuffer(content, np.uint8).reshape(-1, 3073)
    check_labels(records[:, 0], path, remote)
    return records


def check_labels(labels: np.ndarray, path: Path, remote: Remote) -> None:
    """Refuse labels that are none of ten classes."""
    if labels.max() > 9:
        raise problem(path, f"holds the label {labels.max()}, not one of 0 … 9", remote)
