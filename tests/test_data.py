"""minigrad.data: sets of samples, loaders, and files that are not what they should be."""

import functools
import gzip
import hashlib
import http.server
import io
import json
import os
import struct
import sys
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import data
from minigrad.data import files, sets

# -- Data sets ------------------------------------------------------------------------------------


class Squares(data.Dataset):
    """Samples (array, number) that exist only when asked for."""

    def __len__(self):
        return 7

    def __getitem__(self, index):
        return np.full((2, 3), index, np.float32), index * index


def test_tensor_dataset_gives_samples_slices_and_whole_batches():
    x = np.arange(12.0, dtype=np.float32).reshape(6, 2)
    label = np.arange(6)
    dataset = data.TensorDataset(x, mg.tensor(label))
    assert len(dataset) == 6
    one_x, one_label = dataset[4]
    assert one_x.numpy().tolist() == [8.0, 9.0]
    assert one_label.item() == 4
    assert dataset[1:3][0].shape == (2, 2)
    many_x, many_label = dataset.gather(np.array([5, 0, 5]))
    assert many_x.numpy().tolist() == [[10.0, 11.0], [0.0, 1.0], [10.0, 11.0]]
    assert many_label.numpy().tolist() == [5, 0, 5]
    assert dataset.tensors[0].array is x


@pytest.mark.parametrize(
    ("tensors", "error", "words"),
    [
        ((), TypeError, "at least one tensor"),
        ((np.zeros(3), np.zeros(4)), ValueError, r"\[3, 4\]"),
        ((np.zeros(3), np.float32(1.0)), ValueError, r"tensors\[1\]"),
    ],
)
def test_tensor_dataset_refuses(tensors, error, words):
    with pytest.raises(error, match=f"TensorDataset.*{words}"):
        data.TensorDataset(*tensors)


def test_a_set_of_ones_own_is_stacked_part_by_part():
    x, y = next(iter(data.DataLoader(Squares(), batch_size=3)))
    assert x.shape == (3, 2, 3)
    assert x.dtype == np.float32
    assert x.numpy()[:, 0, 0].tolist() == [0.0, 1.0, 2.0]
    assert y.numpy().tolist() == [0, 1, 4]


