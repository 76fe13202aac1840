"""What recurrent networks read: targets, the grammar, texts, and how answers are measured."""

import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.data import DataError, TensorDataset
from models.data import DATA_SETS
from models.rnn import RecurrentNetwork
from models.sequences import (
    IGNORED,
    SYMBOLS,
    TOPICS,
    EmbeddedReber,
    Reber,
    Rows,
    Text,
    adding,
    adding_data,
    bigram_perplexity,
    bigram_probabilities,
    drawn,
    generated,
    join_text,
    read_text,
    reber_data,
    reber_strings,
    reber_table,
    sequence_data,
    split_text,
    streams,
    text_data,
)

seeds = st.integers(0, 2**32 - 1)


def rng_of(seed):
    return np.random.default_rng(seed)


# -- Images ---------------------------------------------------------------------------------------


def test_an_image_is_read_from_its_first_row_to_its_last():
    x = rng_of(0).normal(size=(5, 2, 4, 3)).astype("float32")
    task = Rows(SimpleNamespace(shape=(2, 4, 3), classes=("a", "b")))
    sequence = task.sequence(mg.tensor(x)).numpy()
    assert sequence.shape == (4, 5, task.inputs)
    for t, i in np.ndindex(4, 5):
        np.testing.assert_array_equal(sequence[t, i], np.concatenate([x[i, 0, t], x[i, 1, t]]))


def test_images_have_the_names_that_they_have_elsewhere():
    assert sequence_data("mnist", SimpleNamespace()) is DATA_SETS["mnist"]


# -- Adding ---------------------------------------------------------------------------------------


@given(seed=seeds, length=st.integers(2, 12))
def test_two_different_steps_are_marked_and_their_sum_is_wanted(seed, length):
    x, sums = (tensor.numpy() for tensor in adding(20, length, rng_of(seed)).tensors)
    assert x.shape == (20, length, 2)
    assert x.dtype == sums.dtype == "float32"
    assert ((x[:, :, 0] >= 0.0) & (x[:, :, 0] < 1.0)).all()
    for sequence, total in zip(x, sums, strict=True):
        (marked,) = np.nonzero(sequence[:, 1])
        assert len(marked) == 2
        assert sequence[marked, 1].tolist() == [1.0, 1.0]
        assert total == sequence[marked[0], 0] + sequence[marked[1], 0]


def test_who_always_answers_the_mean_has_an_error_of_one_sixth():
    x, sums = (tensor.numpy() for tensor in adding(20_000, 10, rng_of(0)).tensors)
    assert np.mean((sums - 1.0) ** 2) == pytest.approx(1.0 / 6.0, abs=0.005)
    np.testing.assert_allclose(x[:, :, 1].mean(axis=0), 0.2, atol=0.01)  # no step is preferred


def test_what_is_tested_was_not_learned():
    train, test = adding_data(SimpleNamespace(length=4, seed=0)).read()
    assert not set(train.tensors[1].numpy().tolist()) >= set(test.tensors[1].numpy().tolist())


@pytest.mark.parametrize("length", [0, 1])
def test_two_marks_want_two_steps(length):
    with pytest.raises(ValueError, match=f"--length: wants at least 2, .* got {length}"):
        adding_data(SimpleNamespace(length=length, seed=0))


# -- The embedded Reber grammar -------------------------------------------------------------------

# The same language as a regular expression: after X the upper path goes over to the lower one,
# after P the lower path to the end of the upper one.
UPPER_END = "(?:XT*VP)*(?:S|XT*VV)"
INNER = f"B(?:TS*X{UPPER_END}|PT*V(?:V|P{UPPER_END}))E"


def language(inner):
    return re.compile(f"B([TP])(?:{INNER}){{{inner}}}\\1E")


@given(seed=seeds, inner=st.integers(1, 4))
def test_strings_are_legal(seed, inner):
    grammar = EmbeddedReber(inner)
    string = grammar.string(rng_of(seed))
    assert language(inner).fullmatch(string)
    assert grammar.is_legal(string)
    assert not grammar.is_legal(string[:-1])
    assert not grammar.is_legal(string + "E")


