"""Adopts models that others have trained: puts the contract around a foreign `.onnx`, and proves what comes of it."""
