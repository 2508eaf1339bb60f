"""Runs, measures and explains exported models through onnxruntime alone."""
