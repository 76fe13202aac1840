"""Writes `signatures.json`: every public name of CuPy and the arguments that each of them takes.

Run it with a Python that has CuPy; a GPU is not needed, for nothing is computed::

    python -m venv cupy && cupy/bin/pip install cupy-cuda13x==14.2.0
    cupy/bin/python tests/strict/freeze.py            # write the file
    cupy/bin/python tests/strict/freeze.py --check    # exit code 1 where it is out of date

A signature is written as ``"a, axis=, *, dtype="``: names, ``=`` after those that may be left out.
"""

import inspect
import json
import re
import sys
from pathlib import Path

import cupy
import cupyx.scipy.special

PATH = Path(__file__).with_name("signatures.json")
MODULES = {
    "cupy": cupy,
    "cupy.linalg": cupy.linalg,
    "cupy.random": cupy.random,
    "cupy.lib.stride_tricks": cupy.lib.stride_tricks,
    "cupyx.scipy.special": cupyx.scipy.special,
}
CLASSES = {
    "cupy.ndarray": cupy.ndarray,
    "cupy.random.Generator": cupy.random.Generator,
}
# What NumPy's ufuncs take by name; each is tried on every ufunc of CuPy.
UFUNC_KEYWORDS = ("out", "where", "casting", "order", "dtype", "subok", "signature")


def from_signature(signature):
    """An `inspect.Signature` as text, without `self`, defaults and annotations."""
    parts = []
    previous = None
    for p in signature.parameters.values():
        if previous is p.POSITIONAL_ONLY and p.kind is not previous:
            parts.append("/")
        if p.kind is p.KEYWORD_ONLY and previous not in (p.KEYWORD_ONLY, p.VAR_POSITIONAL):
            parts.append("*")
        prefix = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        parts.append(prefix + p.name + ("" if p.default is p.empty else "="))
        previous = p.kind
    if previous is inspect.Parameter.POSITIONAL_ONLY:
        parts.append("/")
    return ", ".join(part for part in parts if part != "self")


def from_docstring(text):
    """The signature that Cython writes into the first line of a docstring, as text."""
    found = re.match(r"[\w.]+\((.*)\)", text or "")
    if found is None:
        return "*args, **kwargs"
    parts = []
    for part in found[1].split(", "):
        name, default, _ = part.partition("=")
        parts.append(name.split(" ")[-1] + default)  # "Py_ssize_t axis1" is axis1
    return ", ".join(part for part in parts if part != "self")


def parameters(function):
    """The parameters of anything that can be called, as text."""
    try:
        return from_signature(inspect.signature(function))
    except (ValueError, TypeError):
        return from_docstring(function.__doc__)


def takes(ufunc, keyword):
    """Whether a ufunc knows the keyword: it says "Wrong arguments" before it looks for a GPU."""
    try:
        ufunc(*[True] * ufunc.nin, **{keyword: None})
    except TypeError as error:
        return not str(error).startswith("Wrong arguments")
    except Exception:  # there is no GPU
        return True
    return True


def describe(value):
    """A public value as [kind, parameters]."""
    if isinstance(value, cupy.ufunc):
        keywords = [f"{keyword}=" for keyword in UFUNC_KEYWORDS if takes(value, keyword)]
        inputs = [f"x{i + 1}" for i in range(value.nin)]
        kind = "ufunc" if value._scatter_op is None else "ufunc with at"
        return [kind, ", ".join([*inputs, "/", *keywords])]
    if inspect.ismodule(value):
        return ["module"]
    if inspect.isclass(value):
        return ["type"]
    if callable(value):
        return ["function", parameters(value)]
    return ["value"]


def public(owner):
    return sorted(name for name in dir(owner) if not name.startswith("_"))


def methods(owner):
    """Public attributes and all operators of a class; what every object has is left out."""
    names = [name for name in dir(owner) if not name.startswith("_") or name.endswith("__")]
    return sorted(name for name in names if name not in dir(object))


def collect():
    """Everything that the file holds."""
    found = {"version": cupy.__version__}
    for path, module in MODULES.items():
        found[path] = {name: describe(getattr(module, name)) for name in public(module)}
    for path, owner in CLASSES.items():
        found[path] = {name: describe(getattr(owner, name)) for name in methods(owner)}
    return found


def as_text(found):
    """JSON with one name a line, sorted, so that a new version of CuPy makes a readable diff."""
    lines = [f'  "version": {json.dumps(found["version"])}']
    for path, names in found.items():
        if path != "version":
            rows = [f"    {json.dumps(name)}: {json.dumps(value)}" for name, value in names.items()]
            lines.append(f"  {json.dumps(path)}: {{\n" + ",\n".join(rows) + "\n  }")
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    text = as_text(collect())
    if "--check" in sys.argv[1:]:
        sys.exit(0 if PATH.read_text(encoding="utf-8") == text else f"{PATH} is out of date")
    PATH.write_text(text, encoding="utf-8")
