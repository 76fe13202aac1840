"""Five sets of images. Each function returns ``(train, test)``, two `TensorDataset`s on the host of
images, float32 in [0, 1], shape (N, C, H, W), and labels, int64."""

from __future__ import annotations

from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.data.dataset import TensorDataset
from minigrad.data.files import (
    DataError,
    Remote,
    check_labels,
    locate,
    problem,
    read_cifar,
    read_idx,
)

MNIST = Remote(
    "mnist",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    {
        "train-images-idx3-ubyte.gz": (
            "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
        ),
        "train-labels-idx1-ubyte.gz": (
            "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
        ),
        "t10k-images-idx3-ubyte.gz": (
            "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
        ),
        "t10k-labels-idx1-ubyte.gz": (
            "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
        ),
    },
)
FASHION_MNIST = Remote(
    "fashion_mnist",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    {
        "train-images-idx3-ubyte.gz": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "md5:25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "md5:bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "md5:bb300cfdad3c16e7a12a480ee83cd310",
    },
)
CIFAR10 = Remote(
    "cifar10",
    "https://www.cs.toronto.edu/~kriz/",
    {"cifar-10-binary.tar.gz": "md5:c32a1d4ab5d03f1284b67883e8d87530"},
)


def _labelled(images: np.ndarray, labels: np.ndarray) -> TensorDataset:
    """Bytes as a data set: 0 … 255 becomes [0, 1]."""
    return TensorDataset(np.divide(images, np.float32(255.0)), labels.astype(np.int64))


def _is_for_test(labels: np.ndarray) -> np.ndarray:
    """The fixed split of a set that comes without one: of each class, in the order of the set, the
    second of every five samples is for testing. Every class is in both parts, in its proportion."""
    chosen = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        chosen[np.flatnonzero(labels == label)[1::5]] = True
    return chosen


def _split(images: np.ndarray, labels: np.ndarray) -> tuple[TensorDataset, TensorDataset]:
    for_test = _is_for_test(labels)
    return (
        TensorDataset(images[~for_test], labels[~for_test]),
        TensorDataset(images[for_test], labels[for_test]),
    )


def digits() -> tuple[TensorDataset, TensorDataset]:
    """Handwritten digits that come with the package: 1,797 images of 8 × 8 pixels, 10 classes.

    From "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak, 1998; UCI Machine Learning
    Repository, CC BY 4.0): the part written by 13 people, each pixel a count 0 … 16, here divided
    by 16. Of each class, in the order of the file, the second of every five images is for testing:
    1,435 to train with and 362 to test, by the same hands.
    """
    with (package_files("minigrad.data") / "digits.npz").open("rb") as stream:
        stored = np.load(stream)
        images, labels = stored["images"], stored["labels"]
    return _split(np.divide(images, np.float32(16.0))[:, None], labels.astype(np.int64))


def mnist() -> tuple[TensorDataset, TensorDataset]:
    """MNIST (LeCun, Cortes & Burges, 1998): handwritten digits, 28 × 28 pixels, 10 classes,
    60,000 to train with and 10,000 to test.

    Reads the original files from the folder mnist in MINIGRAD_DATA, or downloads them (11 MB).

    Raises:
        DataError: a file is missing, truncated or wrong; names it and both ways to get it.
    """
    return _read_idx_set(MNIST)


def fashion_mnist() -> tuple[TensorDataset, TensorDataset]:
    """Fashion-MNIST (Xiao, Rasul & Vollgraf, 2017): pieces of clothing, 28 × 28 pixels, 10 classes,
    60,000 to train with and 10,000 to test; from MINIGRAD_DATA or downloaded (31 MB) as `mnist`."""
    return _read_idx_set(FASHION_MNIST)


