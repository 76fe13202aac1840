"""Optimizers, schedules, clipping: formulas by hand, PyTorch's trajectories, saving, bad input."""

import copy
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim, threads
from minigrad.backend import Backend
from minigrad.optim import lr_scheduler
from minigrad.optim.lr_scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    MultiStepLR,
    StepLR,
)

CASES = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.5}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.05, "alpha": 0.8, "eps": 1e-3, "weight_decay": 0.1, "momentum": 0.7}),
    ("RMSprop", {"lr": 0.05, "centered": True}),
    ("RMSprop", {"lr": 0.05, "centered": True, "momentum": 0.7}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.3, "lr_decay": 0.1, "weight_decay": 0.1, "eps": 1e-3,
                 "initial_accumulator_value": 0.5}),
]  # fmt: skip
cases = pytest.mark.parametrize(("name", "options"), CASES)
SHAPES = [(3, 2), (), (4,), (2, 1, 3)]


def parameters(seed=0, dtype="float64"):
    rng = np.random.default_rng(seed)
    return [nn.Parameter(mg.tensor(rng.standard_normal(shape), dtype=dtype)) for shape in SHAPES]


def set_gradients(params, step, skip=()):
    """Gradients that depend on the step and on the parameter, through a quadratic and a noise."""
    rng = np.random.default_rng(1000 + step)
    for i, p in enumerate(params):
        noise = rng.standard_normal(p.shape)
        p.grad = None if i in skip else mg.tensor(p.numpy() + noise, dtype=p.dtype)


def train(optimizer, params, steps, start=0):
    for step in range(start, start + steps):
        set_gradients(params, step)
        optimizer.step()


def snapshot(params):
    return [p.numpy().copy() for p in params]