@given(
    seed=seeds, inner=st.integers(1, 3), place=st.floats(0.0, 0.999), by=st.sampled_from(SYMBOLS)
)
def test_a_changed_string_is_legal_only_where_the_language_has_it(seed, inner, place, by):
    string = EmbeddedReber(inner).string(rng_of(seed))
    i = int(place * len(string))
    changed = string[:i] + by + string[i + 1 :]
    assert EmbeddedReber(inner).is_legal(changed) == bool(language(inner).fullmatch(changed))


@pytest.mark.parametrize(
    ("string", "legal"),
    [
        ("BTBTXSETE", True),  # examples of the grammar that are found in the literature
        ("BPBPVVEPE", True),
        ("BTBTSSXXTVVETE", True),
        ("BPBTXXVPSEPE", True),
        ("BTBPVVEPE", False),  # the last symbol but one is not the second
        ("BPBTXSETE", False),
        ("BTBTXXETE", False),
        ("BTBTXSET", False),
        ("TBTXSETE", False),
        ("", False),
    ],
)
def test_known_strings(string, legal):
    assert EmbeddedReber(1).is_legal(string) is legal


@given(seed=seeds, inner=st.integers(1, 2))
def test_what_may_come_next_leads_to_a_legal_string_and_nothing_else_does(seed, inner):
    """Tried out: a symbol may come if the string so far and the symbol begin some legal string."""
    string = EmbeddedReber(inner).string(rng_of(seed))
    beginnings = prefixes(inner)
    for t, symbols in enumerate(EmbeddedReber(inner).successors(string[:12])):
        so_far = string[: t + 1]
        assert symbols == {symbol for symbol in SYMBOLS if so_far + symbol in beginnings}


def prefixes(inner, longest=13, known={}):  # noqa: B006, kept from call to call
    """The beginnings, up to a length, of all legal strings, from a great many of them."""
    if inner not in known:
        rng = rng_of(0)
        edges = dict.fromkeys(
            ("0B1", "1T2", "1P3", "2S2", "2X4", "3T3", "3V5", "4X3", "4S6", "5P4", "5V6", "6E7")
        )
        found = set()
        for _ in range(10_000):
            string, left, at = "B" + rng.choice(["T", "P"]), inner, "0"
            first = string[1]
            while len(string) <= longest and left:
                ways = [edge for edge in edges if edge[0] == at]
                way = ways[rng.integers(len(ways))]
                string, at = string + way[1], way[2]
                if at == "7":
                    left, at = left - 1, "0"
            if not left:
                string += first + "E"
            found.update(string[:n] for n in range(1, longest + 1))
        known[inner] = found
    return known[inner]


@given(seed=seeds)
def test_a_table_of_strings_has_the_next_symbol_and_what_may_come(seed):
    grammar = EmbeddedReber(1)
    strings = reber_strings(5, grammar, rng_of(seed))
    x, y, may_come = (tensor.numpy() for tensor in reber_table(strings, grammar).tensors)
    for i, string in enumerate(strings):
        n = len(string) - 1
        assert "".join(SYMBOLS[j] for j in x[i, :n]) == string[:-1]
        assert "".join(SYMBOLS[j] for j in y[i, :n]) == string[1:]
        assert (y[i, n:] == IGNORED).all()
        assert not may_come[i, n:].any()
        assert may_come[i, np.arange(n), y[i, :n]].all()
        assert set(may_come[i, :n].sum(axis=1)) <= {1, 2}
        assert may_come[i, n - 2].sum() == 1  # the symbol to remember


def test_tested_strings_are_not_among_the_learned():
    train, test = reber_data(SimpleNamespace(inner=1, seed=0)).read()
    assert (len(train), len(test)) == (2000, 1000)
    known = {tuple(row[row >= 0]) for row in train.tensors[1].numpy()}
    assert not known & {tuple(row[row >= 0]) for row in test.tensors[1].numpy()}


