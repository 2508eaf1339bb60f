"""Serves models to programs: the Open Inference Protocol, version 2, and pictures to faces."""
