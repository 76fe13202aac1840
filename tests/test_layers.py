"""Every layer against the one of its name in PyTorch: names, outputs, gradients, buffers, repr."""

import inspect

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn

# (class, positional arguments, keyword arguments, shapes of inputs that it takes)
CASES = [
    ("Identity", (), {}, [(2, 3)]),
    ("Linear", (3, 4), {}, [(5, 3), (3,), (2, 5, 3), (0, 3)]),
    ("Linear", (3, 4, False), {}, [(5, 3)]),
    ("Dropout", (), {"p": 0.0}, [(2, 3)]),
    ("Dropout2d", (0.0,), {}, [(2, 3, 4, 4)]),
    ("Flatten", (), {}, [(2, 3, 4), (2, 3), (0, 3, 2)]),
    ("Flatten", (0, 1), {}, [(2, 3, 4)]),
    ("Flatten", (-2,), {}, [(2, 3, 4)]),
    ("Unflatten", (1, (2, 3)), {}, [(5, 6), (5, 6, 2)]),
    ("Unflatten", (-1, (2, -1)), {}, [(5, 6)]),
    # Convolutions, with and without a batch
    ("Conv1d", (2, 4, 3), {}, [(2, 2, 9), (2, 9)]),
    ("Conv1d", (2, 4, 3, 2, 1, 2, 2, False), {}, [(2, 2, 9)]),
    ("Conv2d", (2, 4, 3), {}, [(2, 2, 7, 6), (2, 7, 6)]),
    ("Conv2d", (2, 4, (3, 2)), {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)},
     [(3, 2, 7, 6)]),
    ("Conv2d", (4, 4, 3), {"groups": 4, "padding": 1}, [(2, 4, 5, 5)]),
    ("Conv2d", (2, 3, (4, 3)), {"padding": "same", "dilation": (1, 2)}, [(2, 2, 6, 5)]),
    ("Conv2d", (2, 3, 3), {"padding": "valid", "stride": 3}, [(2, 2, 8, 9)]),
    ("Conv2d", (2, 3, 1), {}, [(2, 2, 3, 3)]),
    ("Conv3d", (2, 2, 2), {"groups": 2, "stride": (1, 2, 1)}, [(2, 2, 3, 4, 3), (2, 3, 4, 3)]),
    ("ConvTranspose1d", (2, 4, 3), {"stride": 2, "output_padding": 1}, [(2, 2, 5), (2, 5)]),
    ("ConvTranspose2d", (2, 4, 3), {}, [(2, 2, 4, 3), (2, 4, 3)]),
    ("ConvTranspose2d", (2, 4, (3, 2), (2, 3), (1, 0), (1, 2), 2, False, (1, 2)), {},
     [(2, 2, 4, 3)]),
    ("ConvTranspose2d", (2, 4, 3), {"dilation": 3, "output_padding": 2}, [(2, 2, 4, 3)]),
    ("ConvTranspose3d", (2, 2, 2), {"stride": 2, "padding": 1}, [(2, 2, 3, 2, 3)]),
    # Pools
    ("MaxPool1d", (3,), {"stride": 2, "padding": 1}, [(2, 2, 7), (2, 7)]),
    ("MaxPool2d", (2,), {}, [(2, 2, 5, 6), (2, 5, 6)]),
    ("MaxPool2d", ((3, 2), (2, 1), (1, 0), (1, 2)), {"ceil_mode": True}, [(2, 2, 6, 5)]),
    ("MaxPool2d", (3, 2, 1, 1, True, True), {}, [(2, 2, 6, 5)]),
    ("MaxPool3d", (2,), {"return_indices": True}, [(2, 2, 4, 4, 5), (2, 4, 4, 5)]),
    ("AvgPool1d", (3, 2, 1, True, False), {}, [(2, 2, 8), (2, 8)]),
    ("AvgPool2d", (2,), {}, [(2, 2, 5, 6), (2, 5, 6)]),
    ("AvgPool2d", ((3, 2),), {"stride": (2, 1), "padding": 1, "ceil_mode": True}, [(2, 2, 6, 5)]),
    ("AvgPool2d", (3, 2, 1, True, False), {}, [(2, 2, 6, 6)]),
    ("AvgPool3d", (2,), {"padding": 1, "count_include_pad": False}, [(2, 2, 3, 4, 3)]),
    ("AdaptiveAvgPool1d", (3,), {}, [(2, 2, 7), (2, 7)]),
    ("AdaptiveAvgPool2d", (1,), {}, [(2, 2, 7, 5)]),
    ("AdaptiveAvgPool2d", ((3, None),), {}, [(2, 2, 7, 5), (2, 7, 5)]),
    ("AdaptiveAvgPool3d", (2,), {}, [(2, 2, 3, 4, 5)]),
    ("AdaptiveMaxPool2d", ((3, 2),), {}, [(2, 2, 7, 5), (2, 7, 5)]),
    ("AdaptiveMaxPool2d", (2, True), {}, [(2, 2, 5, 5)]),
    ("Upsample", (), {"scale_factor": 2}, [(2, 2, 3), (2, 2, 3, 4), (1, 1, 2, 3, 2)]),
    ("Upsample", ((5, 7),), {}, [(2, 2, 3, 4)]),
    ("Upsample", (), {"scale_factor": (1.5, 2.0), "mode": "bilinear"}, [(2, 2, 4, 3)]),
    ("Upsample", (), {"size": 6, "mode": "bilinear", "align_corners": True}, [(2, 2, 3, 4)]),
    ("PixelShuffle", (2,), {}, [(2, 8, 2, 3), (4, 2, 3)]),
    # Normalisation
    ("BatchNorm1d", (3,), {}, [(4, 3), (4, 3, 5)]),
    ("BatchNorm2d", (3, 1e-3, 0.3), {}, [(4, 3, 2, 3)]),
    ("BatchNorm2d", (3,), {"affine": False}, [(4, 3, 2, 3)]),
    ("BatchNorm2d", (3,), {"momentum": None}, [(4, 3, 2, 3)]),
    ("BatchNorm2d", (3,), {"track_running_stats": False}, [(4, 3, 2, 3)]),
    ("BatchNorm3d", (2,), {}, [(2, 2, 2, 3, 2)]),
    ("LayerNorm", (4,), {}, [(2, 3, 4), (4,)]),
    ("LayerNorm", ([3, 4], 1e-3), {"bias": False}, [(2, 3, 4)]),
    ("LayerNorm", ((3, 4), 1e-3, False), {}, [(2, 3, 4)]),
    ("GroupNorm", (2, 4), {}, [(3, 4), (2, 4, 5), (2, 4, 2, 3)]),
    ("GroupNorm", (4, 4, 1e-3, False), {}, [(2, 4, 3)]),
    ("InstanceNorm2d", (3,), {"affine": True}, [(2, 3, 4, 2), (3, 4, 2)]),
    ("InstanceNorm2d", (3, 1e-3), {}, [(2, 3, 4, 2)]),
    ("LocalResponseNorm", (3,), {"alpha": 0.5}, [(2, 5, 4), (2, 5, 3, 2)]),
    ("LocalResponseNorm", (4, 0.5, 0.5, 2.0), {}, [(2, 5, 3, 2)]),
    # Activations
    *[(name, (), {}, [(3, 4), (2, 3, 4)]) for name in (
        "ReLU", "LeakyReLU", "ELU", "SELU", "GELU", "SiLU", "Softplus", "Softsign", "Sigmoid",
        "LogSigmoid", "Tanh", "Hardtanh", "PReLU",
    )],
    ("LeakyReLU", (0.2,), {}, [(3, 4)]),
    ("ELU", (0.5,), {}, [(3, 4)]),
    ("GELU", ("tanh",), {}, [(3, 4)]),
    ("Softplus", (2.0, 1.0), {}, [(3, 4)]),
    ("Hardtanh", (-0.5, 0.25), {}, [(3, 4)]),
    ("PReLU", (3, 0.1), {}, [(2, 3), (2, 3, 4)]),
    ("Threshold", (0.1, -2.0), {}, [(3, 4)]),
    ("Softmax", (1,), {}, [(3, 4), (2, 3, 4)]),
    ("LogSoftmax", (-1,), {}, [(3, 4)]),
]  # fmt: skip


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="needs the peers extra: PyTorch")