def test_a_grammar_without_an_inner_string_is_refused():
    with pytest.raises(ValueError, match=r"--inner: wants at least 1 string .* got 0"):
        reber_data(SimpleNamespace(inner=0, seed=0))


def reber_measured(change):
    """The measurements of answers that are right but for a change."""
    grammar = EmbeddedReber(1)
    strings = ["BTBTXSETE", "BPBPVVEPE", "BPBTSXSEPE", "BTBPTVVETE"]
    table = reber_table(strings, grammar)
    z = table.tensors[2].numpy().astype("float32")
    change(z, strings)
    answers = mg.tensor(z.swapaxes(0, 1))
    return Reber(SimpleNamespace(inner=1)).measure(lambda x: answers, table)


def test_all_legal_successors_above_all_others_is_right():
    assert reber_measured(lambda z, strings: None) == {"test_legal": 1.0, "test_memory": 1.0}


def test_a_string_with_one_illegal_expectation_does_not_count():
    def change(z, strings):
        z[0, 2, SYMBOLS.index("S")] = 1.5

    assert reber_measured(change) == {"test_legal": 0.75, "test_memory": 1.0}


def test_one_of_two_legal_successors_is_not_enough():
    def change(z, strings):
        z[1, 0, SYMBOLS.index("P")] = -1.0

    assert reber_measured(change) == {"test_legal": 0.75, "test_memory": 1.0}


def test_memory_is_the_last_symbol_but_one():
    def change(z, strings):
        for i, string in enumerate(strings):  # always T
            z[i, len(string) - 3, [SYMBOLS.index("T"), SYMBOLS.index("P")]] = [1.0, 0.0]

    assert reber_measured(change) == {"test_legal": 0.5, "test_memory": 0.5}


def test_memory_is_apart_from_whether_the_end_was_expected():
    def change(z, strings):
        for i, string in enumerate(strings):
            z[i, len(string) - 3, SYMBOLS.index("B")] = 9.0

    assert reber_measured(change) == {"test_legal": 0.0, "test_memory": 1.0}


def test_what_comes_after_a_short_string_does_not_count():
    def change(z, strings):
        z[0, len(strings[0]) - 1 :] = [9.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]

    assert reber_measured(change)["test_legal"] == 1.0


def test_steps_after_a_short_string_have_no_loss():
    grammar = EmbeddedReber(1)
    task = Reber(SimpleNamespace(inner=1))
    table = reber_table(["BTBTXSETE", "BPBTSSSSXSEPE"], grammar)
    z = rng_of(0).normal(size=(*table.tensors[0].shape[::-1], 7)).astype("float32")
    y = task.targets(table.tensors[1])
    loss = task.loss(mg.tensor(z), y).item()
    z[8:, 0] = 5.0
    assert task.loss(mg.tensor(z), y).item() == loss
    z[7, 0] = rng_of(1).normal(size=7)
    assert task.loss(mg.tensor(z), y).item() != loss


def test_examples_end_where_the_symbol_is_to_be_remembered():
    grammar = EmbeddedReber(1)
    strings = ["BTBTXSETE", "BPBTSSSSXSEPE", "BPBPVVEPE"]
    task = Reber(SimpleNamespace(inner=1))
    sequence, targets = task.examples(reber_table(strings, grammar))
    read = ["".join(SYMBOLS[i] for i in column) for column in sequence.numpy().T]
    assert read == ["BTBTXSE", "BPBPVVE"]
    assert [SYMBOLS[i] for i in targets.numpy()] == ["T", "P"]


# -- Text -----------------------------------------------------------------------------------------


def text_settings(**changes):
    given_ = {"text": TOPICS, "unit": "char", "batch_size": 4, "vocabulary": 50, "seed": 0}
    return SimpleNamespace(**{**given_, **changes})


@given(st.text())
def test_characters_are_put_together_again(text):
    assert join_text(split_text(text, "char"), "char") == text


@given(st.lists(st.from_regex(r"\A[a-z0-9]+[,.;:]?\Z"), max_size=8))
def test_words_are_put_together_again(words):
    text = " ".join(words)
    assert join_text(split_text(text.replace(" ", "\n "), "word"), "word") == text


