"""``python -m models``: what it writes, what it says, and how it goes on after an interruption."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
import models
from models import pictures
from models.architecture import Settings, architectures
from models.data import DATA_SETS
from models.training import Training, accuracy
from tests.commands import command

ROOT = Path(__file__).parent.parent
SMALL = {
    "mlp": ["--epochs", "3", "--hidden", "8"],
    "lenet": ["--epochs", "3", "--batch-size", "128"],
    "perceptron": ["--epochs", "3"],
    "alexnet": ["--epochs", "3", "--batch-size", "128", "--size", "22", "--width", "0.02"],
    "lstm": ["--epochs", "3", "--batch-size", "64", "--hidden", "16"],
}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)


def metrics(run):
    return [json.loads(line) for line in Path(run, "metrics.jsonl").read_text().splitlines()]


def without_seconds(history):
    return [{k: v for k, v in entry.items() if k != "seconds"} for entry in history]


# -- What a run leaves behind ---------------------------------------------------------------------


@pytest.mark.parametrize("model", SMALL)
def test_a_run_folder_has_all_its_files(model, capsys):
    assert command("train", model, *SMALL[model], "--seed", "3", "--out", "run") == 0
    assert sorted(path.name for path in Path("run").iterdir()) == [
        "checkpoint.safetensors",
        "config.json",
        "metrics.jsonl",
        "model.safetensors",
        "pictures",
    ]
    pictures = sorted(path.name for path in Path("run/pictures").iterdir())
    assert {"confusion.png", "curves.png", "mistakes.png"} < set(pictures)
    out, err = capsys.readouterr()
    assert [line for line in out.splitlines() if line.endswith(".png")] == [
        f"run/pictures/{name}" for name in pictures
    ]
    assert "images/s" in err
    assert "train_loss" in err
    assert "test_accuracy" in err
    assert len(err.splitlines()) == 3  # one line an epoch where nobody watches a terminal


@pytest.mark.parametrize("model", SMALL)
def test_metrics_have_one_object_an_epoch(model):
    assert command("train", model, *SMALL[model], "--out", "run", "--quiet") == 0
    history = metrics("run")
    assert [entry["epoch"] for entry in history] == [1, 2, 3]
    for entry in history:
        assert entry["seconds"] >= 0.0
        assert entry["train_loss"] > 0.0
        assert 0.0 <= entry["test_accuracy"] <= 1.0
    assert history[-1]["train_loss"] < history[0]["train_loss"]


def test_the_configuration_says_what_was_asked():
    assert command("train", "mlp", "--epochs", "1", "--lr", "0.01", "--out", "run", "--quiet") == 0
    config = json.loads(Path("run/config.json").read_text())
    assert (config["model"], config["dataset"], config["backend"]) == ("mlp", "digits", "numpy")
    expected = {**architectures()["mlp"].settings["digits"], "epochs": 1, "lr": 0.01, "seed": 0}
    assert config["settings"] == expected
    assert config["versions"]["minigrad"] == mg.__version__


def test_the_weights_are_those_of_the_last_epoch():
    assert command("train", "lenet", *SMALL["lenet"], "--out", "run", "--quiet") == 0
    settings = Settings(**architectures()["lenet"].settings["digits"])
    network = architectures()["lenet"].build(DATA_SETS["digits"], settings)
    network.load_state_dict(mg.load("run/model.safetensors"))
    _, test = DATA_SETS["digits"].read()
    assert accuracy(network, test) == metrics("run")[-1]["test_accuracy"]


def test_quiet_prints_the_last_line_alone(capsys):
    assert command("train", "mlp", *SMALL["mlp"], "--quiet") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert len(out.splitlines()) == 1
    accuracy_at_the_end = metrics("runs/mlp-digits-1")[-1]["test_accuracy"]
    assert out.startswith(f"mlp on digits: test_accuracy {accuracy_at_the_end:.4f} after 3 epochs")
    assert out.endswith("runs/mlp-digits-1\n")


def test_one_seed_gives_one_result_and_another_another(monkeypatch):
    monkeypatch.setattr(architectures()["mlp"].training, "pictures", lambda *arguments: None)
    for seed, out in (("1", "a"), ("1", "b"), ("2", "c")):
        assert command("train", "mlp", *SMALL["mlp"], "--seed", seed, "--out", out, "--quiet") == 0
    weights = [Path(out, "model.safetensors").read_bytes() for out in "abc"]
    assert weights[0] == weights[1] != weights[2]


def test_a_model_without_anything_to_learn(capsys):
    assert command("train", "mcculloch_pitts") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == ["x1", "x2", "AND", "OR", "NOT", "NAND", "XOR"]
    assert [line.split() for line in out[1:5]] == [
        ["0", "0", "0", "0", "1", "1", "0"],
        ["0", "1", "0", "1", "1", "1", "1"],
        ["1", "0", "0", "1", "0", "1", "1"],
        ["1", "1", "1", "1", "0", "0", "0"],
    ]
    assert out[-1].startswith("mcculloch_pitts on logic: test_accuracy 1.0000 after 1 epoch ")


def test_xor_stops_the_perceptron_with_a_proof(capsys):
    assert command("train", "perceptron", "--dataset", "xor", "--quiet") == 0
    assert capsys.readouterr().out == (
        "perceptron on xor: the data are not linearly separable: the convex hulls of the two "
        "classes share the point (0.5, 0.5); runs/perceptron-xor-1\n"
    )
    assert metrics("runs/perceptron-xor-1") == []
    assert Path("runs/perceptron-xor-1/pictures/boundary.png").is_file()


# -- A trained model at work ----------------------------------------------------------------------


@pytest.mark.parametrize("model", SMALL)
def test_a_classifier_shows_what_it_takes_test_images_for(model, monkeypatch, capsys):
    assert command("train", model, *SMALL[model], "--out", "run", "--quiet") == 0
    capsys.readouterr()
    drawn = []
    monkeypatch.setattr(pictures, "answers", lambda *arguments: drawn.append(arguments))
    for seed, count in (("3", "7"), ("3", "7"), ("4", "7"), ("3", "2")):
        assert command("sample", "run", "--seed", seed, "--count", count) == 0
    (first, again, other, few) = ([images.tobytes(), *rest] for images, *rest in drawn)
    assert first == again
    assert first[0] != other[0]
    assert (len(first[1]), len(few[1])) == (7, 2)
    _, test = DATA_SETS["digits"].read()
    images, labels = (tensor.numpy() for tensor in test.tensors)
    history = metrics("run")
    for image, truth in zip(drawn[0][0], drawn[0][2], strict=True):
        (place,) = [i for i, known in enumerate(images) if np.array_equal(known, image)]
        assert truth == str(labels[place])
    assert history == metrics("run")


def test_the_answers_are_drawn_into_a_folder_of_the_seed(capsys):
    assert command("train", "mlp", *SMALL["mlp"], "--out", "run", "--quiet") == 0
    weights = Path("run/model.safetensors").read_bytes()
    capsys.readouterr()
    assert command("sample", "run", "--seed", "5", "--count", "9") == 0
    assert capsys.readouterr().out == "run/samples/seed-5/answers.png\n"
    assert Path("run/samples/seed-5/answers.png").read_bytes().startswith(b"\x89PNG")
    assert Path("run/model.safetensors").read_bytes() == weights


@pytest.mark.parametrize("model", ["perceptron", "mlp"])
def test_a_gate_is_shown_as_rows_of_its_truth_table(model, capsys):
    data = {"perceptron": "and", "mlp": "xor"}[model]
    assert command("train", model, "--dataset", data, "--out", "run", "--quiet") == 0
    capsys.readouterr()
    assert command("sample", "run") == 0
    truth = {"and": "1, 1", "xor": "1, 0"}[data]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    (line,) = [line for line in lines if line.startswith(truth)]
    assert line.split()[2].startswith("true")
    assert line.endswith("really true")


def test_a_run_is_shown_as_it_was_interrupted(monkeypatch, capsys):
    def interrupted(self, folder, history):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(architectures()["mlp"].training, "pictures", interrupted)
        assert command("train", "mlp", *SMALL["mlp"], "--out", "run", "--quiet") == 130
    assert command("sample", "run") == 0
    assert command("sample", "nothing") == 2
    assert "nothing is no run folder, it has no config.json" in capsys.readouterr().err


# -- Interrupted and gone on with -----------------------------------------------------------------


@pytest.mark.parametrize("place", ["in an epoch", "between epochs"])
@pytest.mark.parametrize("model", SMALL)
def test_an_interrupted_run_ends_bit_for_bit_as_an_undisturbed_one(
    model, place, monkeypatch, capsys
):
    training = architectures()[model].training
    monkeypatch.setattr(training, "pictures", lambda self, folder, history: None)
    assert command("train", model, *SMALL[model], "--out", "whole", "--quiet") == 0
    if place == "between epochs":
        name, calls_before = "evaluate", 2
    else:
        name, calls_before = ("epoch", 1) if model == "perceptron" else ("step", 20)
    original = getattr(training, name)
    calls = []

    def interrupted(self, *arguments):
        calls.append(1)
        result = original(self, *arguments)
        if len(calls) > calls_before:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(training, name, interrupted)
    capsys.readouterr()
    assert command("train", model, *SMALL[model], "--out", "parts", "--quiet") == 130
    assert "go on by `python -m models resume parts`" in capsys.readouterr().err
    monkeypatch.setattr(training, name, original)
    assert len(metrics("parts")) < 3
    assert not Path("parts/model.safetensors").exists()
    mg.manual_seed(12345)  # whatever happened in between
    assert command("resume", "parts", "--quiet") == 0
    whole, parts = (Path(run, "model.safetensors").read_bytes() for run in ("whole", "parts"))
    assert whole == parts
    assert without_seconds(metrics("whole")) == without_seconds(metrics("parts"))


def test_a_run_interrupted_in_its_first_epoch_can_go_on(monkeypatch):
    def interrupted(self, progress):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Training, "epoch", interrupted)
        assert command("train", "mlp", *SMALL["mlp"], "--out", "run", "--quiet") == 130
    assert metrics("run") == []
    assert command("resume", "run", "--quiet") == 0
    assert len(metrics("run")) == 3


def test_a_finished_run_stays_as_it_is():
    assert command("train", "perceptron", "--dataset", "and", "--out", "run", "--quiet") == 0
    weights, history = Path("run/model.safetensors").read_bytes(), metrics("run")
    Path("run/pictures/boundary.png").unlink()
    assert command("resume", "run", "--quiet") == 0
    assert Path("run/model.safetensors").read_bytes() == weights
    assert metrics("run") == history
    assert Path("run/pictures/boundary.png").is_file()


def test_control_c_leaves_no_traceback(tmp_path):
    call = [sys.executable, "-m", "models"]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    arguments = ["train", "mlp", "--epochs", "100000", "--out", "run"]
    process = subprocess.Popen(
        [*call, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell has what it starts in the background ignore the signal, us and our children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        deadline = time.monotonic() + 60.0
        while not Path("run/metrics.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert b"python -m models resume run" in err


def test_a_measurement_that_is_not_finite_ends_the_run(monkeypatch, capsys):
    calls = []

    def broken(self):
        calls.append(1)
        return {"test_accuracy": 0.5 if len(calls) < 2 else float("nan")}

    monkeypatch.setattr(architectures()["mlp"].training, "evaluate", broken)
    assert command("train", "mlp", *SMALL["mlp"], "--out", "run", "--quiet") == 1
    assert capsys.readouterr().err == (
        "python -m models train: MLP: test_accuracy is nan (epoch 2); run keeps the "
        "checkpoint of epoch 1; a smaller --lr may help\n"
    )
    assert len(metrics("run")) == 1


@pytest.mark.parametrize("bad", [float("nan"), float("-inf")])
def test_a_loss_that_is_not_finite_is_found_at_its_step(bad, monkeypatch, capsys):
    training = architectures()["mlp"].training
    learn = training.step
    steps = []

    def broken(self, *batch):
        steps.append(1)
        means = learn(self, *batch)
        return {"train_loss": means["train_loss"] * (bad if len(steps) == 50 else 1.0)}

    def update(self, n, means=None):
        return True  # the next half second is over

    monkeypatch.setattr(training, "step", broken)
    monkeypatch.setattr("models.training.Progress.update", update)
    assert command("train", "mlp", *SMALL["mlp"], "--out", "run", "--quiet") == 1
    assert capsys.readouterr().err == (
        "python -m models train: MLP: train_loss is not finite from step 5 on (epoch 2); run "
        "keeps the checkpoint of epoch 1; a smaller --lr may help\n"
    )
    assert len(steps) == 50
    assert len(metrics("run")) == 1


# -- What a wrong call gets -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["teach"], "invalid choice: 'teach'"),
        (["train"], "the following arguments are required: MODEL"),
        (["train", "lenett"], "there is no model 'lenett'; did you mean lenet"),
        (["train", "zzz"], "there is no model 'zzz'; there are " + ", ".join(architectures())),
        (["train", "mlp", "--dataset", "mnits"], "argument --dataset: invalid choice: 'mnits'"),
        (["train", "mlp", "--epochs", "0"], "--epochs: wants a positive integer, got 0"),
        (["train", "mlp", "--epochs", "2.5"], "--epochs: wants a positive integer, got '2.5'"),
        (["train", "mlp", "--batch-size", "-3"], "--batch-size: wants a positive integer, got -3"),
        (["train", "mlp", "--lr", "nan"], "--lr: wants a positive number, got nan"),
        (["train", "mlp", "--seed", "-1"], "--seed: wants a non-negative integer, got -1"),
        (["train", "mlp", "--dropout", "1.5"], "1.5"),
        (["train", "mlp", "--backend", "tpu"], "--backend: backend: wanted one of"),
        (["train", "perceptron", "--batch-size", "3"], "unrecognized arguments: --batch-size 3"),
        (["train", "mlp", "--momentum", "3"], "unrecognized arguments: --momentum 3"),
        (["resume"], "the following arguments are required: RUN"),
        (["sample"], "the following arguments are required: RUN"),
        (["sample", "nowhere", "--count", "0"], "--count: wants a positive integer, got 0"),
        (["resume", "nowhere"], "nowhere is no run folder, it has no config.json"),
    ],
)
def test_a_wrong_call_gets_one_line_and_exit_code_2(arguments, message, capsys):
    assert command(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert message in err
    assert not Path("runs").exists()


def test_an_existing_folder_is_an_error_that_says_how_to_go_on(capsys):
    Path("mine").mkdir()
    assert command("train", "mlp", "--out", "mine") == 2
    err = capsys.readouterr().err
    assert err == (
        "python -m models train: error: --out: mine exists already; name another folder, or go on "
        "with the run that is there by `python -m models resume mine`\n"
    )


def test_missing_data_are_an_error_that_says_how_to_get_them(tmp_path, monkeypatch, capsys):
    (tmp_path / "data" / "mnist").mkdir(parents=True)
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "data"))
    assert command("train", "mlp", "--dataset", "mnist") == 2
    assert "train-images-idx3-ubyte.gz is missing; either set MINIGRAD_DATA" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "nothing"}, "config.json: has no or an unknown 'nothing'"),
        ({"dataset": "nothing"}, "config.json: has no or an unknown 'nothing'"),
    ],
)
def test_a_run_folder_of_an_unknown_model_is_refused(change, message, capsys):
    assert command("train", "mlp", *SMALL["mlp"], "--out", "run", "--quiet") == 0
    config = json.loads(Path("run/config.json").read_text())
    Path("run/config.json").write_text(json.dumps({**config, **change}))
    capsys.readouterr()
    assert command("resume", "run") == 2
    assert message in capsys.readouterr().err


# -- The list, and one more model -----------------------------------------------------------------


def test_the_list_names_paper_data_size_and_reference(capsys):
    assert command("list") == 0
    out = capsys.readouterr().out
    for name, architecture in architectures().items():
        assert f"{name}: {architecture.title}" in out
        assert architecture.paper in out
        assert architecture.reference in out
    assert "mnist (61,706)" in out


NEW_MODEL = """
from minigrad import nn
from models.architecture import Architecture
from models.training import Training