def assert_same(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


# ---------------------------------------------------------------------------------------------
# The rules
# ---------------------------------------------------------------------------------------------


@cases
def test_trajectory_as_pytorch(name, options):
    """200 steps; in the middle the learning rate changes and one parameter has no gradient."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    ours = parameters()
    theirs = [torch.nn.Parameter(torch.tensor(p.numpy())) for p in ours]
    mine = getattr(optim, name)(ours, **options)
    yours = getattr(torch.optim, name)(theirs, **options)
    for step in range(200):
        set_gradients(ours, step, skip=(1,) if 50 <= step < 60 else ())
        for p, q in zip(ours, theirs, strict=True):
            q.grad = None if p.grad is None else torch.tensor(p.grad.numpy())
        if step == 100:
            mine.param_groups[0]["lr"] = yours.param_groups[0]["lr"] = 0.02
        mine.step()
        yours.step()
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.numpy(), q.numpy(force=True), rtol=1e-9, atol=1e-11)


@cases
def test_state_has_the_names_of_pytorch(name, options):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    p, q = nn.Parameter(mg.ones((2,))), torch.nn.Parameter(torch.ones(2))
    mine, yours = getattr(optim, name)([p], **options), getattr(torch.optim, name)([q], **options)
    p.grad, q.grad = mg.ones((2,)), torch.ones(2)
    mine.step()
    yours.step()
    found, expected = mine.state_dict(), yours.state_dict()
    assert set(found["state"][0]) == set(expected["state"].get(0, {}))
    group, theirs = found["param_groups"][0], expected["param_groups"][0]
    assert {key: theirs[key] for key in group} == group


def one_step(name, x, g, **options):
    """The value after one step from x with gradient g, and the optimizer and parameter."""
    p = nn.Parameter(mg.tensor([x], dtype="float64"))
    optimizer = getattr(optim, name)([p], **options)
    p.grad = mg.tensor([g], dtype="float64")
    optimizer.step()
    return p.item(), optimizer, p


def test_sgd_by_hand():
    x, optimizer, p = one_step("SGD", 1.0, 2.0, lr=0.1, momentum=0.5, dampening=0.2)
    assert x == pytest.approx(1.0 - 0.1 * 2.0)  # the first direction is the gradient, undamped
    p.grad = mg.tensor([4.0], dtype="float64")
    optimizer.step()
    assert p.item() == pytest.approx(x - 0.1 * (0.5 * 2.0 + 0.8 * 4.0))


def test_nesterov_by_hand():
    options = {"lr": 0.1, "momentum": 0.25, "nesterov": True, "weight_decay": 0.5}
    x, optimizer, p = one_step("SGD", 1.0, 2.0, **options)
    g = b = 2.0 + 0.5 * 1.0
    assert x == pytest.approx(1.0 - 0.1 * (g + 0.25 * b))
    p.grad = mg.tensor([-3.0], dtype="float64")
    optimizer.step()
    g = -3.0 + 0.5 * x
    b = 0.25 * b + g
    assert p.item() == pytest.approx(x - 0.1 * (g + 0.25 * b))


@pytest.mark.parametrize("g", [1e-3, 5.0, -5.0])
def test_adams_first_step_is_the_learning_rate(g):
    x, _, _ = one_step("Adam", 1.0, g, lr=0.1, eps=0.0)
    assert x == pytest.approx(1.0 - math.copysign(0.1, g), rel=1e-12)


def test_adam_by_hand():
    x, optimizer, p = one_step("Adam", 1.0, 2.0, lr=0.1, betas=(0.5, 0.75), eps=1.0)
    assert x == pytest.approx(1.0 - 0.1 * 2.0 / (2.0 + 1.0))
    p.grad = mg.tensor([-1.0], dtype="float64")
    optimizer.step()
    m, v = 0.5 * 1.0 + 0.5 * -1.0, 0.75 * 1.0 + 0.25 * 1.0
    expected = x - 0.1 * (m / (1 - 0.5**2)) / (math.sqrt(v / (1 - 0.75**2)) + 1.0)
    assert p.item() == pytest.approx(expected)


def test_adamw_decays_apart_from_the_gradient():
    x, _, _ = one_step("AdamW", 3.0, 0.0, lr=0.1, weight_decay=0.5)
    assert x == pytest.approx(3.0 * (1 - 0.1 * 0.5))


def test_rmsprop_by_hand():
    x, _, _ = one_step("RMSprop", 1.0, 2.0, lr=0.1, alpha=0.75, eps=0.5)
    assert x == pytest.approx(1.0 - 0.1 * 2.0 / (math.sqrt(0.25 * 4.0) + 0.5))
    x, _, _ = one_step("RMSprop", 1.0, 2.0, lr=0.1, alpha=0.75, eps=0.5, centered=True)
    assert x == pytest.approx(1.0 - 0.1 * 2.0 / (math.sqrt(0.25 * 4.0 - (0.25 * 2.0) ** 2) + 0.5))


def test_rmsprop_centered_on_a_constant_gradient():
    """The variance tends to 0, from below too by rounding; it must not become NaN."""
    p = nn.Parameter(mg.zeros((100,)))
    optimizer = optim.RMSprop([p], lr=1e-6, alpha=0.5, eps=1e-3, centered=True)
    for _ in range(100):
        p.grad = mg.linspace(0.1, 10.0, 100)
        optimizer.step()
    assert np.isfinite(p.numpy()).all()


def test_adagrad_by_hand():
    x, optimizer, p = one_step("Adagrad", 1.0, 3.0, lr=0.1, lr_decay=1.0, eps=0.0,
                               initial_accumulator_value=7.0)  # fmt: skip
    assert x == pytest.approx(1.0 - 0.1 * 3.0 / 4.0)
    p.grad = mg.tensor([3.0], dtype="float64")
    optimizer.step()
    assert p.item() == pytest.approx(x - 0.05 * 3.0 / 5.0)


@pytest.mark.parametrize(
    ("name", "lr"),
    [("SGD", 0.1), ("Adam", 0.1), ("AdamW", 0.1), ("RMSprop", 0.02), ("Adagrad", 1.0)],
)
def test_finds_the_minimum(name, lr):
    p = nn.Parameter(mg.tensor([3.0, -2.0], dtype="float64"))
    optimizer = getattr(optim, name)([p], lr=lr, weight_decay=0.0)
    for _ in range(500):
        optimizer.zero_grad()
        loss = mg.square(p - mg.tensor([1.0, 2.0], dtype="float64")).sum()
        loss.backward()
        optimizer.step()
    assert loss.item() < 1e-3


# ---------------------------------------------------------------------------------------------
# In place
# ---------------------------------------------------------------------------------------------


@cases
def test_steps_in_place_and_keeps_the_dtype(name, options):
    params = parameters(dtype="float32")
    arrays = [p.array for p in params]
    optimizer = getattr(optim, name)(params, **options)
    set_gradients(params, 0)
    gradients = snapshot([p.grad for p in params])
    optimizer.step()
    assert all(p.array is array for p, array in zip(params, arrays, strict=True))
    assert all(array.dtype == np.float32 for array in arrays)
    assert_same(snapshot([p.grad for p in params]), gradients)
    for state in optimizer.state.values():
        assert all(v.dtype == np.float32 for name, v in state.items() if name != "step")


@cases
def test_second_step_keeps_the_arrays_of_the_state(name, options):
    params = parameters()
    optimizer = getattr(optim, name)(params, **options)
    train(optimizer, params, 1)
    before = [id(v) for s in optimizer.state.values() for k, v in s.items() if k != "step"]
    train(optimizer, params, 1, start=1)
    assert before == [id(v) for s in optimizer.state.values() for k, v in s.items() if k != "step"]


@cases
def test_blocks_and_threads_change_nothing(name, options, monkeypatch):
    whole, cut = parameters(), parameters()
    optimizers = [getattr(optim, name)(params, **options) for params in (whole, cut)]
    train(optimizers[0], whole, 3)
    monkeypatch.setattr(Backend, "working_set", 100)
    monkeypatch.setattr(Backend, "worth_sharing", 0)
    monkeypatch.setattr(threads, "workers", lambda: 2)
    lengths = []
    for n in (1, 3, 4):
        optimizers[1]._in_blocks(lambda x: lengths.append(len(x)), np.zeros((n, 5)))
    assert lengths == [1] * 8
    train(optimizers[1], cut, 3)
    assert_same(snapshot(cut), snapshot(whole))


@cases
def test_layout_of_memory_does_not_matter(name, options):
    a = nn.Parameter(mg.Tensor(np.random.default_rng(0).standard_normal((3, 4))))
    b = nn.Parameter(mg.Tensor(np.asfortranarray(a.numpy())))
    optimizers = [getattr(optim, name)([p], **options) for p in (a, b)]
    for step in range(3):
        g = np.random.default_rng(step).standard_normal((3, 4))
        a.grad, b.grad = mg.Tensor(g), mg.Tensor(np.asfortranarray(g))
        for optimizer in optimizers:
            optimizer.step()
    np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_parameters_without_gradient_stay():
    params = parameters()
    optimizer = optim.AdamW(params, lr=0.1, weight_decay=0.5)
    before = snapshot(params)
    set_gradients(params, 0, skip=(0, 2))
    optimizer.step()
    for i, (p, kept) in enumerate(zip(params, before, strict=True)):
        assert (p.numpy() == kept).all() == (i in (0, 2))
    assert set(optimizer.state_dict()["state"]) == {1, 3}


def test_stale_graph_refuses_to_go_backward():
    p = nn.Parameter(mg.ones((2,)))
    loss = (p * p).sum()
    loss.backward(retain_graph=True)
    optim.SGD([p], lr=0.1).step()
    with pytest.raises(RuntimeError, match="overwritten"):
        loss.backward()


def test_zero_grad_forgets():
    params = parameters()
    optimizer = optim.SGD(params, lr=0.1)
    set_gradients(params, 0)
    optimizer.zero_grad()
    assert [p.grad for p in params] == [None] * len(params)


@cases
def test_state_follows_a_module(name, options):
    """After module.to(dtype) training goes on with the state in that dtype."""
    module = nn.Linear(3, 2)
    optimizer = getattr(optim, name)(module.parameters(), **options)
    twin = copy.deepcopy(module)
    twins_optimizer = getattr(optim, name)(twin.parameters(), **options)
    x = mg.randn(4, 3)
    for net, opt in ((module, optimizer), (twin, twins_optimizer)):
        F.mse_loss(net(x), mg.zeros((4, 2))).backward()
        opt.step()
        opt.zero_grad()
    module.to("float64")
    for net, opt in ((module, optimizer), (twin, twins_optimizer)):
        wide = x.to(net.weight.dtype)
        F.mse_loss(net(wide), mg.zeros((4, 2), dtype=wide.dtype)).backward()
        opt.step()
    assert module.weight.dtype == np.float64
    for state in optimizer.state.values():
        assert all(v.dtype == np.float64 for k, v in state.items() if k != "step")
    np.testing.assert_allclose(module.weight.numpy(), twin.weight.numpy(), rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------------------------------------
# Groups
# ---------------------------------------------------------------------------------------------


def test_groups_have_settings_of_their_own():
    a, b, c = (nn.Parameter(mg.ones((1,), dtype="float64")) for _ in range(3))
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.1)
    optimizer.add_param_group({"params": [c], "weight_decay": 1.0})
    for p in (a, b, c):
        p.grad = mg.ones((1,), dtype="float64")
    optimizer.step()
    assert [a.item(), b.item(), c.item()] == pytest.approx([0.9, 0.5, 0.8])


def test_takes_a_generator_of_parameters():
    module = nn.Linear(2, 3)
    optimizer = optim.Adam(module.parameters())
    found = [id(p) for p in optimizer.param_groups[0]["params"]]
    assert found == [id(module.weight), id(module.bias)]
    assert "2 parameters, lr=0.001, betas=(0.9, 0.999)" in repr(optimizer)


# ---------------------------------------------------------------------------------------------
# Saving
# ---------------------------------------------------------------------------------------------


@cases
def test_going_on_from_a_state_dict_bit_for_bit(name, options):
    params = parameters()
    optimizer = getattr(optim, name)(params, **options)
    train(optimizer, params, 5)
    saved, weights = optimizer.state_dict(), snapshot(params)
    train(optimizer, params, 5, start=5)

    again = [nn.Parameter(mg.tensor(w)) for w in weights]
    resumed = getattr(optim, name)(again, lr=123.0)
    resumed.load_state_dict(saved)
    train(resumed, again, 5, start=5)
    assert_same(snapshot(again), snapshot(params))
    assert resumed.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]


@cases
def test_state_dict_is_a_copy(name, options):
    params = parameters()
    optimizer = getattr(optim, name)(params, **options)
    train(optimizer, params, 2)
    saved = optimizer.state_dict()
    kept = copy.deepcopy(saved)
    resumed = getattr(optim, name)(parameters(), **options)
    resumed.load_state_dict(saved)
    train(optimizer, params, 2)
    train(resumed, resumed.param_groups[0]["params"], 2)
    assert saved["param_groups"] == kept["param_groups"]
    for i, state in saved["state"].items():
        for key, value in state.items():
            np.testing.assert_array_equal(value, kept["state"][i][key])


def test_state_dict_in_the_format_of_pytorch():
    torch = pytest.importorskip("torch", reason="loads PyTorch's state")
    ours = parameters()
    theirs = [torch.nn.Parameter(torch.tensor(p.numpy())) for p in ours]
    yours = torch.optim.Adam(theirs, lr=0.05)
    for step in range(10):
        set_gradients(ours, step)
        for p, q in zip(ours, theirs, strict=True):
            q.grad = torch.tensor(p.grad.numpy())
        if step == 5:
            mine = optim.Adam(ours)
            state = yours.state_dict()
            known = mine.param_groups[0]
            state["param_groups"] = [
                {key: group[key] for key in known} for group in state["param_groups"]
            ]
            mine.load_state_dict(state)
            for p, q in zip(ours, theirs, strict=True):
                p.overwrite(q.numpy(force=True))
        if step >= 5:
            mine.step()
        yours.step()
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.numpy(), q.numpy(force=True), rtol=1e-12)


def test_loading_casts_to_the_dtype_of_the_parameter():
    wide, narrow = parameters(), parameters(dtype="float32")
    optimizer, other = optim.Adam(wide), optim.Adam(narrow)
    train(optimizer, wide, 1)
    other.load_state_dict(optimizer.state_dict())
    assert all(s["exp_avg"].dtype == np.float32 for s in other.state.values())
    assert all(s["step"] == 1 for s in other.state.values())


def broken(change):
    params = parameters()
    optimizer = optim.Adam(params)
    train(optimizer, params, 1)
    state = optimizer.state_dict()
    change(state)
    return state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s["param_groups"].pop(), r"wants groups of \[4\] parameters, got \[\]"),
        (lambda s: s["param_groups"][0]["params"].pop(), r"wants groups of \[4\] .* got \[3\]"),
        (lambda s: s["param_groups"][0].pop("eps"), "a group misses 'eps'"),
        (lambda s: s["param_groups"][0].update(lr=-1.0), "lr wants a number from 0, got -1.0"),
        (lambda s: s["state"].update({9: {}}), "state has an entry 9"),
        (lambda s: s["state"][0].pop("exp_avg"), "state of 0 wants .*'exp_avg'"),
        (lambda s: s["state"][0].update(more=1), "state of 0 wants .*'more'"),
        (lambda s: s["state"][2].update(exp_avg=np.ones(5)), r"exp_avg of 2 wants shape \(4,\)"),
    ],
)
def test_loading_refuses_what_does_not_fit(change, message):
    optimizer = optim.Adam(parameters(), lr=0.25)
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(broken(change))
    assert optimizer.state == {}
    assert optimizer.param_groups[0]["lr"] == 0.25


def test_loading_refuses_settings_of_another_optimizer():
    sgd, adam = optim.SGD(parameters()), optim.Adam(parameters())
    with pytest.raises(TypeError, match="Adam: a group has the unknown entry 'momentum'"):
        adam.load_state_dict(sgd.state_dict())


# ---------------------------------------------------------------------------------------------
# Schedules
# ---------------------------------------------------------------------------------------------


def rates(make, epochs, lr=0.8):
    groups = [{"params": [mg.ones((1,))]}, {"params": [mg.ones((1,))], "lr": lr / 2}]
    optimizer = optim.SGD(groups, lr)
    scheduler = make(optimizer)
    found = []
    for _ in range(epochs):
        assert scheduler.get_last_lr() == [group["lr"] for group in optimizer.param_groups]
        found.append(scheduler.get_last_lr())
        scheduler.step()
    return np.array(found)


SCHEDULES = {
    "step": (lambda o: StepLR(o, 3, gamma=0.5), lambda e: 0.5 ** (e // 3)),
    "multistep": (
        lambda o: MultiStepLR(o, [2, 5, 5], gamma=0.1),
        lambda e: 0.1 ** sum(e >= m for m in (2, 5, 5)),
    ),
    "exponential": (lambda o: ExponentialLR(o, 0.9), lambda e: 0.9**e),
    "cosine": (
        lambda o: CosineAnnealingLR(o, 4),
        lambda e: (1 + math.cos(math.pi * e / 4)) / 2,
    ),
    "cosine in one epoch": (
        lambda o: CosineAnnealingLR(o, 1),
        lambda e: (1 + math.cos(math.pi * e)) / 2,
    ),
    "lambda": (lambda o: LambdaLR(o, lambda e: 1 / (1 + e)), lambda e: 1 / (1 + e)),
    "warm-up": (lambda o: LambdaLR(o, lambda e: min(1, e / 4)), lambda e: min(1, e / 4)),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_in_closed_form(name):
    make, factor = SCHEDULES[name]
    expected = [[0.8 * factor(e), 0.4 * factor(e)] for e in range(15)]
    np.testing.assert_allclose(rates(make, 15), expected, rtol=1e-12, atol=1e-15)


def test_cosine_annealing_to_eta_min():
    found = rates(lambda o: CosineAnnealingLR(o, 5, eta_min=0.2), 11, lr=1.0)[:, 0]
    expected = [0.2 + 0.8 * (1 + math.cos(math.pi * e / 5)) / 2 for e in range(11)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("StepLR", (3, 0.5)),
        ("MultiStepLR", ([2, 5, 5], 0.3)),
        ("ExponentialLR", (0.9,)),
        ("CosineAnnealingLR", (4, 0.05)),
        ("LambdaLR", (lambda e: 0.7**e,)),
        ("LambdaLR", ([lambda e: 0.7**e, lambda e: 1 / (1 + e)],)),
    ],
)
def test_schedules_as_pytorch(name, args):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    mine = optim.SGD([{"params": [mg.ones((1,))]}, {"params": [mg.ones((1,))], "lr": 0.3}], 0.8)
    yours = torch.optim.SGD(
        [{"params": [torch.ones(1)]}, {"params": [torch.ones(1)], "lr": 0.3}], 0.8
    )
    ours = getattr(lr_scheduler, name)(mine, *args)
    theirs = getattr(torch.optim.lr_scheduler, name)(yours, *args)
    for epoch in range(20):
        assert ours.get_last_lr() == pytest.approx(theirs.get_last_lr(), rel=1e-12)
        yours.step()
        if epoch == 6:  # set by hand in the middle
            mine.param_groups[0]["lr"] = yours.param_groups[0]["lr"] = 0.123
        ours.step()
        theirs.step()


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_go_on_from_a_state_dict(name):
    make, _ = SCHEDULES[name]
    whole = rates(make, 10)[:, 0]

    def fresh():
        optimizer = optim.SGD([mg.ones((1,))], 0.8)
        return optimizer, make(optimizer)

    optimizer, scheduler = fresh()
    for _ in range(4):
        scheduler.step()
    saved = optimizer.state_dict(), scheduler.state_dict()
    optimizer, scheduler = fresh()
    optimizer.load_state_dict(saved[0])
    scheduler.load_state_dict(saved[1])
    found = []
    for _ in range(4, 10):
        found += scheduler.get_last_lr()
        scheduler.step()
    assert found == list(whole[4:])


def test_schedules_combine():
    optimizer = optim.SGD([mg.ones((1,))], 1.0)
    first, second = ExponentialLR(optimizer, 0.5), StepLR(optimizer, 2, 0.1)
    for _ in range(3):
        first.step()
        second.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5**3 * 0.1)


# ---------------------------------------------------------------------------------------------
# Clipping
# ---------------------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 2**32 - 1),
    norm_type=st.sampled_from([1.0, 2.0, 3.5, math.inf]),
    max_norm=st.sampled_from([0.0, 0.5, 3.0, 1e3]),
)
def test_clip_grad_norm(seed, norm_type, max_norm):
    params = parameters()
    set_gradients(params, seed % 1000, skip=(2,))
    gradients = [p.grad.numpy().copy() for p in params if p.grad is not None]
    flat = np.concatenate([g.ravel() for g in gradients])
    expected = np.linalg.norm(flat, norm_type)
    total = optim.clip_grad_norm_(params, max_norm, norm_type)
    assert total.shape == ()
    assert total.item() == pytest.approx(expected, rel=1e-12)
    factor = min(1.0, max_norm / (expected + 1e-6))
    for p, g in zip([p for p in params if p.grad is not None], gradients, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), g * factor, rtol=1e-12)
    assert params[2].grad is None


def test_clip_grad_norm_as_pytorch():
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    params = parameters()
    set_gradients(params, 0)
    theirs = [torch.nn.Parameter(torch.tensor(p.numpy())) for p in params]
    for p, q in zip(params, theirs, strict=True):
        q.grad = torch.tensor(p.grad.numpy())
    total = nn.utils.clip_grad_norm_(params, 0.7)
    assert total.item() == pytest.approx(torch.nn.utils.clip_grad_norm_(theirs, 0.7).item())
    for p, q in zip(params, theirs, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("clip", [lambda p: optim.clip_grad_norm_(p, 0.1),
                                  lambda p: nn.utils.clip_grad_value_(p, 0.1)])  # fmt: skip
def test_clipping_writes_into_no_gradient(clip):
    """Two parameters may share one gradient array; and float32 beside float64 stays so."""
    shared = mg.ones((3,))
    a, b, c = mg.ones((3,)), mg.ones((3,)), mg.ones((3,), dtype="float64")
    a.grad = b.grad = shared
    c.grad = mg.ones((3,), dtype="float64")
    clip([a, b, c])
    np.testing.assert_array_equal(shared.numpy(), 1.0)
    np.testing.assert_array_equal(a.grad.numpy(), b.grad.numpy())
    assert (a.grad.numpy() < 0.11).all()
    assert (a.grad.dtype, c.grad.dtype) == (np.float32, np.float64)


def test_clip_grad_value():
    p = mg.ones((4,))
    p.grad = mg.tensor([-3.0, -0.5, 0.2, 7.0])
    assert optim.clip_grad_value_(p, 0.5) is None
    np.testing.assert_array_equal(p.grad.numpy(), np.float32([-0.5, -0.5, 0.2, 0.5]))


def test_clipping_without_gradients():
    assert optim.clip_grad_norm_([mg.ones((2,))], 1.0).item() == 0.0


# ---------------------------------------------------------------------------------------------
# Bad input
# ---------------------------------------------------------------------------------------------

ONE = mg.ones((1,), requires_grad=True)


def sgd(**options):
    return optim.SGD([ONE], **options)


BAD = [
    (lambda: optim.SGD([], lr=0.1), ValueError, "SGD: params wants at least one parameter"),
    (lambda: optim.SGD([{"params": []}]), ValueError, "SGD: params wants at least one parameter"),
    (lambda: optim.SGD(ONE), TypeError, "SGD: params wants a list .* got a Tensor"),
    (lambda: optim.SGD({ONE}), TypeError, "SGD: params wants a list .* got a set"),
    (lambda: optim.SGD(3), TypeError, "SGD: params wants a list .* got a int"),
    (lambda: optim.SGD([np.ones(2)]), TypeError, r"SGD: params\[0\] wants a Tensor, got ndarray"),
    (lambda: optim.SGD([ONE, ONE * 2]), ValueError, r"SGD: params\[1\] wants a leaf"),
    (lambda: optim.SGD([ONE, ONE]), ValueError, r"SGD: params\[1\] .* is there twice"),
    (
        lambda: optim.SGD([{"params": ONE}, {"params": ONE}]),
        ValueError,
        r"SGD: params\[0\] .* is there twice",
    ),
    (lambda: optim.SGD([{"lr": 1.0}]), TypeError, "SGD: a group wants .* 'params'"),
    (lambda: optim.SGD([{"params": ONE, "betas": 1}]), TypeError, "SGD: .* unknown entry 'betas'"),
    (lambda: sgd(lr=-0.1), ValueError, "SGD: lr wants a number from 0, got -0.1"),
    (lambda: sgd(lr="fast"), ValueError, "SGD: lr wants a number from 0, got 'fast'"),
    (lambda: sgd(lr=math.nan), ValueError, "SGD: lr wants a number from 0, got nan"),
    (lambda: sgd(momentum=-1.0), ValueError, "SGD: momentum wants"),
    (lambda: sgd(weight_decay=-1.0), ValueError, "SGD: weight_decay wants"),
    (lambda: sgd(nesterov=True), ValueError, "SGD: nesterov wants momentum and no dampening"),
    (
        lambda: sgd(nesterov=True, momentum=0.9, dampening=0.1),
        ValueError,
        "SGD: nesterov wants momentum and no dampening",
    ),
    (lambda: sgd(maximize=True), TypeError, "maximize"),
    (lambda: optim.Adam([ONE], betas=(0.9, 1.0)), ValueError, "Adam: betas wants two numbers"),
    (lambda: optim.Adam([ONE], betas=0.9), ValueError, "Adam: betas wants two numbers"),
    (lambda: optim.Adam([ONE], eps=-1.0), ValueError, "Adam: eps wants"),
    (lambda: optim.AdamW([ONE], weight_decay=-1.0), ValueError, "AdamW: weight_decay wants"),
    (lambda: optim.RMSprop([ONE], alpha=1.0), ValueError, "RMSprop: alpha wants"),
    (lambda: optim.RMSprop([ONE], centered=1), ValueError, "RMSprop: centered wants True or False"),
    (lambda: optim.Adagrad([ONE], lr_decay=-1.0), ValueError, "Adagrad: lr_decay wants"),
    (lambda: StepLR(ONE, 3), TypeError, "StepLR: optimizer wants an Optimizer, got Tensor"),
    (lambda: StepLR(sgd(), 0), ValueError, "StepLR: step_size wants a positive int, got 0"),
    (lambda: CosineAnnealingLR(sgd(), 0), ValueError, "CosineAnnealingLR: T_max wants"),
    (lambda: LambdaLR(sgd(), [abs, abs]), ValueError, "LambdaLR: lr_lambda wants 1 functions"),
    (lambda: StepLR(sgd(), 3, last_epoch=4), TypeError, "last_epoch"),
    (lambda: StepLR(sgd(), 3).load_state_dict(
        {"base_lrs": [1, 2], "last_epoch": 0, "_last_lr": [1, 2]}), ValueError, "wants 1 base_lrs"),
    (lambda: optim.clip_grad_norm_([ONE], -1.0), ValueError, "clip_grad_norm_: max_norm"),
    (lambda: optim.clip_grad_norm_([ONE], 1.0, 0.0), ValueError, "clip_grad_norm_: norm_type"),
    (lambda: optim.clip_grad_norm_([3], 1.0), TypeError, "clip_grad_norm_: parameters wants"),
    (lambda: optim.clip_grad_value_([ONE], -1.0), ValueError, "clip_grad_value_: clip_value"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
