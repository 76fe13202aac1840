"""What the recurrent networks read, and what they are asked.

    images    row by row, as many steps as an image has rows: which class is it?
    adding    numbers, two of which are marked: what is the sum of these two?
    reber     strings of a grammar, symbol by symbol: which symbols may come next?
    text      characters or words of any text: which comes next?

The second and third are problems of S. Hochreiter and J. Schmidhuber 1997, "Long short-term
memory", Neural Computation 9(8), 1735-1780, whose answers depend on what was read long ago. A
`Task` says how a batch is a sequence, what the loss of the answers is, how they are measured and
how they are shown; the networks are in `rnn` and `lstm`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Container, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

import minigrad as mg
import minigrad.nn.functional as F
from minigrad.data import DataError, DataLoader, TensorDataset
from minigrad.tensor import Tensor
from models import pictures
from models.data import DATA_SETS, DataSet
from models.training import Training, accuracy, predict

IGNORED = -100  # the target of a step that is there only because another string is longer


class Task:
    """A kind of sequence and the question about it.

    Attributes:
        metric: the measurement that counts.
        symbolic: a step is a symbol 0, 1, …; otherwise it is a vector of numbers.
        inputs: how many symbols there are, or numbers in a vector.
        names: of these numbers, if they have any.
        outputs: how many numbers an answer has.
        at_every_step: whether an answer is wanted after every step, or after the last alone.
        continuous: whether a batch goes on where the batch before it ended.
    """

    metric = "test_accuracy"
    symbolic = False
    inputs: int
    names: tuple[str, ...] = ()
    outputs: int
    at_every_step = False
    continuous = False

    def sequence(self, x: Tensor) -> Tensor:
        """A batch of inputs as (time, n, inputs) numbers or (time, n) symbols."""
        return x.swapaxes(0, 1)

    def targets(self, y: Tensor) -> Tensor:
        """The right answers, (n,), or (time, n) where one is wanted after every step."""
        return y

    def loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        """The cross-entropy −log p(target) on average, of answers (…, outputs)."""
        rows = answers.reshape(-1, self.outputs)
        return F.cross_entropy(rows, targets.reshape(-1), ignore_index=IGNORED)

    def measure(self, network: Any, test: TensorDataset) -> dict[str, float]:
        """How good the answers are on data that have not been learned."""
        raise NotImplementedError

    def report(self, training: Training) -> str:
        """What to print after training besides the measurements."""
        return ""

    def draw(self, training: Training, history: list[dict[str, Any]], folder: Path) -> None:
        """The measurements over the epochs, and answers."""
        raise NotImplementedError

    def sample(self, training: Training, count: int) -> str:
        """Some of the network's answers, in words."""
        raise NotImplementedError

    def examples(self, test: TensorDataset) -> tuple[Tensor, Tensor]:
        """Sequences (time, n, …) of one length, and the right answers (n,) after their last steps,
        to look at closely."""
        x, y = test[:64]
        return self.sequence(x), y


def over_epochs(
    axes: Axes, history: list[dict[str, Any]], name: str, colour: str, label: str = ""
) -> None:
    """A measurement over the epochs."""
    epochs = [entry["epoch"] for entry in history]
    marker = "o" if len(epochs) < 50 else ""
    values = [entry[name] for entry in history]
    axes.plot(epochs, values, color=colour, marker=marker, markersize=3, label=label)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)


# ---------------------------------------------------------------------------------------------
# Images, row by row
# ---------------------------------------------------------------------------------------------