def pair(torch, name, args, kwargs, seed=0):
    """Our layer and PyTorch's with one random state."""
    ours = getattr(nn, name)(*args, **kwargs).to("float64")
    theirs = getattr(torch.nn, name)(*args, **kwargs).double()
    rng = np.random.default_rng(seed)
    state = theirs.state_dict()
    for key, value in state.items():
        if value.dtype.is_floating_point:
            state[key] = torch.tensor(rng.uniform(0.3, 1.5, tuple(value.shape)))
    theirs.load_state_dict(state)
    ours.load_state_dict(state)
    return ours, theirs


def outputs(value):
    return list(value) if isinstance(value, tuple) else [value]


def compare(torch, ours, theirs, x, *more):
    """Outputs, gradients of the input and of all parameters, and buffers after one pass."""
    a = mg.tensor(x, requires_grad=True)
    b = torch.tensor(x, requires_grad=True)
    ys = outputs(ours(a, *more))
    zs = outputs(theirs(b, *more))
    assert len(ys) == len(zs)
    for y, z in zip(ys, zs, strict=True):
        assert y.shape == tuple(z.shape)
        np.testing.assert_allclose(y.array, z.detach().numpy(), rtol=1e-9, atol=1e-11)
    weights = np.cos(np.arange(ys[0].size)).reshape(ys[0].shape)
    (ys[0] * weights).sum().backward()
    (zs[0] * torch.tensor(weights)).sum().backward()
    np.testing.assert_allclose(a.grad.array, b.grad.numpy(), rtol=1e-9, atol=1e-11)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.array, q.grad.numpy(), rtol=1e-9, atol=1e-11)
    for p, q in zip(ours.buffers(), theirs.buffers(), strict=True):
        np.testing.assert_allclose(p.array, q.numpy(), rtol=1e-12)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize(
    ("name", "args", "kwargs", "shapes"), CASES, ids=[f"{c[0]}-{i}" for i, c in enumerate(CASES)]
)
def test_layers_are_pytorchs(torch, name, args, kwargs, shapes):
    ours, theirs = pair(torch, name, args, kwargs)
    theirs_state = {k: tuple(v.shape) for k, v in theirs.state_dict().items()}
    assert {k: v.shape for k, v in ours.state_dict().items()} == theirs_state
    assert list(ours.state_dict()) == list(theirs_state)
    rng = np.random.default_rng(1)
    for train in (True, False, True):
        ours.train(train)
        theirs.train(train)
        for shape in shapes:
            ours.zero_grad()
            theirs.zero_grad()
            compare(torch, ours, theirs, rng.normal(size=shape))


