"""What a model looked at in a face: maps of its answers, pictures of them, and whether they mean something."""
