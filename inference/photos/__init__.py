"""Pictures from anywhere, and the faces in them."""
