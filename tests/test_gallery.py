"""The gallery shows every architecture, and what it shows is there."""

import re
from pathlib import Path

import pytest

from models.architecture import architectures

FOLDER = Path(__file__).parent.parent / "models"
TEXT = (FOLDER / "README.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", TEXT)


@pytest.mark.parametrize("name", architectures())
def test_every_architecture_has_a_command_and_a_picture(name):
    assert re.search(rf"python -m models train {name}\b", TEXT)
    assert [path for _, path in SHOWN if path.startswith(f"gallery/{name}-")]


def test_every_picture_is_there_and_every_file_is_shown():
    files = {f"gallery/{path.name}" for path in (FOLDER / "gallery").iterdir()}
    assert {path for _, path in SHOWN} == files


def test_pictures_are_small_and_say_what_they_show():
    for words, path in SHOWN:
        assert len(words.split()) >= 3
        assert (FOLDER / path).stat().st_size <= 200_000


def test_every_command_is_one_of_a_data_set_and_its_settings():
    known = architectures()
    for name, options in re.findall(r"python -m models train (\w+)([^`\n]*)", TEXT):
        if name == "NAME":
            continue
        of_words = [s for words in known[name].presets.values() for s in words.values()]
        given = [*known[name].settings.values(), *of_words]
        names = {setting.replace("_", "-") for s in given for setting in s}
        asked = set(re.findall(r"--([\w-]+)", options))
        assert asked <= names | {"dataset", "seed", "out", "backend", "quiet"}, (name, options)