def test_samples_that_are_no_tuples_make_batches_that_are_no_tuples():
    class Plain(data.Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            return mg.tensor([float(index)])

    batch = next(iter(data.DataLoader(Plain(), batch_size=4)))
    assert isinstance(batch, mg.Tensor)
    assert batch.numpy().tolist() == [[0.0], [1.0], [2.0], [3.0]]


def test_a_set_without_its_methods_says_which_it_wants():
    with pytest.raises(NotImplementedError, match="__len__"):
        len(data.Dataset())
    with pytest.raises(NotImplementedError, match="__getitem__"):
        data.Dataset()[0]


def test_subset_gathers_through_the_set_beneath():
    dataset = data.TensorDataset(np.arange(10))
    subset = data.Subset(data.Subset(dataset, [9, 7, 5, 3]), [3, 0])
    assert len(subset) == 2
    assert subset[1][0].item() == 9
    assert subset.gather(np.array([0, 1]))[0].numpy().tolist() == [3, 9]
    with pytest.raises(IndexError, match="Subset: indices"):
        data.Subset(dataset, [0, 10])


# -- random_split ---------------------------------------------------------------------------------


@given(
    n=st.integers(10, 60),
    seed=st.integers(0, 2**32),
    shares=st.sampled_from([[0.5, 0.5], [0.8, 0.1, 0.1], [1 / 3] * 3]),
)
def test_random_split_shares_out_every_sample_once(n, seed, shares):
    dataset = data.TensorDataset(np.arange(n))
    parts = data.random_split(dataset, shares, seed)
    drawn = np.concatenate([part.indices for part in parts])
    assert sorted(drawn.tolist()) == list(range(n))
    for part, share in zip(parts, shares, strict=True):
        assert abs(len(part) - n * share) <= 1
    again = data.random_split(dataset, shares, seed)
    assert [p.indices.tolist() for p in parts] == [p.indices.tolist() for p in again]


def test_random_split_by_counts_follows_manual_seed():
    dataset = data.TensorDataset(np.arange(10))
    orders = []
    for seed in (1, 1, 2):
        mg.manual_seed(seed)
        first, second = data.random_split(dataset, [7, 3])
        assert (len(first), len(second)) == (7, 3)
        orders.append(first.indices.tolist())
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize("lengths", [[5, 4], [11, -1], [0.5, 0.4], [1.5, -0.5], [10, 0], []])
def test_random_split_refuses_lengths_that_do_not_add_up(lengths):
    with pytest.raises(ValueError, match="random_split: lengths"):
        data.random_split(data.TensorDataset(np.arange(10)), lengths)


# -- DataLoader -----------------------------------------------------------------------------------


@given(
    n=st.integers(1, 40), size=st.integers(1, 12), shuffle=st.booleans(), drop_last=st.booleans()
)
def test_an_epoch_deals_out_every_sample_once(n, size, shuffle, drop_last):
    dataset = data.TensorDataset(np.arange(n), np.arange(n) * 2)
    if drop_last and size > n:
        with pytest.raises(ValueError, match="drop_last"):
            data.DataLoader(dataset, size, shuffle, drop_last)
        return
    loader = data.DataLoader(dataset, size, shuffle, drop_last, seed=0)
    batches = list(loader)
    assert len(batches) == len(loader) == (n // size if drop_last else -(-n // size))
    seen = np.concatenate([x.numpy() for x, _ in batches]).tolist()
    assert all((y.numpy() == 2 * x.numpy()).all() for x, y in batches)
    assert len(set(seen)) == len(seen) == (n - n % size if drop_last else n)
    if not shuffle:
        assert seen == list(range(len(seen)))


def epoch(loader):
    return np.concatenate([x.numpy() for (x,) in loader]).tolist()


def test_every_epoch_has_a_fresh_order_and_a_seed_repeats_them_all():
    dataset = data.TensorDataset(np.arange(50))
    first, second = (data.DataLoader(dataset, 8, shuffle=True, seed=3) for _ in range(2))
    orders = [epoch(first) for _ in range(3)]
    assert [epoch(second) for _ in range(3)] == orders
    assert orders[0] != orders[1] != orders[2]
    assert orders[0] != list(range(50))
    assert epoch(data.DataLoader(dataset, 8, shuffle=True, seed=4)) != orders[0]


def test_other_random_numbers_do_not_disturb_the_order():
    dataset = data.TensorDataset(np.arange(50))
    orders = []
    for draws in (0, 5):
        mg.manual_seed(7)
        loader = data.DataLoader(dataset, 8, shuffle=True)
        mg.rand(draws)
        orders.append([epoch(loader), epoch(loader)])
    assert orders[0] == orders[1]


def test_two_passes_at_once_do_not_mix():
    loader = data.DataLoader(data.TensorDataset(np.arange(20)), 4, shuffle=True, seed=0)
    pairs = [(a.numpy(), b.numpy()) for (a,), (b,) in zip(loader, loader, strict=True)]
    for side in (0, 1):
        assert sorted(np.concatenate([pair[side] for pair in pairs]).tolist()) == list(range(20))


def test_state_goes_on_exactly_after_a_trip_through_json():
    dataset = data.TensorDataset(np.arange(30))
    loader = data.DataLoader(dataset, 7, shuffle=True, seed=11)
    epoch(loader)
    state = json.loads(json.dumps(loader.state_dict()))
    wanted = [epoch(loader), epoch(loader)]
    resumed = data.DataLoader(dataset, 7, shuffle=True, seed=99)
    resumed.load_state_dict(state)
    assert [epoch(resumed), epoch(resumed)] == wanted


@pytest.mark.parametrize("state", [{}, {"bit_generator": "MT19937"}, None])
def test_a_strange_state_is_refused(state):
    loader = data.DataLoader(data.TensorDataset(np.arange(3)))
    with pytest.raises(ValueError, match="load_state_dict: state"):
        loader.load_state_dict(state)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"batch_size": 0}, ValueError, "batch_size wants at least 1, got 0"),
        ({"batch_size": -3}, ValueError, "batch_size"),
        ({"batch_size": 2.5}, TypeError, "batch_size wants an int, got 2.5"),
        ({"batch_size": True}, TypeError, "batch_size"),
        ({"seed": -1}, ValueError, "seed"),
        ({"seed": 0.5}, ValueError, "seed"),
    ],
)
def test_loader_refuses(arguments, error, words):
    with pytest.raises(error, match=f"DataLoader: {words}"):
        data.DataLoader(data.TensorDataset(np.arange(3)), **arguments)


def test_an_empty_set_is_refused():
    with pytest.raises(ValueError, match="DataLoader: dataset wants at least one sample"):
        data.DataLoader(data.TensorDataset(np.zeros((0, 4))))


