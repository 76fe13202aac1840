"""Networks and training runs that minigrad and PyTorch both know how to build.

Every builder takes the module `nn` of one of the two libraries, which share their names. What
PyTorch computed for them stands in data/torch_cases.npz (written by data/make_torch_cases.py), so
that test_torch_cases.py compares without PyTorch, and test_against_torch.py compares live.
"""

import numpy as np

import minigrad as mg
from minigrad import nn, optim


def mlp(nn):
    """Batch norm has running statistics and acts differently in training and evaluation.

    The layer before it has no bias: batch norm cancels one, so that its gradient would be rounding
    noise, which Adagrad divides by its own size.
    """
    return nn.Sequential(
        nn.Linear(6, 8, bias=False),
        nn.BatchNorm1d(8),
        nn.Tanh(),
        nn.Linear(8, 5),
        nn.GELU(),
        nn.Linear(5, 3),
    )


def small_lenet(nn):
    """The layers of LeNet-5, with fewer channels."""
    return nn.Sequential(
        nn.Conv2d(1, 3, 5, padding=2),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(3, 4, 3, stride=2, bias=False),
        nn.ReLU(),
        nn.MaxPool2d(2, padding=1),
        nn.Flatten(),
        nn.Linear(16, 3),
    )


def lstm_classifier(nn):
    """Reads a sequence both ways and classifies from the last states."""

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(3, 4, num_layers=2, batch_first=True, bidirectional=True)
            self.head = nn.Linear(8, 3)

        def forward(self, x):
            outputs, _ = self.lstm(x)
            return self.head(outputs[:, -1])

    return Classifier()


MODELS = {
    "mlp": (mlp, (7, 6)),
    "small_lenet": (small_lenet, (5, 1, 12, 12)),
    "lstm_classifier": (lstm_classifier, (5, 6, 3)),
}

# name: (class, arguments, input shape)
LAYERS = {
    "linear": ("Linear", {"in_features": 3, "out_features": 4}, (5, 3)),
    "conv1d": ("Conv1d", {"in_channels": 2, "out_channels": 4, "kernel_size": 3, "padding": "same",
                          "dilation": 2, "groups": 2}, (2, 2, 7)),
    "conv2d": ("Conv2d", {"in_channels": 2, "out_channels": 3, "kernel_size": [3, 2],
                          "stride": [2, 1], "padding": [1, 0]}, (2, 2, 5, 6)),
    "conv3d": ("Conv3d", {"in_channels": 1, "out_channels": 2, "kernel_size": 2}, (2, 1, 3, 4, 3)),
    "conv_transpose2d": ("ConvTranspose2d", {"in_channels": 2, "out_channels": 3, "kernel_size": 3,
                                             "stride": 2, "padding": 1, "output_padding": 1},
                         (2, 2, 3, 4)),
    "max_pool2d": ("MaxPool2d", {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
                   (2, 2, 6, 5)),
    "avg_pool2d": ("AvgPool2d", {"kernel_size": 2, "padding": 1, "count_include_pad": False},
                   (2, 2, 5, 4)),
    "adaptive_avg_pool2d": ("AdaptiveAvgPool2d", {"output_size": [3, 2]}, (2, 2, 7, 5)),
    "upsample": ("Upsample", {"scale_factor": 2, "mode": "bilinear"}, (1, 2, 3, 4)),
    "batch_norm2d": ("BatchNorm2d", {"num_features": 3, "momentum": 0.3}, (4, 3, 2, 3)),
    "layer_norm": ("LayerNorm", {"normalized_shape": [3, 4]}, (2, 3, 4)),
    "group_norm": ("GroupNorm", {"num_groups": 2, "num_channels": 4}, (2, 4, 3)),
    "local_response_norm": ("LocalResponseNorm", {"size": 3, "alpha": 0.1}, (2, 5, 3, 2)),
    "rnn": ("RNN", {"input_size": 3, "hidden_size": 2, "nonlinearity": "relu"}, (4, 2, 3)),
    "lstm": ("LSTM", {"input_size": 3, "hidden_size": 2, "num_layers": 2, "bidirectional": True},
             (4, 2, 3)),
    "gru": ("GRU", {"input_size": 3, "hidden_size": 2, "batch_first": True}, (2, 4, 3)),
    "prelu": ("PReLU", {"num_parameters": 3}, (2, 3, 4)),
    "selu": ("SELU", {}, (3, 4)),
    "softplus": ("Softplus", {"beta": 2.0}, (3, 4)),
}  # fmt: skip

# name: (optimizer, its settings, scheduler, its settings)
TRAININGS = {
    "sgd": ("SGD", {"lr": 0.1}, None, {}),
    "sgd_momentum": ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.1, "weight_decay": 0.01},
                     None, {}),
    "sgd_nesterov": ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}, "StepLR",
                     {"step_size": 4, "gamma": 0.5}),
    "adam": ("Adam", {"lr": 0.02, "weight_decay": 0.01}, None, {}),
    "adamw": ("AdamW", {"lr": 0.02, "betas": [0.8, 0.95], "weight_decay": 0.1},
              "CosineAnnealingLR", {"T_max": 10, "eta_min": 0.001}),
    "rmsprop": ("RMSprop", {"lr": 0.01, "alpha": 0.9, "momentum": 0.5}, None, {}),
    "adagrad": ("Adagrad", {"lr": 0.05, "lr_decay": 0.01}, None, {}),
}  # fmt: skip

