"""python -m minigrad info | check."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

import minigrad
from minigrad import core
from minigrad.__main__ import TOLERANCE, differentiable, main
from minigrad.samples import SAMPLES


def run(capsys, *arguments):
    """Exit code, standard output and standard error of a command."""
    try:
        code = main(arguments)
    except SystemExit as stop:
        code = stop.code
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.fixture
def plant():
    """Registers a primitive as the package's own for one test."""
    planted = []

    def register(forward, rule, sampler=None):
        made = core.Primitive(forward)
        made.vjps(rule)
        core.registry[made.name] = made
        planted.append(made.name)
        if sampler is not None:
            SAMPLES[made.name] = sampler
        return made

    yield register
    for name in planted:
        del core.registry[name]
        SAMPLES.pop(name, None)


def sampler(rng):
    return [((rng.uniform(0.5, 1.5, 3),), {})]


def cubed(x):
    return x * x * x


# -- check ----------------------------------------------------------------------------------------


def test_every_differentiable_primitive_is_right(capsys):
    code, out, err = run(capsys, "check")
    assert (code, err) == (0, "")
    header, *rows = out.splitlines()
    assert header.split() == ["primitive", "cases", "first", "order", "second", "order"]
    assert [row.split()[0] for row in rows] == sorted(differentiable())
    for row in rows:
        name, cases, first, second, verdict = row.split()
        assert int(cases) >= 1, name
        assert 0.0 <= float(first) <= TOLERANCE, name
        assert 0.0 <= float(second) <= TOLERANCE, name
        assert verdict == "ok"


def test_samples_are_for_primitives_that_exist():
    assert set(SAMPLES) <= set(differentiable())


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_are_reproducible_and_have_something_to_differentiate(name):
    first, second = (list(SAMPLES[name](np.random.default_rng(5))) for _ in range(2))
    assert len(first) == len(second) > 0
    for (args, params), (again, same_params) in zip(first, second, strict=True):
        assert str(params) == str(same_params)
        assert any(isinstance(x, np.ndarray) and x.dtype == np.float64 for x in args)
        for x, y in zip(args, again, strict=True):
            assert np.array_equal(np.asarray(x, object), np.asarray(y, object))


def test_chosen_primitives_alone_are_checked(capsys):
    code, out, _ = run(capsys, "check", "exp", "add")
    assert code == 0
    assert [row.split()[0] for row in out.splitlines()[1:]] == ["exp", "add"]


@pytest.mark.parametrize(
    ("rule", "orders"),
    [
        (lambda g, y, x: g * 3.0 * x * x, (False, False)),
        # Wrong, but its own derivative is computed consistently.
        (lambda g, y, x: g * 2.9 * x * x, (True, False)),
        # Right, but cut off from the graph.
        (lambda g, y, x: g * 3.0 * getattr(x * x, "array", x * x), (False, True)),
    ],
)
def test_a_wrong_rule_fails_at_its_order(capsys, plant, rule, orders):
    plant(cubed, rule, sampler)
    code, out, _ = run(capsys, "check", "cubed")
    _, cases, first, second, verdict = out.splitlines()[1].split()
    assert cases == "1"
    assert (float(first) > TOLERANCE, float(second) > TOLERANCE) == orders
    assert (code, verdict) == ((1, "FAIL") if any(orders) else (0, "ok"))
    if any(orders):
        assert out.splitlines()[-1] == "failed: cubed"


def test_a_rule_that_raises_is_a_failure(capsys, plant):
    plant(cubed, lambda g, y, x: g @ x @ x, sampler)
    code, out, _ = run(capsys, "check", "cubed")
    assert code == 1
    assert re.search(r"^cubed +ValueError: .*FAIL$", out, re.MULTILINE)


def test_a_gradient_of_nan_is_a_failure(capsys, plant):
    plant(cubed, lambda g, y, x: g * float("nan"), sampler)
    code, out, _ = run(capsys, "check", "cubed")
    assert code == 1
    assert "FAIL" in out


def test_a_primitive_without_samples_fails_by_name(capsys, plant):
    plant(cubed, lambda g, y, x: g * 3.0 * x * x)
    code, out, _ = run(capsys, "check")
    assert code == 1
    assert re.search(r"^cubed +no sample .*FAIL$", out, re.MULTILINE)
    assert out.splitlines()[-1] == "failed: cubed"


# -- info -----------------------------------------------------------------------------------------


def test_info_names_versions_backends_and_blas(capsys, monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    code, out, err = run(capsys, "info")
    assert (code, err) == (0, "")
    rows = [line.split(maxsplit=1) for line in out.splitlines()]
    table = dict(rows[:4])
    assert table["minigrad"] == minigrad.__version__
    assert table["python"].startswith(".".join(map(str, sys.version_info[:3])))
    assert table["numpy"] == np.__version__
    assert "scipy" in table
    for name, status in minigrad.backends().items():
        assert f"{name}, {'usable' if status.usable else 'not usable'}: {status.detail}" in out
    assert "blas" in [label for label, _ in rows]
    assert "OPENBLAS_CORETYPE=Haswell" in out


def test_info_shows_threads_and_kernels_with_threadpoolctl(capsys):
    pytest.importorskip("threadpoolctl", reason="threads are read with threadpoolctl")
    _, out, _ = run(capsys, "info")
    assert re.search(r"^blas .*\d+ threads, kernels for \w+", out, re.MULTILINE)


def test_info_without_threadpoolctl_says_what_would_show_more(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    code, out, _ = run(capsys, "info")
    assert code == 0
    assert re.search(r"^blas .*pip install threadpoolctl", out, re.MULTILINE)
    assert "CORETYPE" not in out


# -- Arguments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "COMMAND"),
        (("inof",), "inof"),
        (("check", "sigmod"), "'sigmod'; close: sigmoid"),
        (("check", "exp", "qqqqqq"), "unknown primitive 'qqqqqq'"),
        (("check", "argmax"), "argmax has no gradient"),
        (("check", "--fast"), "--fast"),
        (("info", "more"), "more"),
    ],
)
def test_bad_arguments_get_one_line_and_exit_code_2(capsys, arguments, words):
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("python -m minigrad")
    assert words in err


@pytest.mark.parametrize("arguments", [("--help",), ("info", "--help"), ("check", "--help")])
def test_help_is_everywhere(capsys, arguments):
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    assert out.startswith("usage: python -m minigrad")


def test_the_module_runs_from_the_shell():
    done = subprocess.run(
        [sys.executable, "-m", "minigrad", "check", "tanhh"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert done.returncode == 2
    assert "close: tanh" in done.stderr
