"""Run folders and checkpoints: what is written comes back, and no file is ever torn."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from models.run import Run, RunError

numbers = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**130), 2**130), st.floats(allow_nan=False), st.text()
)
nested = st.recursive(
    numbers,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text() | st.integers(), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(state=st.dictionaries(st.text(), nested, max_size=4))
def test_numbers_and_strings_come_back_from_a_checkpoint(state, tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("run"))
    run.write_checkpoint(state)
    assert run.read_checkpoint() == state


def test_arrays_come_back_whatever_their_layout(tmp_path):
    x = np.arange(12.0).reshape(3, 4)
    arrays = {"T": x.T, "step": x[:, ::2], "scalar": np.array(3, dtype="int64"), "none": x[:0]}
    run = Run(tmp_path)
    run.write_checkpoint({"state": {0: arrays, 1: [mg.tensor([1.0, 2.0])]}})
    state = run.read_checkpoint()["state"]
    for name, array in arrays.items():
        np.testing.assert_array_equal(state[0][name], array)
        assert state[0][name].dtype == array.dtype
    np.testing.assert_array_equal(state[1][0], np.array([1.0, 2.0], dtype="float32"))


def test_a_new_run_gets_the_first_free_number(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = {"model": "mlp", "dataset": "digits"}
    paths = [str(Run.create(None, config).path) for _ in range(3)]
    assert paths == [f"runs/mlp-digits-{n}" for n in (1, 2, 3)]
    assert Run(Run.create(None, config).path).config() == config


def test_an_existing_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(RunError, match="exists already; name another folder"):
        Run.create(tmp_path, {})
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_place_where_no_folder_can_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot make the folder"):
        Run.create(tmp_path / "file" / "run", {})


def test_metrics_are_one_object_a_line(tmp_path):
    run = Run(tmp_path)
    history = [{"epoch": 1, "train_loss": 0.1 + 0.2}, {"epoch": 2, "train_loss": 1e-30}]
    run.write_metrics(history)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == history


@pytest.mark.parametrize("content", [b"", b"\x00" * 7, b"not a checkpoint at all"])
def test_a_broken_checkpoint_is_refused_by_name(tmp_path, content):
    (tmp_path / "checkpoint.safetensors").write_bytes(content)
    with pytest.raises(RunError, match="is no checkpoint of a run"):
        Run(tmp_path).read_checkpoint()


def test_a_file_of_weights_is_no_checkpoint(tmp_path):
    mg.save(tmp_path / "checkpoint.safetensors", {"weight": np.zeros(3)})
    with pytest.raises(RunError, match="is no checkpoint of a run"):
        Run(tmp_path).read_checkpoint()


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path):
    run = Run(tmp_path)
    run.write_checkpoint({"epoch": 1})
    with pytest.raises(TypeError):
        run.write_checkpoint({"epoch": object()})
    assert run.read_checkpoint() == {"epoch": 1}
    assert len(list(tmp_path.iterdir())) == 1