STEPS = 12
RUNS = [("mlp", training) for training in TRAININGS]
RUNS += [(model, training) for model in ("small_lenet", "lstm_classifier")
         for training in ("sgd_momentum", "adamw")]  # fmt: skip


def modes(name):
    """Whether to train, for each pass to compare: both where they differ."""
    return (True, False) if name in ("mlp", "batch_norm2d") else (True,)


def settings(values):
    """Keyword arguments with tuples where JSON-like literals above have lists."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def build(nn, name):
    """The layer or model called `name`, and the shape of its input."""
    if name in MODELS:
        make, shape = MODELS[name]
        return make(nn), shape
    kind, arguments, shape = LAYERS[name]
    return getattr(nn, kind)(**settings(arguments)), shape


class Minigrad:
    """What the comparison needs of minigrad."""

    def __init__(self):
        self.nn, self.optim, self.tensor = nn, optim, mg.tensor

    def module(self, module):
        return module.to("float64")

    def load(self, module, state):
        module.load_state_dict(state)

    def array(self, tensor):
        return tensor.numpy().copy()


class Torch:
    """What the comparison needs of PyTorch; the arrays are the same."""

    def __init__(self, torch):
        self.torch, self.nn, self.optim = torch, torch.nn, torch.optim

    def tensor(self, array, requires_grad=False):
        return self.torch.tensor(array, requires_grad=requires_grad)

    def module(self, module):
        return module.double()

    def load(self, module, state):
        tensors = {k: self.torch.tensor(v) for k, v in state.items()}
        module.load_state_dict(tensors)

    def array(self, tensor):
        return tensor.detach().numpy().copy()


def random_state(shapes, rng):
    """Values for a state dict: positive where a variance is wanted, integers kept."""
    state = {}
    for name, (shape, dtype) in shapes.items():
        if dtype == "int64":
            state[name] = np.array(3, dtype="int64")
        elif name.endswith("running_var"):
            state[name] = rng.uniform(0.5, 2.0, shape)
        else:
            state[name] = rng.uniform(-0.6, 0.6, shape)
    return state


def inputs(library, name, seed=0):
    """A state dict, an input and a number for the cotangents, the same for every library."""
    module, shape = build(library.nn, name)
    shapes = {
        key: (tuple(value.shape), str(value.dtype).split(".")[-1])
        for key, value in module.state_dict().items()
    }
    rng = np.random.default_rng([seed, *map(ord, name)])
    return random_state(shapes, rng), rng.normal(size=shape)


def _tensors(output):
    if isinstance(output, (tuple, list)):
        return [tensor for part in output for tensor in _tensors(part)]
    return [output]


def evaluate(library, name, state, x, train):
    """Outputs, gradients of all parameters and of the input, and the state dict after the pass.

    The loss is Σ cos(k) · y_k over all elements of all outputs, so that every gradient differs.
    """
    module = library.module(build(library.nn, name)[0])
    library.load(module, state)
    module.train(train)
    x = library.tensor(x, requires_grad=True)
    outputs = _tensors(module(x))
    loss = 0.0
    for y in outputs:
        weights = np.cos(np.arange(np.prod(tuple(y.shape)))).reshape(tuple(y.shape))
        loss = loss + (y * library.tensor(weights)).sum()
    loss.backward()
    found = {f"output.{i}": library.array(y) for i, y in enumerate(outputs)}
    found["gradient of input"] = library.array(x.grad)
    for key, parameter in module.named_parameters():
        found[f"gradient of {key}"] = library.array(parameter.grad)
    for key, buffer in module.named_buffers():
        found[f"after, {key}"] = library.array(buffer)
    return found


def train(library, name, training, state, x):
    """Loss at each step, and the parameters after the last, of a training run on one batch."""
    optimizer_kind, options, scheduler_kind, schedule = TRAININGS[training]
    module = library.module(build(library.nn, name)[0])
    library.load(module, state)
    labels = library.tensor(np.arange(len(x)) % 3)
    x = library.tensor(x)
    criterion = library.nn.CrossEntropyLoss()
    optimizer = getattr(library.optim, optimizer_kind)(module.parameters(), **settings(options))
    scheduler = None
    if scheduler_kind is not None:
        scheduler = getattr(library.optim.lr_scheduler, scheduler_kind)(optimizer, **schedule)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = criterion(module(x), labels)
        loss.backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        losses.append(float(library.array(loss)))
    found = {f"trained {k}": library.array(v) for k, v in module.state_dict().items()}
    return {"losses": np.array(losses), **found}


def agree(found, expected):
    """Fail unless both hold the same names and, to 1e-9, the same arrays."""
    assert list(found) == list(expected)
    for key, array in expected.items():
        np.testing.assert_allclose(found[key], array, rtol=1e-9, atol=1e-9, err_msg=key)
