"""Machine learning: recipes, data sets, nets, training, export. Torch lives only here."""

import app as app  # says before anything else that ONNX Runtime is not to report to its maker
