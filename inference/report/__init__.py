"""An evaluation as a document, as pictures and as a page."""