def test_an_unknown_argument_is_refused():
    with pytest.raises(TypeError, match="num_workers"):
        data.DataLoader(data.TensorDataset(np.arange(3)), num_workers=2)


def test_batches_are_gathered_in_one_operation_each():
    class Counted(data.TensorDataset):
        calls = 0

        def gather(self, indices):
            Counted.calls += 1
            return super().gather(indices)

        def __getitem__(self, index):
            raise AssertionError("asked for samples one by one")

    loader = data.DataLoader(Counted(np.arange(100)), 10, shuffle=True)
    assert sorted(epoch(loader)) == list(range(100))
    assert Counted.calls == 10


# -- digits ---------------------------------------------------------------------------------------


def is_image_set(dataset, n, shape):
    images, labels = dataset.tensors
    assert images.shape == (n, *shape)
    assert images.dtype == np.float32
    assert labels.shape == (n,)
    assert labels.dtype == np.int64
    assert images.numpy().min() >= 0.0
    assert images.numpy().max() <= 1.0
    return images.numpy(), labels.numpy()


def test_digits_are_all_there_and_split_by_class():
    train, test = data.digits()
    train_images, train_labels = is_image_set(train, 1435, (1, 8, 8))
    test_images, test_labels = is_image_set(test, 362, (1, 8, 8))
    assert train_images.max() == test_images.max() == 1.0
    counts = np.bincount(np.concatenate([train_labels, test_labels]))
    assert counts.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]  # UCI's table
    assert (abs(np.bincount(test_labels) - counts / 5) < 1).all()
    shared = {image.tobytes() for image in train_images} & {i.tobytes() for i in test_images}
    assert len(shared) == 0
    again, _ = data.digits()
    assert (again.tensors[0].numpy() == train_images).all()


def test_digits_are_those_of_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets", reason="compares with scikit-learn's copy")
    original = datasets.load_digits()
    stored = {}
    for part in data.digits():
        images, labels = part.tensors
        for image, label in zip(images.numpy(), labels.numpy(), strict=True):
            stored[(image[0] * 16.0).astype(np.uint8).tobytes()] = label
    for image, label in zip(original.images, original.target, strict=True):
        assert stored[image.astype(np.uint8).tobytes()] == label


# -- MNIST and Fashion-MNIST ----------------------------------------------------------------------

real = os.environ.get("MINIGRAD_DATA")


@pytest.mark.skipif(
    not (real and Path(real, "mnist").is_dir()), reason="MINIGRAD_DATA holds no folder mnist"
)
def test_the_real_mnist():
    train, test = data.mnist()
    images, labels = is_image_set(train, 60000, (1, 28, 28))
    assert labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert np.bincount(labels)[1] == 6742
    assert images.mean() == pytest.approx(0.1307, abs=1e-4)  # the figure everybody normalises with
    _, labels = is_image_set(test, 10000, (1, 28, 28))
    assert labels[:5].tolist() == [7, 2, 1, 0, 4]


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


def mnist_files(n_train=3, n_test=2):
    """The content of the four files of a small set, before compression."""
    rng = np.random.default_rng(0)
    made = {}
    for part, n in (("train", n_train), ("t10k", n_test)):
        made[f"{part}-images-idx3-ubyte.gz"] = idx(rng.integers(0, 256, (n, 28, 28), np.uint8))
        made[f"{part}-labels-idx1-ubyte.gz"] = idx(np.arange(n, dtype=np.uint8))
    return made


