"""ONNX Runtime reports to its maker by default from 1.29 on: nothing of Resight may."""

import os
import subprocess
import sys

import pytest

# What keeps it silent by itself, as on the machines of continuous integration.
_HUSHED = ("CI", "TF_BUILD", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "XDG_CACHE_HOME")


@pytest.mark.parametrize("module", ["app.adapters.onnx_embedder", "models"])
def test_onnx_runtime_reports_to_nobody(tmp_path, module):
    """It leaves no identifier in the home folder and starts no thread that would send something."""
    told = f"import os, {module}, onnxruntime; print(len(os.listdir('/proc/self/task')))"
    environment = {name: value for name, value in os.environ.items() if name not in _HUSHED}
    alone = {"HOME": str(tmp_path), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    answer = subprocess.run(
        [sys.executable, "-c", told], env=environment | alone, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "1"
    assert not list(tmp_path.rglob("*"))
