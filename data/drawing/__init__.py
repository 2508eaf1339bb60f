"""How a face is drawn: who it is, what it expresses, its features, and the picture taken of it."""
