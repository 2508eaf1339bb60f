"""Training in PaddlePaddle."""