# PyTorch's repr shows arguments that ours have not (`inplace`), or depends on its version.
OTHER_REPR = {"Dropout", "Dropout2d", "AvgPool1d", "Upsample", "BatchNorm1d", "BatchNorm2d"}
OTHER_REPR |= {"BatchNorm3d", "LayerNorm", "GroupNorm", "InstanceNorm2d"}


@pytest.mark.parametrize(
    ("name", "args", "kwargs"), [c[:3] for c in CASES if c[0] not in OTHER_REPR]
)
def test_repr_is_pytorchs(torch, name, args, kwargs):
    ours, theirs = (getattr(module, name)(*args, **kwargs) for module in (nn, torch.nn))
    assert repr(ours) == repr(theirs)


def test_every_layer_has_a_case():
    elsewhere = {"Module", "Parameter", "Sequential", "ModuleList", "ModuleDict", "Embedding"}
    elsewhere |= {"RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"}
    elsewhere |= {f"MaxUnpool{n}d" for n in (1, 2, 3)}
    layers = {
        name
        for name, value in vars(nn).items()
        if inspect.isclass(value) and not name.endswith("Loss")
    }
    assert layers - elsewhere == {case[0] for case in CASES}


TAKE_ANYTHING = {"Module", "Sequential", "ModuleList", "ModuleDict", "Identity"}
# PyTorch's own say only *args, **kwargs; test_recurrent calls them with every argument.
TAKE_ANYTHING |= {"RNN", "LSTM", "GRU"}


