"""PyTorch's twin of our GANs takes the same steps from the same start. Needs the `peers` extra."""

import json

import numpy as np
import pytest

import minigrad as mg
from minigrad.data import TensorDataset
from models.architecture import architectures
from models.data import DATA_SETS, DataSet

torch = pytest.importorskip("torch", reason="needs the peers extra: PyTorch")
from benchmarks import gan_twin  # noqa: E402

KINDS = [
    ("gan", "dcgan", {"loss": "non_saturating"}),
    ("gan", "dcgan", {"loss": "minimax", "average": "no"}),
    ("gan", "dense", {"loss": "non_saturating"}),
    ("lsgan", "dcgan", {"coding": "pearson"}),
    ("lsgan", "dense", {"coding": "binary", "average": "no"}),
]


@pytest.fixture(autouse=True)
def one_thread():
    """Steps this small are slower on several."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def few(monkeypatch):
    """24 images of MNIST's shape in place of MNIST."""

    def read():
        x = np.random.default_rng(0).random((24, 1, 28, 28), dtype="float32")
        table = TensorDataset(x * (x > 0.7), np.arange(24) % 10)
        return table, table

    mnist = DATA_SETS["mnist"]
    monkeypatch.setitem(DATA_SETS, "mnist", DataSet("mnist", read, mnist.shape, mnist.classes))


class Stub:
    """Instead of the judge: what tells samples apart."""

    def measure(self, samples):
        return {"mean": float(samples.mean()), "deviation": float(samples.std())}


def config_of(model, network, **changes):
    asked = {"network": network, **changes}
    settings = architectures()[model].defaults("mnist", **asked) | asked
    small = {"width": 8} if network == "dcgan" else {}
    return {
        "model": model,
        "dataset": "mnist",
        "settings": {**settings, **small, "batch_size": 4, "code": 8, "seed": 3},
    }


@pytest.mark.parametrize(("model", "network", "changes"), KINDS)
def test_the_first_steps_agree(few, monkeypatch, model, network, changes):
    """Losses, and the samples of the generators and of their averages, through two epochs."""
    monkeypatch.setattr(gan_twin, "judge", lambda backend: Stub())
    monkeypatch.setattr("models.rivals.judge", lambda backend: Stub())
    monkeypatch.setattr(gan_twin, "JUDGED", 100)
    monkeypatch.setattr("models.rivals.JUDGED", 100)
    config = config_of(model, network, **changes)
    found, expected = [], []
    ours = gan_twin.prepared(config)
    twin = gan_twin.Twin(model, gan_twin.prepared(config))
    mg.manual_seed(1)
    for _ in range(2):
        ours.network.train()
        for batch in ours.loader:
            measured = ours.step(*batch)
            found.append([measured[f"{who}_loss"].item() for who in WHO])
        found.append(list(ours.evaluate().values()))
    mg.manual_seed(1)
    for _ in range(2):
        for x, _labels in twin.ours.loader:
            losses = twin.step(torch.from_numpy(x.numpy()))
            expected.append([loss.item() for loss in losses])
        expected.append(list(twin.measure().values()))
    assert len(found) == 14
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


WHO = ("discriminator", "generator")


def test_the_command_compares_finished_runs(few, monkeypatch, tmp_path, capsys):
    judged = iter([{"frechet": 8.0, "coverage": 10.0, "confidence": 0.9}] * 2)
    monkeypatch.setattr(gan_twin.Twin, "epoch", lambda twin: next(judged))
    ours = [{"frechet": d, "coverage": 10.0, "confidence": 0.95} for d in (7.0, 10.0)]
    paths = [finished(tmp_path / name, found) for name, found in zip("ab", ours, strict=True)]
    assert gan_twin.main([str(path) for path in paths]) == 0
    first, *lines, last = capsys.readouterr().out.splitlines()
    assert first == "Fréchet distances; 1.37 between the halves of the test images"
    assert [line.split(":")[0] for line in lines] == [str(path) for path in paths]
    assert "ours   7.00 (coverage 10, confidence 0.950), PyTorch's   8.00" in lines[0]
    assert last == "mean: ours 8.50, PyTorch's 8.00, ratio 1.062"


def finished(path, measured, **changes):
    """A run of one epoch, with what was measured after it."""
    config = config_of("gan", "dcgan", epochs=1) | changes
    run = gan_twin.Run.create(path, config)
    run.write_checkpoint({"history": [measured]})
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "cgan"}, "is no run of gan or lsgan on mnist"),
        ({"dataset": "digits"}, "is no run of gan or lsgan on mnist"),
        ({"settings": {"epochs": 3}}, "is at epoch 1 of 3"),
    ],
)
def test_other_runs_are_refused(tmp_path, capsys, changes, message):
    path = finished(tmp_path / "run", {}, **changes)
    with pytest.raises(SystemExit) as stopped:
        gan_twin.main([str(path)])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == f"python -m benchmarks.gan_twin: error: {path} {message}\n"
    assert json.loads((path / "config.json").read_text())["dataset"]
