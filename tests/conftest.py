"""What every test may ask for."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
from hypothesis import settings

from toolgate.llm.models import VARIABLES

# What collecting makes (300 modules, 8,000 tests) stays to the end: to look through it for garbage was a fifth of its time, a third where
# no bytecode is there yet. Tests have their garbage collected as anybody does.
gc.disable()
for variable in VARIABLES:  # a key of the developer's own would have models answer that no test means
    os.environ.pop(variable, None)
# How long an example takes says more about the machine than about us.
settings.register_profile("toolgate", deadline=None)
settings.load_profile("toolgate")
SHARED_SPECS = Path(__file__).resolve().parents[2] / "shared" / "specs"


def pytest_collection_finish() -> None:
    gc.enable()
    gc.collect()
    gc.freeze()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def real_specs() -> Path:
    """The folder of real GitHub and GSA descriptions; the test says so and skips when it is not beside the checkout."""
    if not SHARED_SPECS.is_dir():
        pytest.skip("needs the real descriptions in ../shared/specs, which are not here")
    return SHARED_SPECS