def write(folder, contents):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(gzip.compress(content))


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """An empty MINIGRAD_DATA, an empty cache, and no server at the other end."""
    folder = tmp_path / "originals"
    folder.mkdir()
    monkeypatch.setenv("MINIGRAD_DATA", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("MNIST", "FASHION_MNIST", "CIFAR10"):
        remote = getattr(sets, name)
        nowhere = files.Remote(remote.name, "http://127.0.0.1:9/", remote.checksums)
        monkeypatch.setattr(sets, name, nowhere)
    return folder


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_original_files_are_read_from_the_named_folder(offline, name):
    contents = mnist_files()
    write(offline / name, contents)
    train, test = getattr(data, name)()
    images, labels = is_image_set(train, 3, (1, 28, 28))
    assert labels.tolist() == [0, 1, 2]
    raw = np.frombuffer(contents["train-images-idx3-ubyte.gz"], np.uint8, offset=16)
    assert images.reshape(-1) == pytest.approx(raw / 255.0, abs=1e-7)
    is_image_set(test, 2, (1, 28, 28))


def both_ways(error, *words):
    """An error names the file and what is wrong with it, and both ways to get it."""
    message = str(error.value)
    for word in (*words, "set MINIGRAD_DATA", "pip install pooch"):
        assert word in message
    assert "\n" not in message


images_file, labels_file = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        (images_file, b"", "not an IDX file"),
        (images_file, b"\x00\x00\x08", "not an IDX file"),
        (images_file, b"\x01\x00\x08\x03" + bytes(12), "not an IDX file"),
        (images_file, idx(np.zeros((2, 28, 28), np.uint8)).replace(b"\x08", b"\x0d", 1), "not an"),
        (images_file, idx(np.zeros(3, np.uint8)), "3 axes"),
        (images_file, idx(np.zeros((3, 14, 14), np.uint8)), "(14, 14), not (28, 28)"),
        (images_file, idx(np.zeros((3, 28, 28), np.uint8))[:-1], "but holds 2351"),
        (images_file, idx(np.zeros((3, 28, 28), np.uint8)) + b"x", "but holds 2353"),
        (
            images_file,
            b"\x00\x00\x08\x03" + struct.pack(">3I", 2**32 - 1, 28, 28),
            "promises 3367254359280 values",
        ),
        (images_file, idx(np.zeros((0, 28, 28), np.uint8)), "holds no image"),
        (labels_file, idx(np.zeros(2, np.uint8)), "2 labels for the 3 images"),
        (labels_file, idx(np.array([0, 10, 1], np.uint8)), "label 10"),
        (labels_file, idx(np.zeros((3, 28, 28), np.uint8)), "1 axes"),
    ],
)
def test_a_wrong_idx_file_is_named(offline, file, content, words):
    contents = mnist_files()
    contents[file] = content
    write(offline / "mnist", contents)
    with pytest.raises(data.DataError) as error:
        data.mnist()
    both_ways(error, str(offline / "mnist" / file), words)


@pytest.mark.parametrize("damage", ["truncated", "not gzip", "wrong checksum", "bad block"])
def test_a_damaged_gzip_file_is_named(offline, damage):
    write(offline / "mnist", mnist_files())
    path = offline / "mnist" / images_file
    whole = path.read_bytes()
    path.write_bytes(
        {
            "truncated": whole[: len(whole) // 2],
            "not gzip": b"<html>404</html>",
            "wrong checksum": whole[:-8] + bytes(8),
            "bad block": whole[:10] + b"\xff" * 20 + whole[30:],
        }[damage]
    )
    with pytest.raises(data.DataError) as error:
        data.mnist()
    both_ways(error, str(path), "not a whole gzip file")


def test_a_missing_file_in_the_named_folder_is_named(offline):
    contents = mnist_files()
    del contents["t10k-labels-idx1-ubyte.gz"]
    write(offline / "mnist", contents)
    with pytest.raises(data.DataError) as error:
        data.mnist()
    both_ways(error, str(offline / "mnist" / "t10k-labels-idx1-ubyte.gz"), "is missing")


# -- CIFAR-10 -------------------------------------------------------------------------------------

cifar_names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]


def cifar_files():
    rng = np.random.default_rng(1)
    made = {}
    for i, name in enumerate(cifar_names):
        records = rng.integers(0, 256, (2, 3073)).astype(np.uint8)
        records[:, 0] = (i, 9)
        made[f"cifar-10-batches-bin/{name}"] = records.tobytes()
    return made


def write_archive(path, contents):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def write_folder(path, contents):
    for name, content in contents.items():
        target = path.parent / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


both_layouts = pytest.mark.parametrize("writer", [write_archive, write_folder])


@both_layouts
def test_cifar10_is_read_from_the_archive_and_from_its_files(offline, writer):
    contents = cifar_files()
    writer(offline / "cifar10" / "cifar-10-binary.tar.gz", contents)
    train, test = data.cifar10()
    images, labels = is_image_set(train, 10, (3, 32, 32))
    assert labels.tolist() == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]
    second = np.frombuffer(contents["cifar-10-batches-bin/data_batch_1.bin"], np.uint8)[3074:]
    assert images[1].reshape(-1) == pytest.approx(second / 255.0, abs=1e-7)
    _, labels = is_image_set(test, 2, (3, 32, 32))
    assert labels.tolist() == [5, 9]


