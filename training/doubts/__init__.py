"""Labels that are probably wrong: what models say that were not trained on the faces which they are asked about."""
