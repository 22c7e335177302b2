"""Resight: photo-ID for people who recognise animals by their marks."""

import os

# From 1.29 on ONNX Runtime reports to its maker over the network unless this is set before it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
