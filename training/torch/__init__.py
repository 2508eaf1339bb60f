"""Training in PyTorch."""

from training.torch.waiting import wait_briefly

# Here, since what follows imports torch.
wait_briefly()
