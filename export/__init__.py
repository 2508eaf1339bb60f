"""Turns a training run into one self-describing `.onnx` that has been proven equal to what was trained."""
