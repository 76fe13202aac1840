"""Hypothesis profiles: ``dev`` looks further with every run, ``ci`` always tries the same cases.

``HYPOTHESIS_PROFILE`` chooses one by name; without it CI gets ``ci``. ``full`` is the long look of
``make test-full``.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "dev", max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, print_blob=True)
settings.register_profile("full", settings.get_profile("dev"), max_examples=300)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "dev"))