def test_words_and_signs():
    assert split_text("It isn't (yet) 3.5!", "word") == [
        "It", "isn", "'", "t", "(", "yet", ")", "3", ".", "5", "!",
    ]  # fmt: skip


@given(length=st.integers(2, 60), n=st.integers(1, 8))
def test_streams_are_pieces_of_the_text_one_after_the_other(length, n):
    n = min(n, length - 1)
    symbols = np.arange(length)
    x, y = (tensor.numpy() for tensor in streams(symbols, n).tensors)
    assert x.shape == y.shape == ((length - 1) // n, n)
    np.testing.assert_array_equal(x.T.ravel(), symbols[: x.size])
    np.testing.assert_array_equal(y.T.ravel(), symbols[1 : x.size + 1])
    np.testing.assert_array_equal(y[-1, :-1], x[0, 1:])  # where a piece ends the next one begins


def test_the_vocabulary_is_what_is_most_frequent_in_what_is_learned(tmp_path):
    (tmp_path / "text").write_text("cbbaaa" * 3 + "zz", encoding="utf-8")  # 20, two to test
    settings = text_settings(text=str(tmp_path / "text"), batch_size=3, vocabulary=2)
    data = text_data(settings)
    assert data.classes == ("<unknown>", "a", "b")
    train, test = data.read()
    assert train.tensors[0].numpy().T.ravel().tolist() == [0, 2, 2, 1, 1, 1] * 2 + [0, 2, 2]
    assert [tensor.numpy().tolist() for tensor in test.tensors] == [[[0]], [[0]]]


def test_the_text_that_comes_with_python_has_every_paragraph_once():
    text = read_text(TOPICS)
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text)]
    assert len(paragraphs) > 1000
    assert len(set(paragraphs)) == len(paragraphs)
    assert paragraphs[0] == 'The "assert" statement **********************'
    with pytest.MonkeyPatch.context() as patched:
        topics = {"a": "one\n\n  two", "b": "two\n \nthree\n\none"}
        patched.setattr("pydoc_data.topics.topics", topics)
        assert read_text(TOPICS) == "one\n\n  two\n\nthree"


def test_a_text_from_windows(tmp_path):
    (tmp_path / "text").write_bytes(b"\xef\xbb\xbfone\r\ntwo\xc3\xa4")
    assert read_text(str(tmp_path / "text")) == "one\ntwoä"


@pytest.mark.parametrize(
    ("content", "changes", "message"),
    [
        (None, {}, "cannot read .*text \\(No such file or directory\\)"),
        (b"", {}, "text has 0 characters; to read 4 pieces side by side .* takes at least 10"),
        (b"123456789", {}, "text has 9 characters; .* at least 10"),
        (b"many letters but " * 3, {"unit": "word"}, "has 9 words; .* at least 10"),
        (b"abc\xffdef", {}, "text is not UTF-8: byte 3 is 0xff"),
        (b"\xc3\xa4" * 9 + b"\xc3", {}, "not UTF-8: byte 18 is 0xc3"),
    ],
)
def test_a_text_that_cannot_be_learned_is_refused(content, changes, message, tmp_path):
    path = tmp_path / "text"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        text_data(text_settings(text=str(path), **changes))