@both_layouts
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "has 0 bytes"),
        (bytes(3073 + 5), "has 3078 bytes"),
        (b"\x0a" + bytes(3072), "label 10"),
    ],
)
def test_wrong_records_are_named(offline, writer, content, words):
    contents = cifar_files()
    contents["cifar-10-batches-bin/data_batch_3.bin"] = content
    writer(offline / "cifar10" / "cifar-10-binary.tar.gz", contents)
    with pytest.raises(data.DataError) as error:
        data.cifar10()
    both_ways(error, "data_batch_3.bin", words)


@both_layouts
def test_missing_records_are_named(offline, writer):
    contents = cifar_files()
    del contents["cifar-10-batches-bin/test_batch.bin"]
    writer(offline / "cifar10" / "cifar-10-binary.tar.gz", contents)
    with pytest.raises(data.DataError) as error:
        data.cifar10()
    both_ways(error, "test_batch.bin")


@pytest.mark.parametrize("keep", [0, 10, 0.5])
def test_a_truncated_archive_is_named(offline, keep):
    path = offline / "cifar10" / "cifar-10-binary.tar.gz"
    write_archive(path, cifar_files())
    whole = path.read_bytes()
    path.write_bytes(whole[: keep if isinstance(keep, int) else int(keep * len(whole))])
    with pytest.raises(data.DataError) as error:
        data.cifar10()
    both_ways(error, str(path), "not the whole archive")


def test_an_archive_with_a_spoilt_block_is_named(offline):
    rng = np.random.default_rng(2)
    contents = {name: rng.integers(0, 10, 3073 * 40, np.uint8).tobytes() for name in cifar_files()}
    path = offline / "cifar10" / "cifar-10-binary.tar.gz"
    write_archive(path, contents)
    whole = path.read_bytes()
    half = len(whole) // 2
    path.write_bytes(whole[:half] + b"\xff" * 50 + whole[half + 50 :])
    with pytest.raises(data.DataError) as error:
        data.cifar10()
    both_ways(error, str(path), "not the whole archive")


# -- Downloads ------------------------------------------------------------------------------------


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(tmp_path):
    """A folder that a local server publishes, and its address."""
    folder = tmp_path / "published"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield folder, f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()
        thread.join()


def published(server, monkeypatch):
    """A small MNIST on the server, with the right checksums; returns where."""
    folder, url = server
    write(folder, mnist_files())
    checksums = {
        path.name: "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
    }
    monkeypatch.setattr(sets, "MNIST", files.Remote("mnist", url, checksums))
    return folder


def test_a_download_is_checked_and_kept(offline, server, tmp_path, monkeypatch):
    pytest.importorskip("pooch", reason="downloads need pooch")
    folder = published(server, monkeypatch)
    train, _ = data.mnist()
    is_image_set(train, 3, (1, 28, 28))
    cached = tmp_path / "cache" / "minigrad" / "mnist"
    names = sorted(mnist_files())
    assert sorted(path.name for path in cached.iterdir()) == names
    for path in list(folder.iterdir()):
        path.unlink()
    assert len(data.mnist()[0]) == 3  # from the cache


def test_a_download_with_a_wrong_checksum_leaves_nothing(offline, server, tmp_path, monkeypatch):
    pytest.importorskip("pooch", reason="downloads need pooch")
    folder = published(server, monkeypatch)
    whole = (folder / images_file).read_bytes()
    (folder / images_file).write_bytes(whole[:-1])
    cached = tmp_path / "cache" / "minigrad" / "mnist"
    with pytest.raises(data.DataError) as error:
        data.mnist()
    both_ways(error, str(cached / images_file), "cannot be downloaded", "hash")
    assert list(cached.iterdir()) == []
    (folder / images_file).write_bytes(whole)
    assert len(data.mnist()[0]) == 3


def test_a_spoilt_cache_is_fetched_again(offline, server, tmp_path, monkeypatch):
    pytest.importorskip("pooch", reason="downloads need pooch")
    published(server, monkeypatch)
    data.mnist()
    cached = tmp_path / "cache" / "minigrad" / "mnist" / images_file
    cached.write_bytes(cached.read_bytes()[:-5])
    assert len(data.mnist()[0]) == 3


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_offline_and_absent_says_both_ways(offline, tmp_path, name):
    pytest.importorskip("pooch", reason="downloads need pooch")
    with pytest.raises(data.DataError) as error:
        getattr(data, name)()
    file = {"cifar10": "cifar-10-binary.tar.gz"}.get(name, images_file)
    both_ways(error, str(tmp_path / "cache" / "minigrad" / name / file), "cannot be downloaded")


