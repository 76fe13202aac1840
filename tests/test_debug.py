"""detect_anomaly names the primitive and the line of the program."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import core

pytestmark = pytest.mark.filterwarnings("ignore:invalid value", "ignore:divide by zero")


def test_a_nan_of_the_forward_pass():
    x = mg.tensor([1.0, -1.0], requires_grad=True)
    words = r"log returned NaN at .*test_debug"
    with mg.detect_anomaly(), pytest.raises(RuntimeError, match=words) as e:
        (mg.log(x) * 2.0).sum()
    assert "(mg.log(x) * 2.0).sum()" in str(e.value)


def test_a_nan_of_the_backward_pass():
    x = mg.tensor([0.0, 1.0], requires_grad=True)
    with mg.detect_anomaly():
        y = mg.sqrt(x) * 0.0  # the marked line
        with pytest.raises(RuntimeError, match="gradient of sqrt by its argument 0 is NaN") as e:
            y.sum().backward()
    assert "the marked line" in str(e.value)


def test_the_graph_recorded_before_is_examined_too():
    x = mg.tensor([0.0], requires_grad=True)
    y = mg.sqrt(x) * 0.0
    with mg.detect_anomaly(), pytest.raises(RuntimeError, match="before detect_anomaly"):
        y.sum().backward()


def test_nothing_happens_without_nan_and_nothing_remains():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    with mg.detect_anomaly():
        (mg.log(x) / x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [1.0, (1 - np.log(2)) / 4], rtol=1e-6)
    assert core.on_record is None
    assert core.on_rule is None


def test_nan_in_data_is_not_blamed_on_an_operation():
    x = mg.tensor([float("nan")], requires_grad=True)
    with mg.detect_anomaly():
        y = x * 2.0
    assert np.isnan(y.numpy()).all()
