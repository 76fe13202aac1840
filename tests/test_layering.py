"""The shape of the code, read from its syntax: who imports whom, and where NumPy may be called."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Each room imports from itself and from rooms above it. A module belongs to the longest name here
# that begins its own; `minigrad` itself is the page of public names.
ROOMS = [
    ["minigrad.tuning"],
    ["minigrad.threads"],
    ["minigrad.backend"],
    ["minigrad.recording"],
    ["minigrad.core"],
    ["minigrad.ops"],
    ["minigrad.tensor"],
    ["minigrad.creation"],
    ["minigrad.calculus", "minigrad.gradcheck", "minigrad.debug", "minigrad.graph"],
    [
        "minigrad.nn",
        "minigrad.optim",
        "minigrad.data",
        "minigrad.serialize",
        "minigrad.parallel",
        "minigrad.cases",
    ],
    ["minigrad.certificate", "minigrad.testing"],
    ["minigrad"],
    ["minigrad.__main__"],
    ["models"],
    ["benchmarks"],
]
LEVEL = {name: level for level, names in enumerate(ROOMS) for name in names}

# What may be imported at the top of a module, beside Python's own library and this project. All
# else is optional, and imported where it is used.
REQUIRED = {"numpy", "scipy"}
ALSO = {"minigrad.testing": {"hypothesis"}}

PACKAGES = ("minigrad", "models", "benchmarks")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): ast.parse(path.read_text(), str(path)) for path in FILES}
every_module = pytest.mark.parametrize("name", MODULES)


def room(module):
    while module not in LEVEL:
        module = module.rpartition(".")[0]
    return module


def imports(tree):
    """(imported module, line) for every import anywhere in a module: ``from a import b`` counts as
    a.b where that is a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are written out in full"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield (whole if whole in MODULES else node.module), node.lineno


def violations(name, tree):
    """The imports of a module from a room that is not above its own."""
    mine = LEVEL[room(name)]
    return [
        f"{name}:{line} imports {imported}"
        for imported, line in imports(tree)
        if imported.split(".")[0] in (*PACKAGES, "tests")
        and (imported.split(".")[0] == "tests" or LEVEL[room(imported)] > mine)
    ]


@every_module
def test_a_room_imports_only_from_rooms_above_it(name):
    assert violations(name, MODULES[name]) == []


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("minigrad.core", "from minigrad.tensor import Tensor"),
        ("minigrad.ops.shape", "from minigrad import tensor"),
        ("minigrad.nn.linear", "import minigrad as mg"),
        ("minigrad.data.sets", "def f():\n    from models.data import x"),
        ("models.mlp", "import tests.oracles"),
    ],
)
def test_the_reading_of_imports_finds_a_wrong_one(name, line):
    assert len(violations(name, ast.parse(line))) == 1


@every_module
def test_cupy_is_imported_in_one_file_and_torch_in_none(name):
    libraries = {imported.split(".")[0] for imported, _ in imports(MODULES[name])}
    allowed = {"cupy", "cupyx"} if name == "minigrad.backend" else set()
    allowed |= {"torch"} if name.startswith("benchmarks") else set()
    assert libraries & {"cupy", "cupyx", "torch"} <= allowed


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("minigrad")])
def test_the_package_imports_with_numpy_and_scipy_alone(name):
    top = [node for node in MODULES[name].body if isinstance(node, (ast.Import, ast.ImportFrom))]
    libraries = {imported.split(".")[0] for imported, _ in imports(ast.Module(top, []))}
    allowed = REQUIRED | {"minigrad"} | ALSO.get(name, set()) | set(sys.stdlib_module_names)
    assert libraries <= allowed


# -- NumPy inside the operations ------------------------------------------------------------------

# The array module comes from the arguments. What an operation may still ask of NumPy by name is
# about the host: types of elements, numbers given as lists, and small matrices of constants that
# depend on lengths alone.
ABOUT_TYPES = {"ndarray", "dtype", "generic", "iinfo", "finfo"}
ON_THE_HOST = {
    "minigrad.ops.elementwise": {"errstate"},
    "minigrad.ops.linalg": {"ndim"},
    "minigrad.ops.pool": {"zeros", "eye", "arange", "minimum", "maximum", "add"},
    "minigrad.ops.reduce": {"errstate"},
    "minigrad.ops.shape": {"asarray", "ndim", "broadcast_to"},
}
OPERATIONS = [name for name in MODULES if name.startswith("minigrad.ops.")]


def numpy_names(tree):
    """The names that a piece of syntax takes from ``np``."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("np", "numpy")
    }


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_take_the_array_module_from_their_arguments(name):
    allowed = ABOUT_TYPES | ON_THE_HOST.get(name, set())
    assert numpy_names(MODULES[name]) <= allowed


def rules(tree):
    """The syntax of every rule of a module: what is given to ``.vjps`` and ``.vjp_all``, and the
    functions of the module that these call."""
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    pending = [
        argument
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("vjps", "vjp_all")
        for argument in node.args
    ]
    seen = []
    while pending:
        rule = pending.pop()
        if isinstance(rule, ast.Name):
            rule = functions[rule.id]
        seen.append(rule)
        for node in ast.walk(rule):
            if isinstance(node, ast.Name) and node.id in functions:
                called = functions[node.id]
                is_forward = any(
                    isinstance(decorator, ast.Name) and decorator.id == "primitive"
                    for decorator in called.decorator_list
                )
                if not is_forward and called not in seen and called not in pending:
                    pending.append(called)
    return seen


@pytest.mark.parametrize("name", [*OPERATIONS, "minigrad.core"])
def test_rules_never_name_numpy(name):
    for rule in rules(MODULES[name]):
        assert numpy_names(rule) <= ABOUT_TYPES, f"line {rule.lineno}"


def test_the_reading_of_rules_finds_a_wrong_one():
    tree = ast.parse(
        "def slope(x):\n    return np.cos(x)\n"
        "def rule(g, y, x):\n    return g * slope(x)\n"
        "sin.vjps(rule)"
    )
    assert {name for rule in rules(tree) for name in numpy_names(rule)} == {"cos"}
    assert len(rules(MODULES["minigrad.ops.elementwise"])) > 50