@pytest.mark.parametrize(
    "name", [name for name in nn.__all__ if name[0].isupper() and name not in TAKE_ANYTHING]
)
def test_signatures_are_a_subset_of_pytorchs(torch, name):
    ours = list(inspect.signature(getattr(nn, name)).parameters.values())
    theirs = inspect.signature(getattr(torch.nn, name)).parameters
    positional = [p for p in ours if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert [p.name for p in positional] == list(theirs)[: len(positional)]
    for p in ours:
        if p.default is not p.empty:
            assert p.default == theirs[p.name].default


# -- Layers without PyTorch -----------------------------------------------------------------------

# (layer, what it computes, shape of its input): no setting is lost on the way to the function
SETTINGS = [
    (nn.LeakyReLU(0.3), lambda m, x: F.leaky_relu(x, 0.3), (3, 4)),
    (nn.PReLU(), lambda m, x: F.prelu(x, mg.full(1, 0.25)), (3, 4)),
    (nn.PReLU(3, 0.1), lambda m, x: F.prelu(x, mg.full(3, 0.1)), (2, 3, 4)),
    (nn.ELU(1.5), lambda m, x: F.elu(x, 1.5), (3, 4)),
    (nn.GELU("tanh"), lambda m, x: F.gelu(x, "tanh"), (3, 4)),
    (nn.Softplus(2.0, 0.5), lambda m, x: F.softplus(x, 2.0, 0.5), (3, 4)),
    (nn.Hardtanh(-0.5, 0.25), lambda m, x: F.hardtanh(x, -0.5, 0.25), (3, 4)),
    (nn.Threshold(0.1, -2.0), lambda m, x: F.threshold(x, 0.1, -2.0), (3, 4)),
    (nn.Softmax(0), lambda m, x: F.softmax(x, 0), (3, 4)),
    (nn.LogSoftmax(0), lambda m, x: F.log_softmax(x, 0), (3, 4)),
    (nn.Flatten(), lambda m, x: x.reshape(2, 12), (2, 3, 4)),
    (nn.Flatten(0, 1), lambda m, x: x.reshape(6, 4), (2, 3, 4)),
    (nn.Unflatten(1, (2, -1)), lambda m, x: x.reshape(2, 2, 3, 4), (2, 6, 4)),
    (nn.Conv1d(2, 4, 3, 2, 1, 2, 2), lambda m, x: F.conv1d(x, m.weight, m.bias, 2, 1, 2, 2),
     (2, 2, 9)),
    (nn.Conv2d(2, 3, (3, 2)), lambda m, x: F.conv2d(x, m.weight, m.bias), (2, 2, 5, 5)),
    (nn.ConvTranspose1d(2, 4, 3, 2, 1, 1, 2, True, 2),
     lambda m, x: F.conv_transpose1d(x, m.weight, m.bias, 2, 1, 1, 2, 2), (2, 2, 5)),
    (nn.MaxPool1d(2), lambda m, x: F.max_pool1d(x, 2), (2, 2, 7)),
    (nn.MaxPool1d(3, 2, 1, 2, False, True), lambda m, x: F.max_pool1d(x, 3, 2, 1, 2, True),
     (2, 2, 8)),
    (nn.AvgPool1d(2), lambda m, x: F.avg_pool1d(x, 2), (2, 2, 7)),
    (nn.AvgPool1d(3, 2, 1, True, False), lambda m, x: F.avg_pool1d(x, 3, 2, 1, True, False),
     (2, 2, 8)),
    (nn.AdaptiveMaxPool2d((3, 2)), lambda m, x: F.adaptive_max_pool2d(x, (3, 2)), (2, 2, 5, 5)),
    (nn.Upsample(scale_factor=1.5), lambda m, x: F.interpolate(x, None, 1.5), (2, 2, 4)),
    (nn.Upsample((5, 7), mode="bilinear", align_corners=True),
     lambda m, x: F.interpolate(x, (5, 7), None, "bilinear", True), (2, 2, 3, 4)),
    (nn.PixelShuffle(2), lambda m, x: F.pixel_shuffle(x, 2), (2, 4, 3, 2)),
    (nn.BatchNorm1d(3, 0.5), lambda m, x: F.batch_norm(x, None, None, training=True, eps=0.5),
     (4, 3)),
    (nn.BatchNorm1d(3, 0.5).eval(), lambda m, x: F.batch_norm(x, mg.zeros(3), mg.ones(3), eps=0.5),
     (4, 3)),
    (nn.LayerNorm((3, 4), 0.5), lambda m, x: F.layer_norm(x, (3, 4), eps=0.5), (2, 3, 4)),
    (nn.GroupNorm(2, 4, 0.5), lambda m, x: F.group_norm(x, 2, eps=0.5), (2, 4, 3)),
    (nn.InstanceNorm2d(3, 0.5), lambda m, x: F.instance_norm(x, eps=0.5), (2, 3, 4, 2)),
    (nn.LocalResponseNorm(3, 0.5, 0.6, 2.0),
     lambda m, x: F.local_response_norm(x, 3, 0.5, 0.6, 2.0), (2, 5, 3)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("layer", "function", "shape"), SETTINGS, ids=[type(case[0]).__name__ for case in SETTINGS]
)
def test_every_setting_reaches_the_function(layer, function, shape):
    x = mg.tensor(np.random.default_rng(0).normal(size=shape).astype("float32"))
    expected = function(layer, x)
    np.testing.assert_allclose(layer(x).array, expected.array, rtol=1e-6, atol=1e-7)


def test_unpooling_has_the_geometry_of_its_pool():
    x = mg.randn(2, 3, 7)
    y, indices = F.max_pool1d(x, 3, 2, 1, return_indices=True)
    up = nn.MaxUnpool1d(3, 2, 1)(y, indices)
    assert up.shape == (2, 3, 7)
    np.testing.assert_array_equal(up.array, F.max_unpool1d(y, indices, 3, 2, 1).array)


# -- Layers that take more than floats ------------------------------------------------------------


@pytest.mark.parametrize("padding_idx", [None, 2, -1])
def test_embedding_is_pytorchs(torch, padding_idx):
    ours, theirs = pair(torch, "Embedding", (5, 3), {"padding_idx": padding_idx})
    assert repr(ours) == repr(theirs)
    tokens = np.array([[0, 2, 4], [2, 2, 1]])
    y, z = ours(mg.tensor(tokens)), theirs(torch.tensor(tokens))
    np.testing.assert_array_equal(y.array, z.detach().numpy())
    weights = np.cos(np.arange(18)).reshape(2, 3, 3)
    (y * weights).sum().backward()
    (z * torch.tensor(weights)).sum().backward()
    np.testing.assert_allclose(ours.weight.grad.array, theirs.weight.grad.numpy(), atol=1e-14)


def test_embedding_starts_with_zeros_for_padding():
    layer = nn.Embedding(4, 3, padding_idx=1)
    assert not layer.weight.array[1].any()
    assert layer.weight.array[[0, 2, 3]].all()
    layer(mg.tensor([0, 1, 1])).sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.array[:, 0], [1.0, 0.0, 0.0, 0.0])
    with pytest.raises(IndexError, match="embedding"):
        layer(mg.tensor([0, 4]))
    with pytest.raises(ValueError, match="padding_idx wants to be within num_embeddings=4, got 4"):
        nn.Embedding(4, 3, padding_idx=4)


@pytest.mark.parametrize(("n", "shape"), [(1, (2, 3, 8)), (2, (2, 3, 6, 9)), (3, (1, 2, 4, 5, 4))])
@pytest.mark.parametrize("batch", [True, False])
def test_max_unpool_is_pytorchs(torch, n, shape, batch):
    x = np.random.default_rng(0).normal(size=shape)
    x = x if batch else x[0]
    pool, theirs = (
        getattr(module, f"MaxPool{n}d")(2, return_indices=True) for module in (nn, torch.nn)
    )
    unpool, their_unpool = (getattr(module, f"MaxUnpool{n}d")(2) for module in (nn, torch.nn))
    assert repr(unpool) == repr(their_unpool)
    y, indices = pool(mg.tensor(x))
    z, their_indices = theirs(torch.tensor(x))
    with pytest.raises(ValueError, match="output_size"):
        unpool(y, indices, output_size=tuple(3 * length for length in x.shape[-n:]))
    even = all(length % 2 == 0 for length in x.shape[-n:])
    for size in (x.shape[-n:], None) if even else (x.shape[-n:],):
        up = unpool(y, indices, output_size=size).array
        their_up = their_unpool(z, their_indices, output_size=size).numpy()
        np.testing.assert_array_equal(up, their_up)


@pytest.mark.parametrize("size", [[9, 11], [10, 12], [2, 3, 9, 12]])
def test_transposed_convolution_to_a_given_size(torch, size):
    ours, theirs = pair(torch, "ConvTranspose2d", (2, 3, 3), {"stride": 2, "padding": (0, 1)})
    x = np.random.default_rng(0).normal(size=(2, 2, 4, 6))
    compare(torch, ours, theirs, x, size)


def test_transposed_convolution_to_an_impossible_size():
    layer = nn.ConvTranspose2d(2, 3, 3, stride=2)
    x = mg.zeros((2, 2, 4, 6))
    assert layer(x, output_size=(2, 3, 10, 14)).shape == (2, 3, 10, 14)
    with pytest.raises(ValueError, match=r"wants \(9, 13\) to \(10, 14\), got \(8, 13\)"):
        layer(x, output_size=(8, 13))
    with pytest.raises(ValueError, match="output_size wants 2 or 4 lengths, got \\(9,\\)"):
        layer(x, output_size=(9,))


def test_batch_norm_counts_and_averages():
    """With momentum None the running mean is the mean over batches of the batch means."""
    layer = nn.BatchNorm1d(2, momentum=None).to("float64")
    batches = np.random.default_rng(0).normal(size=(5, 4, 2))
    for batch in batches:
        layer(mg.tensor(batch))
    assert layer.num_batches_tracked.item() == 5
    np.testing.assert_allclose(layer.running_mean.array, batches.mean(axis=(0, 1)), atol=1e-15)
    variance = batches.var(axis=1, ddof=1).mean(axis=0)
    np.testing.assert_allclose(layer.running_var.array, variance, atol=1e-15)
    layer.eval()
    layer(mg.tensor(batches[0]))
    assert layer.num_batches_tracked.item() == 5


def test_batch_norm_stays_in_float32():
    layer = nn.BatchNorm1d(2, momentum=None)
    assert layer(mg.randn(4, 2)).dtype == "float32"
    assert {t.dtype.name for t in layer.buffers()} == {"float32", "int64"}


@pytest.mark.parametrize("name", ["Dropout", "Dropout2d"])
def test_dropout_in_training_and_evaluation(name):
    layer = getattr(nn, name)(0.25)
    x = mg.ones((40, 50, 2, 2))
    y = layer(x).array
    assert set(np.unique(y)) == {np.float32(0.0), np.float32(1 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.06
    whole = (y == y[:, :, :1, :1]).all()
    assert whole == (name == "Dropout2d")
    np.testing.assert_array_equal(layer.eval()(x).array, x.array)


def test_layers_make_results_of_the_default_dtype_and_backend():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    y = net(mg.randn(3, 1, 4, 4))
    assert y.dtype == "float32"
    assert {p.dtype.name for p in net.parameters()} == {"float32"}


# -- Wrong calls ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: nn.Linear(0, 3), ValueError, "Linear: in_features wants at least 1, got 0"),
    (lambda: nn.Linear(3, -1), ValueError, "Linear: out_features wants at least 1, got -1"),
    (lambda: nn.Linear(3, 2.5), TypeError, "Linear: out_features wants ints, got 2.5"),
    (lambda: nn.Linear(3, 4, dtype="float64"), TypeError, "dtype"),
    (lambda: nn.Linear(3, 4)(mg.zeros((2, 4))), ValueError, "linear: weight wants 3 input"),
    (lambda: nn.Linear(3, 4)(mg.zeros((2, 3), "float64")), TypeError, "linear: .* one dtype"),
    (lambda: nn.Linear(3, 4)(mg.zeros((2, 3), "int64")), TypeError, "linear: .* floating dtype"),
    (lambda: nn.Conv2d(3, 8, 5)(mg.zeros((4, 1, 28, 28))), ValueError,
     r"conv2d: weight wants 3 input channels .* but input has 1 \(shape \(4, 1, 28, 28\)\)"),
    (lambda: nn.Conv2d(1, 8, 5)(mg.zeros((4, 1, 3, 28))), ValueError, "conv2d: kernel spans"),
    (lambda: nn.Conv2d(1, 8, 5)(mg.zeros((28, 28))), ValueError, "conv2d: input wants 4 dim"),
    (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "in_channels=3 does not divide by groups=2"),
    (lambda: nn.Conv2d(4, 3, 3, groups=2), ValueError, "out_channels=3 does not divide by groups"),
    (lambda: nn.Conv2d(1, 1, (3, 3, 3)), ValueError, "Conv2d: kernel_size wants an int or 2"),
    (lambda: nn.Conv2d(1, 1, 3, stride=0), ValueError, "Conv2d: stride wants at least 1"),
    (lambda: nn.Conv2d(1, 1, 3, padding=-1), ValueError, "Conv2d: padding wants at least 0"),
    (lambda: nn.Conv2d(1, 1, 3, padding="full"), ValueError, "'same' or 'valid', got 'full'"),
    (lambda: nn.Conv2d(1, 1, 3, 2, "same"), ValueError, r"wants stride 1, got \(2, 2\)"),
    (lambda: nn.Conv2d(1, 1, 3, padding_mode="circular"), TypeError, "padding_mode"),
    (lambda: nn.ConvTranspose2d(1, 1, 3, padding="same"), TypeError, "padding wants ints"),
    (lambda: nn.ConvTranspose1d(1, 1, 3, 2, output_padding=2)(mg.zeros((1, 1, 3))), ValueError,
     "output_padding"),
    (lambda: nn.MaxPool2d(2, padding=2)(mg.zeros((1, 1, 4, 4))), ValueError, "padding wants at mo"),
    (lambda: nn.AvgPool2d(2, divisor_override=3), TypeError, "divisor_override"),
    (lambda: nn.MaxUnpool2d(0), ValueError, "MaxUnpool2d: kernel_size wants at least 1"),
    (lambda: nn.PixelShuffle(2)(mg.zeros((1, 3, 2, 2))), ValueError, "channels that divide by 4"),
    (lambda: nn.BatchNorm2d(3)(mg.zeros((2, 3, 4))), ValueError, "BatchNorm2d: input wants 4 dim"),
    (lambda: nn.BatchNorm1d(3)(mg.zeros((2, 4))), ValueError, "BatchNorm1d: input wants 3 channel"),
    (lambda: nn.BatchNorm1d(3)(mg.zeros((1, 3))), ValueError, "more than one value per channel"),
    (lambda: nn.LayerNorm(3)(mg.zeros((2, 4))), ValueError, "layer_norm: .* normalized_shape"),
    (lambda: nn.GroupNorm(2, 3), ValueError, "num_channels=3 does not divide by num_groups=2"),
    (lambda: nn.InstanceNorm2d(3)(mg.zeros((2, 4, 2, 2))), ValueError, "wants 3 channels"),
    (lambda: nn.InstanceNorm2d(3, 1e-5, 0.1), TypeError, "positional"),
    (lambda: nn.Dropout(1.5), ValueError, "Dropout: p wants a probability, got 1.5"),
    (lambda: nn.ReLU(inplace=True), TypeError, "inplace"),
    (lambda: nn.GELU("fast"), ValueError, "GELU: approximate wants 'none' or 'tanh', got 'fast'"),
    (lambda: nn.Hardtanh(1.0, -1.0), ValueError, "Hardtanh: wants min_val < max_val"),
    (lambda: nn.PReLU(3)(mg.zeros((2, 4))), ValueError, "prelu"),
    (lambda: nn.Flatten(2, 1)(mg.zeros((2, 3, 4))), ValueError, "start_dim 2 comes after end_dim"),
    (lambda: nn.Flatten(3)(mg.zeros((2, 3))), ValueError, "Flatten: axis 3 is out of bounds"),
    (lambda: nn.Unflatten(1, (2, 2))(mg.zeros((2, 6))), ValueError, "does not divide into"),
    (lambda: nn.Unflatten(1, (4, -1))(mg.zeros((2, 6))), ValueError, "does not divide into"),
])  # fmt: skip
def test_wrong_calls(call, error, message):
    with pytest.raises(error, match=message):
        call()
