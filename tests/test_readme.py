"""What the README shows runs, and says the truth."""

import re
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import testing

README = Path(__file__).parent.parent / "README.md"


@pytest.fixture(scope="module")
def shown():
    """All Python blocks of the README, run one after the other as a reader would."""
    mg.manual_seed(0)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, README.name, "exec"), names)
    return names


def test_the_derivatives_are_those_of_the_comments(shown):
    x = shown["x"].numpy()
    slope = x**2 * np.cos(x) + 2.0 * x * np.sin(x)
    curve = (2.0 - x**2) * np.sin(x) + 4.0 * x * np.cos(x)
    np.testing.assert_allclose(shown["slope"].numpy(), slope)
    np.testing.assert_allclose(shown["curve"].numpy(), curve)
    np.testing.assert_allclose(shown["x"].grad.numpy(), slope)


def test_the_network_learns(shown):
    right = (shown["net"](shown["images"]).argmax(axis=1) == shown["labels"]).mean().item()
    assert right > 0.9


def test_the_operation_of_ones_own_passes_its_test(shown):
    shown["test_bell"]()


def test_the_planted_mistake_gets_the_message_shown(shown):
    """Up to the numbers: which inputs are the smallest is for hypothesis to say."""
    text = README.read_text(encoding="utf-8")
    (rules,) = re.findall(r"^bell\.vjps\(\n.*?^\)\n", text, re.MULTILINE | re.DOTALL)
    wrong, _, right = rules.rpartition("/ width**2")
    bell = mg.primitive(shown["bell"].forward)
    exec(wrong + "/ width" + right, {"bell": bell})
    with pytest.raises(mg.GradcheckError) as caught:
        testing.check_op(lambda x, center: bell(x, center, width=1.5), testing.broadcasting(2))
    (message,) = re.findall(r"```\nGradcheckError: (.*?)```", text, re.DOTALL)
    assert words(str(caught.value)) == words(message)


def words(message):
    return re.sub(r"[-\d.e]+\b\.?", "#", " ".join(message.split()))


def test_the_commands_exist():
    text = README.read_text(encoding="utf-8")
    makefile = (README.parent / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"make (\w[\w-]*)", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_file_it_names_is_there():
    for path in re.findall(r"`((?:minigrad|models|tests)/[\w./-]+)`", README.read_text("utf-8")):
        assert (README.parent / path).exists(), path
