"""What a model's answers are worth: figures, curves, comparisons of pairs, robustness, latency."""