class Rows(Task):
    """Images (n, c, h, w) as h steps of c · w numbers; after the last the class is asked for."""

    def __init__(self, data: DataSet) -> None:
        channels, _, width = data.shape
        self.inputs = channels * width
        self.outputs = len(data.classes)

    def sequence(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        return x.transpose((2, 0, 1, 3)).reshape(h, n, c * w)

    def measure(self, network: Any, test: TensorDataset) -> dict[str, float]:
        return {"test_accuracy": accuracy(network, test)}

    def draw(self, training: Training, history: list[dict[str, Any]], folder: Path) -> None:
        probabilities, _ = predict(training.network, training.test)
        pictures.of_classifier(history, probabilities, training.test, training.classes, folder)


# ---------------------------------------------------------------------------------------------
# The adding problem
# ---------------------------------------------------------------------------------------------


def adding(n: int, length: int, rng: np.random.Generator) -> TensorDataset:
    """n sequences (n, length, 2) and the sums (n,) that are asked for.

    A step has a number, uniform on [0, 1), and a mark, which is 1 at two steps chosen at random and
    0 elsewhere. The sum of the two marked numbers has mean 1 and variance 1/6: to answer 1 always
    has a mean squared error of 0.167.

    Source: Q. V. Le, N. Jaitly & G. E. Hinton 2015, "A simple way to initialize recurrent networks
    of rectified linear units", after Hochreiter & Schmidhuber.
    """
    x = np.zeros((n, length, 2), "float32")
    x[:, :, 0] = rng.random((n, length), "float32")
    first = rng.integers(length, size=n)
    second = (first + rng.integers(1, length, size=n)) % length
    for marked in (first, second):
        x[np.arange(n), marked, 1] = 1.0
    return TensorDataset(x, x.prod(axis=2).sum(axis=1))


def adding_data(settings: SimpleNamespace) -> DataSet:
    """10,000 sequences to learn and 2,000 to test; the length is the setting `length`."""
    if settings.length < 2:
        raise ValueError(f"--length: wants at least 2, one step a mark, got {settings.length}")

    def read() -> tuple[TensorDataset, TensorDataset]:
        rng = np.random.default_rng(settings.seed)
        return adding(10_000, settings.length, rng), adding(2_000, settings.length, rng)

    return DataSet("adding", read, (settings.length, 2), ("sum",))


class Adding(Task):
    """The sum of the two marked numbers of a sequence; the loss is the mean squared error."""

    metric = "test_error"
    inputs = 2
    names = ("number", "mark")
    outputs = 1

    def loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(answers[:, 0], targets)

    def measure(self, network: Any, test: TensorDataset) -> dict[str, float]:
        errors = [(network(x)[:, 0] - y) ** 2.0 for x, y in DataLoader(test, 1000)]
        return {"test_error": float(mg.concatenate(errors).mean())}

    def draw(self, training: Training, history: list[dict[str, Any]], folder: Path) -> None:
        x, sums = training.test[:500]
        answers = training.network(x)[:, 0].numpy()
        variance = float(training.test.tensors[1].var())
        made = pictures.figure(8.6, 3.6)
        left, right = pictures.grid(made, 1, 2)[0]
        left.set_yscale("log")
        if history:
            over_epochs(left, history, "test_error", pictures.BLUE, "this network")
            last = history[-1]["test_error"]
            left.set_title(f"Error {last:.3g}, where the mean has {variance:.3g}")
            left.set_ylim(min(1e-3, 0.5 * last), 2.0 * variance)
        left.axhline(variance, color=pictures.ORANGE, linestyle="--", label="always the mean")
        left.set_ylabel("mean squared error of test sums")
        left.legend()
        right.plot((0, 2), (0, 2), color=pictures.GREY, linewidth=1.0)
        right.scatter(sums.numpy(), answers, s=6, color=pictures.BLUE)
        right.set(xlabel="sum of the two marked numbers", ylabel="answer", aspect="equal")
        right.set_title(f"{len(answers)} test sequences of {x.shape[1]} steps")
        pictures.save(made, folder / "error.png")

    def sample(self, training: Training, count: int) -> str:
        x, sums = training.test[mg.randperm(len(training.test))[:count]]
        answers = training.network(x)[:, 0].numpy()
        lines = []
        for steps, total, answer in zip(x.numpy(), sums.numpy(), answers, strict=True):
            marked = np.flatnonzero(steps[:, 1])
            terms = " + ".join(f"{steps[t, 0]:.3f} (step {t + 1})" for t in marked)
            lines.append(f"{terms} = {total:.3f}; answer {answer:.3f}")
        return "\n".join(lines)


# ---------------------------------------------------------------------------------------------
# The embedded Reber grammar
# ---------------------------------------------------------------------------------------------

SYMBOLS = "BTPSXVE"
# Of each state, the symbols that may come and the states they lead to (A. S. Reber 1967, "Implicit
# learning of artificial grammars", Journal of Verbal Learning and Verbal Behavior 6, 855-863).
REBER: tuple[dict[str, int], ...] = (
    {"B": 1},
    {"T": 2, "P": 3},
    {"S": 2, "X": 4},
    {"T": 3, "V": 5},
    {"X": 3, "S": 6},
    {"P": 4, "V": 6},
    {"E": 7},
)


class EmbeddedReber:
    """Strings B T … T E and B P … P E, where … are `inner` strings of Reber's grammar.

    The last symbol but one repeats the second, whatever stands between them. With one inner string
    it is the grammar of Hochreiter and Schmidhuber.
    """

    def __init__(self, inner: int) -> None:
        if inner < 1:
            raise ValueError(f"--inner: wants at least 1 string of Reber's grammar, got {inner}")
        # States of the automaton, each with the symbols that may come and where they lead: inside,
        # (the symbol to remember, the inner strings that are over, the state in the next).
        first = {symbol: (symbol, 0, 0) for symbol in "TP"}
        self.after: dict[Any, dict[str, Any]] = {
            "start": {"B": "first"},
            "first": first,
            "last": {"E": "end"},
            "end": {},
        }
        for symbol in first:
            for over in range(inner):
                for state, after in enumerate(REBER):
                    self.after[symbol, over, state] = {s: (symbol, over, after[s]) for s in after}
                self.after[symbol, over, len(REBER) - 1] = {"E": (symbol, over + 1, 0)}
            self.after[symbol, inner, 0] = {symbol: "last"}

    def string(self, rng: np.random.Generator) -> str:
        """A string; where two symbols may come, both are equally likely."""
        string, state = "", "start"
        while self.after[state]:
            symbols = list(self.after[state])
            symbol = symbols[rng.integers(len(symbols))]
            string, state = string + symbol, self.after[state][symbol]
        return string

    def successors(self, string: str) -> list[set[str]]:
        """After each symbol, those that may come next; none where the string is no beginning."""
        return [set(self.after.get(state, ())) for state in self._states(string)]

    def is_legal(self, string: str) -> bool:
        """Whether it is a whole string of the grammar."""
        return self._states(string)[-1:] == ["end"]

    def _states(self, string: str) -> list[Any]:
        """The state after each symbol; None from one on that may not come."""
        found: list[Any] = ["start"]
        for symbol in string:
            found.append(self.after.get(found[-1], {}).get(symbol))
        return found[1:]


def reber_table(strings: Sequence[str], grammar: EmbeddedReber) -> TensorDataset:
    """Strings as symbols x (n, time), the symbols y (n, time) that come next, and which may come,
    (n, time, 7). Shorter strings end in steps whose target is ignored."""
    time = max(map(len, strings)) - 1
    x = np.zeros((len(strings), time), "int64")
    y = np.full(x.shape, IGNORED, "int64")
    may_come = np.zeros((*x.shape, len(SYMBOLS)), bool)
    for i, string in enumerate(strings):
        numbers = [SYMBOLS.index(symbol) for symbol in string]
        x[i, : len(string) - 1] = numbers[:-1]
        y[i, : len(string) - 1] = numbers[1:]
        for t, symbols in enumerate(grammar.successors(string[:-1])):
            may_come[i, t, [SYMBOLS.index(symbol) for symbol in symbols]] = True
    return TensorDataset(x, y, may_come)


def reber_strings(
    n: int, grammar: EmbeddedReber, rng: np.random.Generator, without: Container[str] = ()
) -> list[str]:
    """n strings that are not among others."""
    strings: list[str] = []
    while len(strings) < n:
        string = grammar.string(rng)
        if string not in without:
            strings.append(string)
    return strings


def reber_data(settings: SimpleNamespace) -> DataSet:
    """2,000 strings to learn, and 1,000 others to test."""
    grammar = EmbeddedReber(settings.inner)

    def read() -> tuple[TensorDataset, TensorDataset]:
        rng = np.random.default_rng(settings.seed)
        train = reber_strings(2_000, grammar, rng)
        test = reber_strings(1_000, grammar, rng, without=set(train))
        return reber_table(train, grammar), reber_table(test, grammar)

    return DataSet("reber", read, (), tuple(SYMBOLS))


class Reber(Task):
    """The next symbol after each symbol of a string, of which one or two are legal.

    A test string counts as legally continued if after every one of its symbols those that may come
    are more probable than all others: both if there are two. `test_memory` looks at the last
    symbol but one alone: it counts the strings in which, of T and P, the right one is the more
    probable, which is a half of them where nothing is remembered.
    """

    metric = "test_legal"
    symbolic = True
    inputs = outputs = len(SYMBOLS)
    at_every_step = True

    def __init__(self, settings: SimpleNamespace) -> None:
        self.grammar = EmbeddedReber(settings.inner)

    def targets(self, y: Tensor) -> Tensor:
        return y.swapaxes(0, 1)

    def measure(self, network: Any, test: TensorDataset) -> dict[str, float]:
        z = network(test.tensors[0]).swapaxes(0, 1).numpy()
        _, y, may_come = (tensor.numpy() for tensor in test.tensors)
        least = np.where(may_come, z, np.inf).min(axis=2)
        greatest = np.where(may_come, -np.inf, z).max(axis=2)
        legal = (least > greatest) | (y == IGNORED)
        strings, before = np.arange(len(y)), (y != IGNORED).sum(axis=1) - 2
        at_the_end = z[strings, before]
        is_t = y[strings, before] == SYMBOLS.index("T")
        says_t = at_the_end[:, SYMBOLS.index("T")] > at_the_end[:, SYMBOLS.index("P")]
        remembered = says_t == is_t
        return {
            "test_legal": float(legal.all(axis=1).mean()),
            "test_memory": float(remembered.mean()),
        }

    def examples(self, test: TensorDataset) -> tuple[Tensor, Tensor]:
        """Strings of the most frequent length; what is wanted is the symbol to remember."""
        x, y, _ = test.tensors
        lengths = (y.numpy() != IGNORED).sum(axis=1)
        length = np.bincount(lengths).argmax()
        rows = np.flatnonzero(lengths == length).tolist()
        return x[rows][:, : length - 1].swapaxes(0, 1), y[rows][:, length - 2]

    def draw(self, training: Training, history: list[dict[str, Any]], folder: Path) -> None:
        x, y, may_come = training.test[:1]
        length = int((y != IGNORED).sum())
        with mg.no_grad():
            p = F.softmax(training.network(x), -1).numpy()[:length, 0].T
        made = pictures.figure(9.0, 5.2)
        upper, lower = pictures.grid(made, 2, 1)[:, 0]
        if history:
            over_epochs(upper, history, "test_legal", pictures.BLUE, "continued legally throughout")
            over_epochs(upper, history, "test_memory", pictures.ORANGE, "right last symbol but one")
            upper.set_title(
                f"{100 * history[-1]['test_legal']:.1f} % of the test strings are "
                "continued legally after every symbol"
            )
        upper.axhline(0.5, color=pictures.GREY, linestyle="--", label="guessed between T and P")
        upper.set(ylabel="fraction of test strings", ylim=(-0.03, 1.03))
        upper.legend()
        image = lower.imshow(p, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
        marked = np.argwhere(may_come.numpy()[0, :length])
        lower.scatter(*marked.T, s=9, color=pictures.ORANGE, label="may come")
        lower.set_xticks(range(length), [SYMBOLS[i] for i in x.numpy()[0, :length]], fontsize=6)
        lower.set_yticks(range(len(SYMBOLS)), SYMBOLS)
        lower.set(xlabel="a test string, symbol by symbol", ylabel="next symbol")
        lower.set_title("What the network expects next (dots: what the grammar allows)")
        made.colorbar(image, ax=lower, label="probability")
        pictures.save(made, folder / "strings.png")

    def sample(self, training: Training, count: int) -> str:
        """Strings that the network writes, from B on until E T E or E P E, which ends a string."""
        most = 2 * max(map(len, reber_strings(10, self.grammar, np.random.default_rng(0))))
        start = mg.zeros((1, count), dtype="int64")
        lines = []
        for symbols in generated(training.network, start, most).numpy().T:
            string = "B" + "".join(SYMBOLS[i] for i in symbols)
            whole = re.match("B.*?E[TP]E", string)
            string = whole[0] if whole else string
            lines.append(f"{'legal' if self.grammar.is_legal(string) else 'not legal'}: {string}")
        return "\n".join(lines)


# ---------------------------------------------------------------------------------------------
# Text
# ---------------------------------------------------------------------------------------------

UNKNOWN = "<unknown>"  # the symbol of what is not in the vocabulary
TOPICS = "pydoc_data.topics"  # a text that comes with Python
TEMPERATURES = (0.4, 0.7, 1.0)


def read_text(name: str) -> str:
    """A text file in UTF-8, or the documentation of the language that comes with Python.

    This is what Python's help() shows for "if" or "NUMBERS", half a million characters of English.
    Many of its paragraphs stand under several topics: each is taken once, since a test on what has
    been learned by heart would be none.

    Raises:
        DataError: the file cannot be read, or is not UTF-8.
    """
    if name == TOPICS:
        from pydoc_data.topics import topics

        once: dict[str, str] = {}
        for paragraph in re.split(r"\n\s*\n", "\n\n".join(topics.values())):
            once.setdefault(" ".join(paragraph.split()), paragraph)
        return "\n\n".join(once.values())
    try:
        content = Path(name).read_bytes()
    except OSError as error:
        raise DataError(f"--text: cannot read {name} ({error.strerror})") from None
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"--text: {name} is not UTF-8: byte {error.start} is 0x{content[error.start]:02x}"
        ) from None
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


def split_text(text: str, unit: str) -> list[str]:
    """A text as characters, or as words: runs of letters and digits, and single other signs."""
    return list(text) if unit == "char" else re.findall(r"\w+|[^\w\s]", text)


def join_text(parts: Sequence[str], unit: str) -> str:
    """The inverse of `split_text`, but that every blank between words is one space."""
    if unit == "char":
        return "".join(parts)
    return re.sub(r" ([,.;:!?)\]}])", r"\1", re.sub(r"([(\[{]) ", r"\1", " ".join(parts)))


def streams(symbols: np.ndarray, n: int) -> TensorDataset:
    """A text (length,) cut into n pieces that are read side by side: x (time, n), and y (time, n),
    what comes next. A piece ends where the next one begins; less than n symbols are left over."""
    time = (len(symbols) - 1) // n
    x, y = (symbols[start : start + n * time].reshape(n, time).T for start in (0, 1))
    return TensorDataset(np.ascontiguousarray(x), np.ascontiguousarray(y))


def text_data(settings: SimpleNamespace) -> DataSet:
    """The first nine tenths of a text to learn, the last tenth to test.

    The classes are the vocabulary: the most frequent characters or words of what is learned, as
    many as the setting `vocabulary` says, after a symbol for all others.
    """
    if settings.vocabulary < 1:
        raise ValueError(f"--vocabulary: wants at least 1 symbol, got {settings.vocabulary}")
    parts = split_text(read_text(settings.text), settings.unit)
    n = settings.batch_size
    least = math.ceil((2 * n + 1) / 0.9)
    if len(parts) < least:
        kind = {"char": "character", "word": "word"}[settings.unit]
        raise DataError(
            f"--text: {settings.text} has {len(parts)} {kind}s; to read {n} pieces side by side "
            f"(--batch-size) takes at least {least}"
        )
    train = parts[: 9 * len(parts) // 10]
    common = Counter(train).most_common(settings.vocabulary)
    vocabulary = (UNKNOWN, *(part for part, _ in common))
    number = {part: i for i, part in enumerate(vocabulary)}
    symbols = np.array([number.get(part, 0) for part in parts], "int64")

    def read() -> tuple[TensorDataset, TensorDataset]:
        learned, tested = symbols[: len(train)], symbols[len(train) :]
        return streams(learned, n), streams(tested, min(n, len(tested) - 1))

    return DataSet("text", read, (), vocabulary)


def bigram_probabilities(pairs: np.ndarray, test: np.ndarray, symbols: int, d: float) -> np.ndarray:
    """p(w | v) of test pairs (v, w), (n, 2), after a text with the given pairs, (m, 2)::

        p(w | v) = max(c(v, w) − d, 0) / c(v) + d n(v) / c(v) · q(w)
        q(w)     = max(m(w) − d, 0) / M + d k / M · 1 / symbols

    c(v, w) counts the pair and c(v) all that begin with v; n(v) different symbols follow v, and
    m(w) different ones precede w, which is above 0 for k of all symbols and sums to M. Where
    c(v) = 0, p is q. The discount d is between 0 and 1.

    Source: R. Kneser & H. Ney 1995, "Improved backing-off for m-gram language modeling", as
    interpolated by S. F. Chen & J. Goodman 1999, "An empirical study of smoothing techniques for
    language modeling".
    """
    begins = np.bincount(pairs[:, 0], minlength=symbols)
    different, counts = np.unique(pairs @ (symbols, 1), return_counts=True)
    follow = np.bincount(different // symbols, minlength=symbols)
    precede = np.bincount(different % symbols, minlength=symbols)
    q = np.maximum(precede - d, 0.0) + d * np.count_nonzero(precede) / symbols
    q = q / len(different)
    v, w = test.T
    place = np.searchsorted(different, test @ (symbols, 1)).clip(max=len(different) - 1)
    count = np.where(different[place] == test @ (symbols, 1), counts[place], 0)
    p = (np.maximum(count - d, 0.0) + d * follow[v] * q[w]) / np.maximum(begins[v], 1)
    return np.where(begins[v] > 0, p, q[w])


def bigram_perplexity(train: TensorDataset, test: TensorDataset, symbols: int) -> float:
    """exp(−log p(w | v) on average) over the test pairs, at the best of the discounts 0.05, 0.1, …,
    0.95 for these pairs themselves: no other model is given that."""
    learned, tested = (
        np.stack([tensor.numpy().ravel() for tensor in part.tensors], axis=1)
        for part in (train, test)
    )
    losses = [
        -np.log(bigram_probabilities(learned, tested, symbols, d)).mean()
        for d in np.arange(1, 20) / 20
    ]
    return math.exp(min(losses))


def drawn(z: Tensor, temperature: float) -> Tensor:
    """A symbol (n,) drawn from softmax(z / temperature), z (n, symbols); temperature 0: the most
    probable.

    The largest of z / temperature − log e, with e exponentially distributed, has that distribution
    (E. J. Gumbel 1954, "Statistical theory of extreme values").
    """
    if temperature == 0.0:
        return z.argmax(-1)
    e = mg.maximum(-mg.log1p(-mg.rand(*z.shape)), 1e-30)
    return (z * (1.0 / temperature) - mg.log(e)).argmax(-1)


def generated(network: Any, prompt: Tensor, length: int, temperature: float = 1.0) -> Tensor:
    """What a network writes (length, n) that has read a prompt (time, n)."""
    network.eval()
    written = []
    with mg.no_grad():
        answers, state = network.unroll(prompt)
        for _ in range(length):
            symbols = drawn(answers[-1], temperature)
            written.append(symbols)
            answers, state = network.unroll(symbols.reshape(1, -1), state)
    return mg.stack(written)


class Text(Task):
    """The next symbol after every symbol of a text.

    The perplexity, exp of the mean loss, is the number of symbols among which a guess would be as
    hard.
    """

    metric = "test_perplexity"
    symbolic = True
    at_every_step = True
    continuous = True

    def __init__(self, data: DataSet, settings: SimpleNamespace) -> None:
        self.inputs = self.outputs = len(data.classes)
        self.vocabulary = data.classes
        self.unit = settings.unit

    def sequence(self, x: Tensor) -> Tensor:
        return x

    def measure(self, network: Any, test: TensorDataset) -> dict[str, float]:
        total: Any = 0.0
        state = None
        for x, y in DataLoader(test, 100):
            answers, state = network.unroll(x, state)
            total = total + self.loss(answers, y) * float(len(x))
        return {"test_perplexity": math.exp(float(total) / len(test))}

    def bigram(self, training: Training) -> float:
        return bigram_perplexity(training.train, training.test, self.outputs)

    def report(self, training: Training) -> str:
        return (
            f"a bigram model of the same text has test_perplexity {self.bigram(training):.4f}\n"
            + self.sample(training, 1)
        )

    def examples(self, test: TensorDataset) -> tuple[Tensor, Tensor]:
        x, y = test[:100]
        return x, y[-1]

    def draw(self, training: Training, history: list[dict[str, Any]], folder: Path) -> None:
        bigram = self.bigram(training)
        name = {"char": "character", "word": "word"}[self.unit]
        made = pictures.figure(9.0, 6.4)
        upper, lower = pictures.grid(made, 2, 1, height_ratios=(1.0, 1.1))[:, 0]
        if history:
            over_epochs(upper, history, "test_perplexity", pictures.BLUE, "this network")
            last = history[-1]["test_perplexity"]
            upper.set_title(
                f"Test perplexity {last:.4g} per {name}; a bigram model's: {bigram:.4g}"
            )
        upper.axhline(bigram, color=pictures.ORANGE, linestyle="--", label="bigram model")
        upper.set_yscale("log")
        upper.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        upper.yaxis.set_minor_formatter(StrMethodFormatter("{x:g}"))
        upper.set_ylabel(f"perplexity per {name}")
        upper.legend()
        self._draw_surprise(training, lower)
        pictures.save(made, folder / "perplexity.png")

    def _draw_surprise(
        self, training: Training, axes: Axes, rows: int = 7, width: int = 80
    ) -> None:
        """Some test text, each part coloured by −log₂ p, the bits that it came as news."""
        network: Any = training.network
        x, y = (tensor[: 100 + rows * width, :1] for tensor in training.test.tensors)
        with mg.no_grad():
            answers, _ = network.unroll(x)
            losses = F.cross_entropy(answers[:, 0], y[:, 0], reduction="none").numpy()
        bits = np.full((rows, width), np.nan)
        place = 0
        skipped = min(100, len(losses) // 2)  # the network has just begun to read
        for symbol, loss in zip(y.numpy()[skipped:, 0], losses[skipped:], strict=True):
            shown = self.vocabulary[symbol].replace("\n", "↵")
            if place % width + len(shown) > width:
                place += width - place % width
            if place + len(shown) > rows * width:
                break
            for letter in shown:
                row, column = divmod(place, width)
                bits[row, column] = loss / math.log(2.0)
                style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 7}
                axes.text(column, row, letter, family="DejaVu Sans Mono", **style)
                place += 1
            place += self.unit == "word"
        image = axes.imshow(bits, cmap="Oranges", vmin=0.0, vmax=10.0, alpha=0.7, aspect="auto")
        axes.set_axis_off()
        axes.set_title("Test text as the network reads it: what it did not expect is dark")
        axes.figure.colorbar(image, ax=axes, label="−log₂ p (bits)")

    def sample(self, training: Training, count: int) -> str:
        """What the network writes when it has read the first 100 symbols of the test text."""
        x = training.test.tensors[0][:100, :1]
        prompt = mg.broadcast_to(x, (len(x), count))
        length, shown = {"char": (300, 40), "word": (60, 10)}[self.unit]
        read = join_text([self.vocabulary[i] for i in x.numpy()[-shown:, 0]], self.unit)
        lines = [f"after … {read} …"]
        for temperature in TEMPERATURES:
            for symbols in generated(training.network, prompt, length, temperature).numpy().T:
                text = join_text([self.vocabulary[i] for i in symbols], self.unit)
                lines.append(f"--- temperature {temperature}:\n{text}")
        return "\n".join(lines)


# ---------------------------------------------------------------------------------------------
# All of them
# ---------------------------------------------------------------------------------------------

OWN_DATA = {"adding": adding_data, "reber": reber_data, "text": text_data}


def sequence_data(name: str, settings: SimpleNamespace) -> DataSet:
    """A data set by its name: made here, or images."""
    return OWN_DATA[name](settings) if name in OWN_DATA else DATA_SETS[name]


def task_of(data: DataSet, settings: SimpleNamespace) -> Task:
    """What is asked about a data set."""
    if data.name == "adding":
        return Adding()
    if data.name == "reber":
        return Reber(settings)
    if data.name == "text":
        return Text(data, settings)
    return Rows(data)
