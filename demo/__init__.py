"""The web page over the inference engine."""