class GuessTraining(Training):
    metric = "test_error"
    def step(self, x, y):
        return {"train_loss": ((self.network(x)[:, 0] - y) ** 2.0).mean().detach()}
    def evaluate(self):
        return {"test_error": 0.25}

ARCHITECTURE = Architecture(
    title="Guess", paper="Nobody 2000", reference="none", training=GuessTraining,
    settings={"xor": {"epochs": 2, "batch_size": 3, "courage": 0.5, "mood": "glad", "diary": ""}},
    meaning={"courage": "how much", "mood": "which", "diary": "a file"},
    choices={"mood": ("glad", "sad")}, cost={"xor": "no time, no memory"}, needs="a good mood",
    build=lambda data, settings: nn.Linear(2, 1),
)
"""


def test_a_new_architecture_is_one_new_file(tmp_path, monkeypatch, capsys):
    (tmp_path / "guess.py").write_text(NEW_MODEL)
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "models.guess", raising=False)
    words = ["--mood", "sad", "--diary", "d.txt"]
    assert command("train", "guess", "--courage", "0.75", *words, "--quiet") == 0
    assert capsys.readouterr().out.startswith("guess on xor: test_error 0.2500 after 2 epochs")
    config = json.loads(Path("runs/guess-xor-1/config.json").read_text())
    words = {"mood": "sad", "diary": "d.txt"}
    assert config["settings"] == {"epochs": 2, "batch_size": 3, "courage": 0.75, "seed": 0, **words}
    assert command("train", "guess", "--mood", "bad") == 2
    assert "--mood: invalid choice: 'bad' (choose from" in capsys.readouterr().err
    monkeypatch.delitem(sys.modules, "models.guess")


def test_a_setting_that_the_data_set_does_not_have_is_refused(monkeypatch, capsys):
    mlp = architectures()["mlp"]
    without = {name: value for name, value in mlp.settings["xor"].items() if name != "dropout"}
    monkeypatch.setitem(mlp.settings, "xor", without)
    assert command("train", "mlp", "--dataset", "xor", "--dropout", "0.1") == 2
    assert "--dropout: mlp on xor has no such setting" in capsys.readouterr().err


def test_every_architecture_says_what_its_settings_mean():
    for name, architecture in architectures().items():
        assert command("train", name, "--help") == 0
        presets = [words for of_data in architecture.presets.values() for words in of_data.values()]
        for settings in (*architecture.settings.values(), *presets):
            assert "epochs" in settings or settings in presets
            assert set(settings) <= {"epochs", "batch_size", "lr", *architecture.meaning}
            for setting, value in settings.items():
                assert value in architecture.choices.get(setting, (value,))
        words = [word for choices in architecture.choices.values() for word in choices]
        for data, of_data in architecture.presets.items():
            assert data in architecture.settings
            assert set(of_data) <= set(words)
            assert all(words.count(word) == 1 for word in of_data)


def test_a_word_brings_settings_of_its_own(monkeypatch, capsys):
    mlp = architectures()["mlp"]
    bold = replace(
        mlp,
        settings={"xor": {**mlp.settings["xor"], "mood": "shy"}},
        choices={"mood": ("shy", "bold")},
        meaning={**mlp.meaning, "mood": "temper", "courage": "how bold"},
        presets={"xor": {"bold": {"lr": 0.5, "courage": 0.25}}},
    )
    monkeypatch.setattr("models.mlp.ARCHITECTURE", bold)
    for words, expected in (
        ("", {"mood": "shy"}),
        ("--mood bold", {"mood": "bold", "lr": 0.5, "courage": 0.25}),
        ("--mood bold --lr 2 --courage 1", {"mood": "bold", "lr": 2.0, "courage": 1.0}),
    ):
        out = f"run{len(words)}"
        options = ["--epochs", "1", "--quiet", "--out", out, *words.split()]
        assert command("train", "mlp", *options) == 0
        found = json.loads(Path(out, "config.json").read_text())["settings"]
        assert found == {**mlp.settings["xor"], "epochs": 1, "seed": 0, **expected}
    assert command("train", "mlp", "--courage", "1") == 2
    assert "--courage: mlp on xor with shy has no such setting" in capsys.readouterr().err
    assert command("train", "mlp", "--help") == 0
    assert "how bold (default: 0.25 on xor with bold)" in " ".join(capsys.readouterr().out.split())


def test_every_architecture_says_what_it_takes_in_time_and_memory(capsys):
    for name, architecture in architectures().items():
        presets = architecture.presets.items()
        known = {f"{data}, {word}" for data, words in presets for word in words}
        assert set(architecture.settings) <= set(architecture.cost)
        assert set(architecture.cost) <= {*architecture.settings, *known}
        assert command("train", name, "--help") == 0
        out = capsys.readouterr().out
        for data, cost in architecture.cost.items():
            assert re.search(rf"^  {data} +{re.escape(cost)}$", out, re.MULTILINE)
        assert " ".join(architecture.needs.split()) in " ".join(out.split())


def test_the_curves_are_finite_where_an_error_is_zero():
    assert command("train", "mlp", "--dataset", "xor", "--epochs", "200", "--quiet") == 0
    errors = [1.0 - entry["test_accuracy"] for entry in metrics("runs/mlp-xor-1")]
    assert errors[-1] == 0.0
    assert np.isfinite(errors).all()
    assert Path("runs/mlp-xor-1/pictures/curves.png").is_file()
