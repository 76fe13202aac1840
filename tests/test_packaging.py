"""What the distribution promises: its version, its extras, and the files that a wheel holds."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import minigrad

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_version_stands_the_same_in_both_places():
    assert PROJECT["project"]["version"] == minigrad.__version__


def test_the_wheel_is_configured_to_ship_minigrad_alone():
    assert PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["minigrad"]


def test_numpy_and_scipy_are_all_it_depends_on():
    names = [re.match(r"[\w-]+", line)[0] for line in PROJECT["project"]["dependencies"]]
    assert sorted(names) == ["numpy", "scipy"]


def test_every_package_that_an_error_names_belongs_to_an_extra():
    extras = PROJECT["project"]["optional-dependencies"].values()
    known = {re.match(r"[\w-]+", line)[0] for lines in extras for line in lines}
    named = set()
    for path in (ROOT / "minigrad").rglob("*.py"):
        named |= set(re.findall(r"pip install '?([\w-]+)", path.read_text()))
    assert {"pooch", "pillow", "safetensors", "cupy-cuda13x"} <= named
    assert named <= known


def test_torch_is_no_part_of_what_the_tests_install():
    extras = PROJECT["project"]["optional-dependencies"]
    installed = [line for extra in ("test", "lint", "models") for line in extras[extra]]
    assert not any("torch" in line for line in installed)


def test_the_bundled_digits_stay_small_and_come_with_their_licence():
    folder = ROOT / "minigrad" / "data"
    assert (folder / "digits.npz").stat().st_size < 80_000
    licence = (folder / "DIGITS-LICENSE.txt").read_text()
    for words in ("Alpaydin", "Kaynak", "UCI", "CC BY 4.0", "What was changed"):
        assert words in licence


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The names of the files in a wheel built from the checkout, with nothing downloaded."""
    pytest.importorskip("hatchling", reason="building a wheel offline needs hatchling installed")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        return archive.namelist()


def test_the_wheel_ships_minigrad_alone(wheel):
    top = {name.split("/")[0] for name in wheel}
    assert top == {"minigrad", f"minigrad-{minigrad.__version__}.dist-info"}


def test_the_wheel_holds_every_module_and_the_data(wheel):
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "minigrad").rglob("*.py")}
    assert modules <= set(wheel)
    assert {"minigrad/py.typed", "minigrad/data/digits.npz"} <= set(wheel)
    licences = [name for name in wheel if "/licenses/" in name]
    assert any(name.endswith("LICENSE") for name in licences)
    assert any(name.endswith("DIGITS-LICENSE.txt") for name in licences)
