"""``python -m tests.strict check --thorough``: minigrad's commands, with the backend "strict"."""

import sys

import tests.strict  # noqa: F401, registers it
from minigrad.__main__ import main

sys.exit(main())
