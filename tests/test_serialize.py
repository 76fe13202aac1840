"""save, load and write_atomically: whole files or none."""

import os
import sys

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.serialize import load, save, write_atomically

safetensors_numpy = pytest.importorskip("safetensors.numpy", reason="save needs safetensors")


def same(loaded, wanted):
    assert isinstance(loaded, mg.Tensor)
    assert loaded.dtype == wanted.dtype.newbyteorder("=")
    assert loaded.shape == wanted.shape
    assert loaded.numpy().tobytes() == wanted.astype(loaded.dtype).tobytes()


base = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
arrays = {
    "plain": base,
    "transposed": base.T,
    "fortran order": np.asfortranarray(base[0]),
    "every other": base[:, ::2],
    "reversed": base[..., ::-1],
    "broadcast": np.broadcast_to(base[0, 0], (3, 4)),
    "no axes": np.array(2.5),
    "scalar": np.float32(1.5),
    "no elements": np.zeros((0, 3), np.float64),
    "big-endian": np.arange(5, dtype=">i4"),
    "nan": np.array([np.nan, -0.0, np.inf]),
    **{str(t): np.arange(3).astype(t) for t in ("f2", "f8", "i1", "i2", "i8", "u1", "u4", "u8")},
    "bool": np.array([True, False]),
}


@pytest.mark.parametrize("name", arrays)
def test_an_array_comes_back_bit_for_bit(tmp_path, name):
    save(tmp_path / "file", {name: arrays[name]})
    loaded = load(tmp_path / "file")
    assert list(loaded) == [name]
    same(loaded[name], np.asarray(arrays[name]))


def test_all_of_them_in_one_file_and_as_others_read_it(tmp_path):
    save(tmp_path / "file", arrays)
    assert set(load(tmp_path / "file")) == set(arrays)
    for name, array in safetensors_numpy.load_file(tmp_path / "file").items():
        assert array.tobytes() == np.asarray(arrays[name]).astype(array.dtype).tobytes()


def test_a_state_dict_comes_back(tmp_path):
    mg.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    save(tmp_path / "weights.safetensors", network.state_dict())
    mg.manual_seed(1)
    other = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    other.load_state_dict(load(tmp_path / "weights.safetensors"))
    for (name, a), (_, b) in zip(
        network.state_dict().items(), other.state_dict().items(), strict=True
    ):
        assert (a.numpy() == b.numpy()).all(), name


def test_what_is_loaded_can_be_written(tmp_path):
    save(tmp_path / "file", {"x": base})
    loaded = load(tmp_path / "file")["x"]
    loaded.array[...] = 1.0
    assert loaded.numpy().sum() == 24.0


def test_an_empty_mapping_makes_an_empty_file_of_the_format(tmp_path):
    save(tmp_path / "file", {})
    assert load(tmp_path / "file") == {}


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ([base], "tensors wants a mapping"),
        ({1: base}, "tensors wants names that are strings, got 1"),
        ({"x": [1.0, 2.0]}, r"tensors\['x'\] wants a Tensor or an array"),
        ({"x": np.array(["a"])}, r"tensors\['x'\] wants floats"),
        ({"x": np.array([1j])}, r"tensors\['x'\] wants floats"),
        ({"x": np.zeros(2, np.longdouble)}, r"tensors\['x'\] wants floats"),
    ],
)
def test_save_refuses(tmp_path, tensors, words):
    with pytest.raises(TypeError, match=f"save: {words}"):
        save(tmp_path / "file", tensors)
    assert list(tmp_path.iterdir()) == []


def test_load_of_a_missing_file_names_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"load: there is no file .*absent"):
        load(tmp_path / "absent")


@pytest.mark.parametrize("keep", [0, 4, 30, -1])
def test_load_of_a_truncated_file_names_it(tmp_path, keep):
    path = tmp_path / "short.safetensors"
    save(path, {"x": base})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"load: .*short\.safetensors is not a whole safetensors"):
        load(path)


def test_load_of_another_format_names_it(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("these are not the weights you are looking for")
    with pytest.raises(ValueError, match=r"load: .*notes\.txt is not a whole safetensors"):
        load(path)


def test_load_of_a_dtype_that_numpy_lacks_names_the_file(tmp_path):
    path = tmp_path / "brain.safetensors"
    header = b'{"x":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(ValueError, match=r"load: .*brain\.safetensors .*BF16"):
        load(path)


@pytest.mark.parametrize("call", [lambda p: save(p, {"x": base}), load])
def test_without_safetensors_says_what_to_install(tmp_path, monkeypatch, call):
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match="pip install safetensors"):
        call(tmp_path / "file")


def test_write_atomically_replaces_the_whole_file(tmp_path):
    path = tmp_path / "log.txt"
    write_atomically(path, "long old text")
    write_atomically(str(path), "né")
    assert path.read_bytes() == "né".encode()
    write_atomically(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert [p.name for p in tmp_path.iterdir()] == ["log.txt"]


def test_write_atomically_respects_the_umask(tmp_path):
    write_atomically(tmp_path / "a", "text")
    (tmp_path / "b").write_text("text")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step):
    path = tmp_path / "weights.safetensors"
    save(path, {"x": base})
    before = path.read_bytes()

    def fail(*arguments):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="no space left"):
        save(path, {"x": base + 1})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_write_atomically_wants_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*absent"):
        write_atomically(tmp_path / "absent" / "file", "text")
