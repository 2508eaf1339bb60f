"""What the page knows: models, reports, the training that runs, and faces from frame to frame."""
