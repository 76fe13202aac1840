"""The mutants of `tests.mutants` still apply; whether the tests kill them, that script says."""

import ast
from collections import Counter

import pytest

from tests.mutants import MUTANTS, ROOT, nearest

TEXTS = {path: (ROOT / path).read_text() for path in {mutant.path for mutant in MUTANTS}}


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_a_mutant_is_a_program_with_one_change(mutant):
    text = TEXTS[mutant.path]
    assert text.count(mutant.old) == 1
    changed = ast.parse(text.replace(mutant.old, mutant.new))
    assert ast.dump(changed) != ast.dump(ast.parse(text))


def test_no_two_mutants_are_one():
    changes = [TEXTS[m.path].replace(m.old, m.new) for m in MUTANTS]
    assert [count for count in Counter(changes).values() if count > 1] == []


def test_every_file_that_computes_is_covered():
    """All files of ops and nn that hold a function or class."""
    files = [*(ROOT / "minigrad/ops").rglob("*.py"), *(ROOT / "minigrad/nn").rglob("*.py")]
    computing = {
        file.relative_to(ROOT).as_posix()
        for file in files
        if any(isinstance(node, (ast.FunctionDef, ast.ClassDef))
               for node in ast.parse(file.read_text()).body)
    }  # fmt: skip
    assert computing - set(TEXTS) == set()
    assert len(MUTANTS) >= 60


def test_the_nearest_tests_exist():
    for path in TEXTS:
        assert all((ROOT / name).is_file() for name in nearest(path))
