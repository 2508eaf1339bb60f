"""Where faces come from: tables, image folders, archives and drawings, all as one kind of array."""
