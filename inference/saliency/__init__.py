"""Where in a face a model finds what it answers: maps of its answers, pictures of them, and how far they may be believed."""