def _read_idx_set(remote: Remote) -> tuple[TensorDataset, TensorDataset]:
    train, test = (
        _read_idx_pair(remote, f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz")
        for part in ("train", "t10k")
    )
    return train, test


def _read_idx_pair(remote: Remote, images_file: str, labels_file: str) -> TensorDataset:
    images_path, labels_path = locate(remote, images_file), locate(remote, labels_file)
    images = read_idx(images_path, (28, 28), remote)
    labels = read_idx(labels_path, (), remote)
    if len(images) == 0:
        raise problem(images_path, "holds no image", remote)
    if len(labels) != len(images):
        what = f"holds {len(labels)} labels for the {len(images)} images of {images_file}"
        raise problem(labels_path, what, remote)
    check_labels(labels, labels_path, remote)
    return _labelled(images[:, None], labels)


def cifar10() -> tuple[TensorDataset, TensorDataset]:
    """CIFAR-10 (Krizhevsky, 2009): photographs, 3 × 32 × 32 pixels (red, green, blue), 10 classes,
    50,000 to train with and 10,000 to test.

    Reads the binary version from the folder cifar10 in MINIGRAD_DATA, as cifar-10-binary.tar.gz or
    unpacked into cifar-10-batches-bin, or downloads it (170 MB).

    Raises:
        DataError: a file is missing, truncated or wrong; names it and both ways to get it.
    """
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    files = [f"cifar-10-batches-bin/{name}" for name in names]
    *for_training, for_test = read_cifar(CIFAR10, "cifar-10-binary.tar.gz", files)
    return _pictures(np.concatenate(for_training)), _pictures(for_test)


def _pictures(records: np.ndarray) -> TensorDataset:
    return _labelled(records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0])


def image_folder(path: str | Path, size: int) -> tuple[TensorDataset, TensorDataset]:
    """Your own images, PNG or JPEG in one subfolder a class, as RGB of `size` × `size` pixels.

    An image is scaled (bilinear, antialiased) until its shorter side is `size`, and its centre cut
    out. The label is the number of the subfolder in alphabetical order. Of each class, in
    alphabetical order of the file names, the second of every five images is for testing.

    Raises:
        DataError: the folder is missing or holds no images, a class has fewer than two, or files
            cannot be read: how many of them, and the first by name.
    """
    if isinstance(size, bool) or not isinstance(size, int):
        raise TypeError(f"image_folder: size wants an int, got {size!r}")
    if size < 1:
        raise ValueError(f"image_folder: size wants at least 1, got {size}")
    paths, labels = _list_images(Path(path))
    images = np.empty((len(paths), 3, size, size), np.float32)
    unreadable = []
    for image, image_path in zip(images, paths, strict=True):
        try:
            image[...] = _read_image(image_path, size)
        except (OSError, ValueError, SyntaxError) as error:  # what Pillow raises for broken files
            unreadable.append(f"{image_path} ({error})")
    if unreadable:
        raise DataError(
            f"image_folder: {len(unreadable)} of {len(paths)} images cannot be read, the first is "
            f"{unreadable[0]}; repair or remove them"
        )
    return _split(images, labels)


def _list_images(root: Path) -> tuple[list[Path], np.ndarray]:
    if not root.is_dir():
        raise DataError(f"image_folder: {root} is not a folder")
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    paths: list[Path] = []
    labels: list[int] = []
    for label, folder in enumerate(folders):
        found = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".png", ".jpg", ".jpeg"))
        if len(found) < 2:
            raise DataError(
                f"image_folder: {folder} wants at least 2 PNG or JPEG images, one to train with "
                f"and one to test, got {len(found)}"
            )
        paths += found
        labels += [label] * len(found)
    if not paths:
        raise DataError(f"image_folder: {root} wants one subfolder of images a class, got none")
    return paths, np.array(labels, dtype=np.int64)


def _read_image(path: Path, size: int) -> np.ndarray:
    """One image file as a (3, size, size) array in [0, 1]."""
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("image_folder: needs Pillow; pip install pillow") from None
    with Image.open(path) as opened:
        if opened.mode.startswith(("I", "F")):  # Pillow would cut their values off at 255
            raise ValueError(f"its mode {opened.mode!r} has more than 8 bits a channel")
        image = opened.convert("RGB")
    shorter = min(image.size)
    width, height = (max(size, round(n * size / shorter)) for n in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - size) // 2, (height - size) // 2
    image = image.crop((left, top, left + size, top + size))
    values: Any = np.asarray(image)
    return np.divide(values, np.float32(255.0)).transpose(2, 0, 1)
