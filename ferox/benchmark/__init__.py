"""Measures against others: what `ferox benchmark` asks for, and how it is carried out."""
