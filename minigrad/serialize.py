"""Files that are whole or absent: saving tensors, and writing anything else."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from minigrad.backend import current_backend, is_array, to_host
from minigrad.core import Node
from minigrad.tensor import Tensor


def write_atomically(path: str | os.PathLike, data: str | bytes) -> None:
    """Write a file so that whoever opens `path` finds the old content or the new, never a part.

    The data go to a temporary file in the same folder, onto the disk, and then take the name. Where
    anything fails the temporary file is removed and `path` is as it was.

    Args:
        data: bytes, or text to be written as UTF-8.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(f"write_atomically: there is no folder {target.parent}")
    content = data.encode() if isinstance(data, str) else data
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _safetensors(name: str) -> ModuleType:
    try:
        import safetensors.numpy
    except ImportError:
        raise ImportError(f"{name}: needs safetensors; pip install safetensors") from None
    return safetensors.numpy


def _plain(key: Any, value: Any) -> np.ndarray:
    """A value to save as safetensors takes it: on the host, contiguous, in native byte order."""
    if not isinstance(key, str):
        raise TypeError(f"save: tensors wants names that are strings, got {key!r}")
    array = value.array if isinstance(value, Node) else value
    if not is_array(array):
        raise TypeError(f"save: tensors[{key!r}] wants a Tensor or an array, got {value!r}")
    host = np.asarray(to_host(array))
    if host.dtype.kind not in "fiub" or host.dtype.itemsize > 8:
        raise TypeError(f"save: tensors[{key!r}] wants floats, ints or bools, got {host.dtype}")
    # safetensors reads memory from the first element on, whatever the strides say. For an array
    # without axes ascontiguousarray would invent one.
    return np.ascontiguousarray(host, host.dtype.newbyteorder("=")).reshape(host.shape)


def save(path: str | os.PathLike, tensors: Mapping[str, Any]) -> None:
    """Save tensors by name in the safetensors format; the file is written whole or not at all.

    Args:
        tensors: Tensors or arrays by name, from any backend; a ``state_dict()``, for example.

    Source: https://huggingface.co/docs/safetensors, a header in JSON, then the bytes.
    """
    if not isinstance(tensors, Mapping):
        raise TypeError(f"save: tensors wants a mapping of names, got {type(tensors).__name__}")
    plain = {key: _plain(key, value) for key, value in tensors.items()}
    write_atomically(path, _safetensors("save").save(plain))


def load(path: str | os.PathLike) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name, on the current backend.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is truncated or in another format, or has a dtype that NumPy lacks.
    """
    library = _safetensors("load")
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"load: there is no file {os.fspath(path)}") from None
    try:
        arrays = library.load(content)
    except Exception as error:  # the library's own error, or a KeyError for an unknown dtype
        raise ValueError(
            f"load: {os.fspath(path)} is not a whole safetensors file of NumPy's dtypes ({error})"
        ) from error
    backend = current_backend()
    return {
        name: Tensor(backend.asarray(np.require(array, requirements="W")))
        for name, array in arrays.items()
    }
