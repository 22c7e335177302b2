"""What every test shares: quiet threads, a clean environment, and the way to real photographs."""

import os
from pathlib import Path

# Before numpy, faiss or onnxruntime is imported: on a busy machine a second thread costs more than it brings.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import hypothesis
import pytest

SHARED_DATA = Path(os.environ.get("RESIGHT_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))

# No deadline: a busy machine is not a failure. In CI the examples are the same every time.
hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "local"))


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the person who runs the tests must not change what they prove."""
    for name in [name for name in os.environ if name.startswith("RESIGHT_") and name != "RESIGHT_SHARED_DATA"]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real photographs; tests that need it are skipped without it."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no real photographs here: set RESIGHT_SHARED_DATA to a folder that holds belugas/")
    return SHARED_DATA


@pytest.fixture(scope="session")
def belugas(shared_data: Path) -> Path:
    """The contest-format folder of real belugas."""
    folder = shared_data / "belugas"
    if not (folder / "metadata.csv").is_file():
        pytest.skip("no belugas/metadata.csv among the shared data")
    return folder