def test_without_pooch_says_both_ways(offline, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(data.DataError) as error:
        data.mnist()
    both_ways(error, images_file, "pooch is not installed")


def test_published_checksums_are_well_formed_and_urls_safe():
    for remote in (sets.MNIST, sets.FASHION_MNIST, sets.CIFAR10):
        assert remote.url.startswith("https://")
        for checksum in remote.checksums.values():
            algorithm, digest = checksum.split(":")
            assert len(digest) == 2 * hashlib.new(algorithm).digest_size


# -- image_folder ---------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path):
    """A folder of two classes, seven red and five blue images of different sizes and modes."""
    image = pytest.importorskip("PIL.Image", reason="image_folder needs Pillow")
    root = tmp_path / "pictures"
    for name, colour, n in (("red", (255, 0, 0), 7), ("blue", (0, 0, 255), 5)):
        (root / name).mkdir(parents=True)
        for i in range(n):
            made = image.new("RGB", (10 + 3 * i, 12), colour)
            made.save(root / name / f"{i}.{'jpg' if i == 2 else 'png'}", quality=95)
    (root / "red" / "notes.txt").write_text("not an image")
    (root / ".hidden").mkdir()
    return root


def test_image_folder_reads_classes_in_alphabetical_order(pictures):
    train, test = data.image_folder(pictures, 8)
    images, labels = is_image_set(train, 9, (3, 8, 8))
    test_images, test_labels = is_image_set(test, 3, (3, 8, 8))
    assert np.bincount(labels).tolist() == [4, 5]
    assert np.bincount(test_labels).tolist() == [1, 2]
    every_image, every_label = np.concatenate([images, test_images]), [*labels, *test_labels]
    for image, label in zip(every_image, every_label, strict=True):
        blue, red = (1.0, 0.0) if label == 0 else (0.0, 1.0)
        assert image.mean(axis=(1, 2)) == pytest.approx([red, 0.0, blue], abs=0.02)


def test_image_folder_keeps_the_centre(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="image_folder needs Pillow")
    stripes = np.zeros((8, 24, 3), np.uint8)
    stripes[:, 8:16] = (255, 128, 0)
    (tmp_path / "a").mkdir()
    for i, pixels in enumerate([stripes, stripes.transpose(1, 0, 2)]):
        image.fromarray(np.ascontiguousarray(pixels)).save(tmp_path / "a" / f"{i}.png")
    for part in data.image_folder(tmp_path, 8):
        (picture,) = part.tensors[0].numpy()
        wanted = np.array([255, 128, 0], np.float32) / np.float32(255)
        assert (picture == wanted[:, None, None]).all()


def test_unreadable_images_are_counted_and_the_first_is_named(pictures):
    (pictures / "red" / "4.png").write_bytes((pictures / "red" / "4.png").read_bytes()[:60])
    (pictures / "red" / "5.png").write_bytes(b"not a PNG")
    with pytest.raises(data.DataError, match=r"2 of 12 images cannot be read.*red/4\.png"):
        data.image_folder(pictures, 8)


def test_images_of_more_than_eight_bits_are_not_cut_off(pictures):
    image = pytest.importorskip("PIL.Image")
    image.fromarray(np.full((9, 9), 40000, np.uint16)).save(pictures / "blue" / "0.png")
    with pytest.raises(data.DataError, match=r"1 of 12.*blue/0\.png.*8 bits"):
        data.image_folder(pictures, 8)


def test_image_folder_refuses_what_holds_no_images(tmp_path, pictures):
    with pytest.raises(data.DataError, match=r"nowhere is not a folder"):
        data.image_folder(tmp_path / "nowhere", 8)
    with pytest.raises(data.DataError, match=r"wants one subfolder"):
        data.image_folder(pictures / "red", 8)
    (pictures / "empty").mkdir()
    with pytest.raises(data.DataError, match=r"empty wants at least 2 PNG or JPEG images.*got 0"):
        data.image_folder(pictures, 8)


@pytest.mark.parametrize(("size", "error"), [(0, ValueError), (-4, ValueError), (8.0, TypeError)])
def test_image_folder_refuses_a_size(pictures, size, error):
    with pytest.raises(error, match="image_folder: size"):
        data.image_folder(pictures, size)


def test_image_folder_without_pillow_says_what_to_install(pictures, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match="pip install pillow"):
        data.image_folder(pictures, 8)
