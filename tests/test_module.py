"""Modules: what they own, how it is named, saved, loaded, moved and printed."""

import copy
from collections import OrderedDict

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn


class Net(nn.Module):
    """Two layers that share nothing, a parameter of its own, and a buffer of each kind."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.scale = nn.Parameter(mg.ones(4))
        self.register_buffer("steps", mg.tensor(0))
        self.register_buffer("scratch", mg.zeros(2), persistent=False)
        self.second = nn.Sequential(nn.ReLU(), nn.Linear(4, 2, bias=False))

    def forward(self, x):
        return self.second(self.first(x) * self.scale)


NAMES = ["scale", "first.weight", "first.bias", "second.1.weight"]


# -- What it owns ---------------------------------------------------------------------------------


def test_parameters_come_outer_first_and_in_the_order_of_assignment():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert [id(p) for p in net.parameters()] == [id(p) for _, p in net.named_parameters()]
    assert [name for name, _ in net.named_parameters("net", recurse=False)] == ["net.scale"]


def test_buffers_children_and_modules():
    net = Net()
    assert [name for name, _ in net.named_buffers()] == ["steps", "scratch"]
    assert [id(t) for t in net.buffers()] == [id(net.steps), id(net.scratch)]
    assert [name for name, _ in net.named_children()] == ["first", "second"]
    assert list(net.children()) == [net.first, net.second]
    names = ["", "first", "second", "second.0", "second.1"]
    assert [name for name, _ in net.named_modules()] == names
    assert [type(m).__name__ for m in net.modules()] == [
        "Net", "Linear", "Sequential", "ReLU", "Linear",
    ]


def test_shared_parameters_come_once_but_are_saved_under_both_names():
    net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    net[1].weight = net[0].weight
    assert [name for name, _ in net.named_parameters()] == ["0.weight"]
    assert list(net.state_dict()) == ["0.weight", "1.weight"]


def test_a_shared_module_comes_once():
    layer = nn.Linear(2, 2)
    net = nn.Sequential(layer, nn.ReLU(), layer)
    assert [name for name, _ in net.named_modules()] == ["", "0", "1"]
    assert len(list(net.children())) == 2
    assert len(net) == 3
    assert len(list(net.parameters())) == 2
    assert len(net.state_dict()) == 4


def test_a_parameter_takes_part_in_the_graph_and_results_are_tensors():
    p = nn.Parameter(mg.tensor([1.0, 2.0]))
    assert p.requires_grad
    y = p * 3.0
    assert type(y) is mg.Tensor
    y.sum().backward()
    assert type(p.grad) is mg.Tensor
    np.testing.assert_array_equal(p.grad.numpy(), [3.0, 3.0])
    assert repr(p) == "Parameter containing:\ntensor([1., 2.], requires_grad=True)"


def test_a_parameter_shares_memory_and_may_be_frozen():
    array = np.ones(3)
    p = nn.Parameter(array, requires_grad=False)
    assert p.array is array
    assert not p.requires_grad
    with pytest.raises(TypeError, match="floating dtype, got int64"):
        nn.Parameter(np.arange(3))


def test_none_keeps_a_place():
    layer = nn.Linear(2, 2, bias=False)
    assert layer.bias is None
    assert list(layer.state_dict()) == ["weight"]
    layer.bias = nn.Parameter(mg.zeros(2))
    assert list(layer.state_dict()) == ["weight", "bias"]


def test_assignments_that_would_lose_a_parameter_are_refused():
    net = Net()
    with pytest.raises(TypeError, match="'scale' is a parameter and wants a Parameter or None"):
        net.scale = mg.ones(4)
    with pytest.raises(TypeError, match="'steps' is a buffer and wants a Tensor or None, got int"):
        net.steps = 3
    net.steps = mg.tensor(7)
    assert net.state_dict()["steps"].item() == 7
    net.scratch = nn.Parameter(mg.ones(2))
    assert [name for name, _ in net.named_buffers()] == ["steps"]
    assert "scratch" in dict(net.named_parameters())
    del net.scratch, net.steps
    assert list(net.state_dict()) == NAMES


def test_init_must_come_first():
    class Early(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(1, 1)

    with pytest.raises(AttributeError, match=r"Early: call super\(\).__init__\(\) before"):
        Early()


def test_registration_checks_names_and_types():
    net = Net()
    with pytest.raises(KeyError, match="no dot"):
        net.register_buffer("a.b", mg.zeros(1))
    with pytest.raises(KeyError, match="already has an attribute 'forward'"):
        net.register_buffer("forward", mg.zeros(1))
    with pytest.raises(TypeError, match="register_buffer: 'b' wants a Tensor or None, got ndarray"):
        net.register_buffer("b", np.zeros(1))
    with pytest.raises(TypeError, match="register_parameter: 'p' wants a Parameter or None"):
        net.register_parameter("p", mg.zeros(1))
    with pytest.raises(TypeError, match="name wants a string, got int"):
        net.register_parameter(1, None)
    net.register_parameter("p", None)
    assert net.p is None
    net.register_buffer("nothing", None)
    assert "nothing" not in net.state_dict()


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match="Module: defines no forward"):
        nn.Module()(1)


# -- State dicts ----------------------------------------------------------------------------------


def test_state_dict_shares_memory_and_wants_no_gradient():
    net = Net()
    state = net.state_dict()
    assert list(state) == ["scale", "steps", *NAMES[1:]]
    assert not any(t.requires_grad for t in state.values())
    assert state["scale"].array is net.scale.array


@pytest.mark.parametrize("convert", [
    lambda t: t,
    lambda t: t.numpy(),
    lambda t: t.numpy().astype("float64"),
    lambda t: t.numpy().tolist(),
], ids=["tensors", "arrays", "other dtype", "lists"])  # fmt: skip
def test_load_state_dict_writes_in_place_and_casts(convert):
    source, target = Net(), Net()
    parameters = dict(target.named_parameters())
    arrays = {name: p.array for name, p in parameters.items()}
    result = target.load_state_dict({k: convert(v) for k, v in source.state_dict().items()})
    assert result == ([], [])
    for name, p in target.named_parameters():
        assert p is parameters[name]
        assert p.array is arrays[name]
        assert p.dtype == "float32"
        np.testing.assert_array_equal(p.array, source.state_dict()[name].array)


def test_one_error_names_all_that_is_wrong_and_nothing_is_written():
    net = Net()
    before = {k: v.numpy().copy() for k, v in net.state_dict().items()}
    state = {k: np.full(v.shape, 9.0) for k, v in before.items()}
    del state["first.bias"]
    state["second.1.weight"] = np.zeros((3, 4))
    state["third.weight"] = np.zeros(1)
    state["scale"] = "a string"
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    assert str(caught.value) == (
        "Net.load_state_dict: missing 'first.bias'; unexpected 'third.weight'; 'scale' wants "
        "numbers, got str; 'second.1.weight' wants shape (2, 4), got (3, 4)"
    )
    for name, tensor in net.state_dict().items():
        np.testing.assert_array_equal(tensor.array, before[name])


def test_an_entry_that_is_no_array_is_named():
    state = {**Net().state_dict(), "scale": [[1.0], [2.0, 3.0]]}
    with pytest.raises(RuntimeError, match="'scale' cannot be read as an array"):
        Net().load_state_dict(state)


def test_not_strict_loads_what_fits_and_tells_the_rest():
    net = Net()
    result = net.load_state_dict({"scale": np.arange(4), "other": np.zeros(1)}, strict=False)
    np.testing.assert_array_equal(net.scale.array, [0, 1, 2, 3])
    assert result.unexpected_keys == ["other"]
    assert result.missing_keys == ["steps", *NAMES[1:]]
    with pytest.raises(RuntimeError, match=r"'scale' wants shape \(4,\), got \(5,\)"):
        net.load_state_dict({"scale": np.arange(5)}, strict=False)
    with pytest.raises(TypeError, match="state wants a mapping, got list"):
        net.load_state_dict([1])


def test_a_graph_recorded_before_loading_refuses_to_go_backward():
    net = Net()
    loss = net(mg.randn(2, 3)).sum()
    net.load_state_dict(net.state_dict())
    with pytest.raises(RuntimeError, match="overwritten"):
        loss.backward()


# -- Modes, devices, dtypes -----------------------------------------------------------------------


def test_train_and_eval_reach_everything():
    net = Net()
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    net.second.train()
    assert [m.training for m in net.modules()] == [False, False, True, True, True]
    with pytest.raises(ValueError, match="mode wants True or False, got 'yes'"):
        net.train("yes")


def test_zero_grad_and_requires_grad():
    net = Net()
    net(mg.randn(2, 3)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    assert net.requires_grad_(False) is net
    assert not net(mg.randn(2, 3)).requires_grad


def test_apply_goes_from_the_inside_out():
    seen = []
    net = Net()
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["Linear", "ReLU", "Linear", "Sequential", "Net"]


def test_to_casts_floats_and_keeps_the_parameters():
    net = Net()
    net(mg.randn(2, 3)).sum().backward()
    parameters = list(net.parameters())
    assert net.to("float64") is net
    assert all(a is b for a, b in zip(net.parameters(), parameters, strict=True))
    assert {p.dtype.name for p in parameters} == {"float64"}
    assert {p.grad.dtype.name for p in parameters} == {"float64"}
    assert net.steps.dtype == "int64"
    assert net.scratch.dtype == "float64"
    assert net(mg.randn(2, 3, dtype="float64")).dtype == "float64"
    array = net.scale.array
    net.to("numpy")
    assert net.scale.array is array
    with pytest.raises(TypeError, match="backend or a floating dtype, got 'int32'"):
        net.to("int32")


def test_to_makes_graphs_recorded_before_refuse():
    net = Net()
    loss = net(mg.randn(2, 3)).sum()
    net.to("float64")
    with pytest.raises(RuntimeError, match="overwritten"):
        loss.backward()


def test_deepcopy_is_independent_and_keeps_sharing():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.BatchNorm1d(2)).eval()
    net[1].weight = net[0].weight
    net[0].bias.requires_grad = False
    twin = copy.deepcopy(net)
    assert twin[1].weight is twin[0].weight
    assert type(twin[0].weight) is nn.Parameter
    assert not twin[0].bias.requires_grad
    assert not twin[2].training
    twin[0].weight.overwrite(mg.zeros((2, 2)).array)
    twin[2].running_mean.overwrite(mg.ones(2).array)
    assert net[0].weight.array.all()
    assert not net[2].running_mean.array.any()
    assert list(twin.state_dict()) == list(net.state_dict())


# -- Hooks and reprs ------------------------------------------------------------------------------


def test_forward_hooks_see_and_replace_the_output_until_removed():
    layer = nn.ReLU()
    seen = []
    first = layer.register_forward_hook(lambda m, args, y: seen.append((m, args[0].shape, y.shape)))
    second = layer.register_forward_hook(lambda m, args, y: y + 1.0)
    x = mg.tensor([-1.0, 2.0])
    np.testing.assert_array_equal(layer(x).array, [1.0, 3.0])
    assert seen == [(layer, (2,), (2,))]
    first.remove()
    second.remove()
    second.remove()
    np.testing.assert_array_equal(layer(x).array, [0.0, 2.0])
    assert len(seen) == 1


def test_repr_is_a_tree():
    assert repr(Net()) == (
        "Net(\n"
        "  (first): Linear(in_features=3, out_features=4, bias=True)\n"
        "  (second): Sequential(\n"
        "    (0): ReLU()\n"
        "    (1): Linear(in_features=4, out_features=2, bias=False)\n"
        "  )\n"
        ")"
    )


def test_extra_repr_stands_before_the_children():
    class Residual(nn.Sequential):
        def extra_repr(self):
            return "scale=2"

    assert repr(Residual(nn.Tanh())) == "Residual(\n  scale=2\n  (0): Tanh()\n)"


# -- Containers -----------------------------------------------------------------------------------


def test_sequential_by_position_and_name():
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    assert len(net) == 3
    assert isinstance(net[-1], nn.Linear)
    assert [type(m).__name__ for m in net] == ["Linear", "Tanh", "Linear"]
    assert list(net[1:].state_dict()) == ["2.weight", "2.bias"]
    assert net[:2](mg.zeros((4, 2))).shape == (4, 3)
    assert net.append(nn.ReLU()) is net
    net[1] = nn.Sigmoid()
    assert list(dict(net.named_children())) == ["0", "1", "2", "3"]
    assert isinstance(net[1], nn.Sigmoid)
    named = nn.Sequential(OrderedDict(body=nn.Linear(2, 2), head=nn.Linear(2, 1)))
    assert list(named.state_dict()) == ["body.weight", "body.bias", "head.weight", "head.bias"]
    assert named[1] is named.head
    with pytest.raises(IndexError, match="index 4 is out of range for 4 modules"):
        net[4]
    with pytest.raises(TypeError, match="index wants an int or a slice, got 'a'"):
        net["a"]
    with pytest.raises(TypeError, match="Sequential: wants modules, got function"):
        nn.Sequential(lambda x: x)


def test_module_list():
    layers = nn.ModuleList(nn.Linear(n, n + 1) for n in (1, 2))
    assert layers.extend([nn.Linear(3, 4)]) is layers
    assert len(layers) == 3
    assert list(layers.state_dict())[::2] == ["0.weight", "1.weight", "2.weight"]
    assert [m.in_features for m in layers[1:]] == [2, 3]
    assert next(iter(layers[1:].state_dict())) == "0.weight"
    assert layers[-1].in_features == 3
    with pytest.raises(TypeError, match="ModuleList: wants modules, got int"):
        layers.append(3)


def test_module_dict():
    heads = nn.ModuleDict({"a": nn.Linear(1, 2)})
    heads["b"] = nn.Linear(1, 3)
    assert list(heads) == list(heads.keys()) == ["a", "b"]
    assert "a" in heads
    assert len(heads) == 2
    assert [m.out_features for m in heads.values()] == [2, 3]
    assert [name for name, _ in heads.items()] == ["a", "b"]
    assert next(iter(heads.state_dict())) == "a.weight"
    del heads["a"]
    assert list(heads) == ["b"]
    with pytest.raises(KeyError, match="already has an attribute 'keys'"):
        heads["keys"] = nn.ReLU()
    with pytest.raises(KeyError, match="missing"):
        heads["missing"]
    with pytest.raises(KeyError, match="training"):
        del heads["training"]


# -- Summary --------------------------------------------------------------------------------------


def test_summary_counts_by_hand():
    net = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.BatchNorm2d(6),
        nn.MaxPool2d(2, return_indices=False),
        nn.ConvTranspose2d(6, 2, 2, stride=2, groups=2),
        nn.Flatten(),
        nn.Linear(2 * 8 * 8, 10),
    )
    net[3].eval()
    table = nn.summary(net, (3, 1, 8, 8))
    assert [row.output_shape for row in table.rows] == [
        (3, 6, 8, 8), (3, 6, 8, 8), (3, 6, 4, 4), (3, 2, 8, 8), (3, 128), (3, 10),
    ]
    assert [row.parameters for row in table.rows] == [156, 12, 0, 26, 0, 1290]
    assert [row.multiply_adds for row in table.rows] == [
        3 * 6 * 64 * 25, 0, 0, 3 * 6 * 16 * 4, 0, 3 * 1280,
    ]
    assert table.parameters == table.trainable == 156 + 12 + 26 + 1290
    assert table.multiply_adds == sum(row.multiply_adds for row in table.rows)
    assert [m.training for m in net] == [True, True, True, False, True, True]
    assert not any(m._forward_hooks for m in net.modules())
    assert not net[1].num_batches_tracked.array
    lines = str(table).splitlines()
    assert lines[0] == "Sequential on an input of shape (3, 1, 8, 8)"
    assert lines[3].split() == ["0", "Conv2d", "3", "×", "6", "×", "8", "×", "8", "156", "28,800"]
    assert lines[-1].split() == ["total", "1,484", "33,792"]


def test_summary_of_recurrent_shared_and_frozen_layers():
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(11, 3)
            self.lstm = nn.LSTM(3, 4, batch_first=True, bidirectional=True)
            self.head = nn.Linear(8, 8)
            self.embedding.requires_grad_(False)

        def forward(self, x):
            return self.head(self.head(self.lstm(self.embedding(x))[0]))

    table = nn.summary(Tagger(), (2, 5), dtype="int64")
    assert [row.name for row in table.rows] == ["embedding", "lstm", "head", "head"]
    assert [row.output_shape for row in table.rows][1] == (2, 5, 8)
    assert [row.parameters for row in table.rows] == [33, 2 * 16 * (3 + 4 + 2), 72, 0]
    assert [row.multiply_adds for row in table.rows] == [0, 10 * 2 * 16 * 7, 640, 640]
    assert table.parameters - table.trainable == 33
    assert str(table).endswith("33 of the parameters are frozen")


def test_summary_puts_the_modes_back_after_an_error():
    net = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    with pytest.raises(ValueError, match="linear"):
        nn.summary(net, (1, 4))
    assert all(m.training for m in net.modules())
    assert not any(m._forward_hooks for m in net.modules())
