"""The page that needs no server: a static site which runs the artifacts in the visitor's browser."""
