"""Turns faces into trained weights, in any of three frameworks, with one record of how it was done."""
