"""The same work done by everybody who can, in turns: contenders, their turns, records of these, tables and pictures."""