def test_a_folder_is_no_text(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .* \(Is a directory\)"):
        read_text(str(tmp_path))


@given(seed=seeds, d=st.floats(0.05, 0.95), v=st.integers(0, 4))
def test_the_bigram_model_gives_probabilities(seed, d, v):
    """Above zero for every symbol, and one in all, after symbols that were never learned too."""
    pairs = rng_of(seed).integers(0, 4, (12, 2))
    all_after = np.array([(v, w) for w in range(5)])
    p = bigram_probabilities(pairs, all_after, 5, d)
    assert (p > 0.0).all()
    assert p.sum() == pytest.approx(1.0, abs=1e-12)


def perplexity_of(train, test, symbols):
    x, y = (TensorDataset(np.array(text[:-1]), np.array(text[1:])) for text in (train, test))
    return bigram_perplexity(x, y, symbols)


def test_the_perplexity_of_a_bigram_model_by_hand():
    # After a a a b: c(a, a) = 2, c(a, b) = 1, and q is a half for both, whatever the discount is:
    # p(a | a) = (2 − d + 2 d / 2) / 3 = 2/3, p(b | a) = (1 − d + 2 d / 2) / 3 = 1/3.
    assert perplexity_of([0, 0, 0, 1], [0, 0], 2) == pytest.approx(3.0 / 2.0)
    assert perplexity_of([0, 0, 0, 1], [0, 1], 2) == pytest.approx(3.0)
    assert perplexity_of([0, 0, 0, 1], [0, 0, 1], 2) == pytest.approx(math.sqrt(4.5))
    assert perplexity_of([0, 0, 0, 1], [1, 0], 2) == pytest.approx(2.0)  # b began nothing: q
    # A third symbol c that never came: q(c) = 2 d / 2 · 1/3 = d/3, p(c | a) = 2 d q(c) / 2 = d²/3
    # after a a b, largest for the greatest discount.
    assert perplexity_of([0, 0, 1], [0, 2], 3) == pytest.approx(3.0 / 0.95**2)


def test_the_perplexity_of_a_network_is_that_of_its_probabilities():
    """Equal answers about five symbols are as good as a guess among five."""
    data = SimpleNamespace(classes=tuple("abcde"))
    task = Text(data, SimpleNamespace(unit="char"))

    class Guess:
        def unroll(self, x, state):
            return mg.zeros((*x.shape, 5)), (state or 0) + 1

    test = streams(rng_of(0).integers(0, 5, 1000), 3)
    assert task.measure(Guess(), test)["test_perplexity"] == pytest.approx(5.0, rel=1e-6)


def test_a_test_text_is_read_without_a_break():
    """The perplexity in pieces of 100 steps is that of the whole."""
    mg.manual_seed(0)
    task = Text(SimpleNamespace(classes=tuple("abcde")), SimpleNamespace(unit="char"))
    network = RecurrentNetwork(task, nn.LSTM, 4)
    test = streams(rng_of(0).integers(0, 5, 700), 2)
    x, y = test.tensors
    loss = task.loss(network.unroll(x)[0], y).item()
    with mg.no_grad():
        found = task.measure(network, test)["test_perplexity"]
    assert found == pytest.approx(math.exp(loss), rel=1e-5)


# -- Writing --------------------------------------------------------------------------------------


def test_without_temperature_the_most_probable_symbol_is_drawn():
    z = mg.tensor(rng_of(0).normal(size=(50, 6)))
    best = z.numpy().argmax(1)
    np.testing.assert_array_equal(drawn(z, 0.0).numpy(), best)
    np.testing.assert_array_equal(drawn(z, 1e-4).numpy(), best)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_symbols_are_drawn_as_often_as_they_are_probable(temperature):
    mg.manual_seed(0)
    z = np.array([0.0, 1.0, -1.0, 0.5])
    p = np.exp(z / temperature)
    p /= p.sum()
    n = 40_000
    counts = np.bincount(drawn(mg.tensor(np.tile(z, (n, 1))), temperature).numpy(), minlength=4)
    deviations = np.sqrt(p * (1.0 - p) / n)
    assert (np.abs(counts / n - p) < 4.5 * deviations).all()


def test_writing_goes_on_from_all_that_was_read():
    """What is written symbol by symbol is what reading the whole again expects most."""
    mg.manual_seed(0)
    task = Text(SimpleNamespace(classes=tuple("abcdefg")), SimpleNamespace(unit="char"))
    network = RecurrentNetwork(task, nn.GRU, 8).eval()
    prompt = mg.tensor(rng_of(0).integers(0, 7, (5, 3)))
    written = generated(network, prompt, 6, temperature=0.0)
    assert written.shape == (6, 3)
    z, _ = network.unroll(mg.concatenate([prompt, written]))
    np.testing.assert_array_equal(z.numpy().argmax(-1)[4:-1], written.numpy())
