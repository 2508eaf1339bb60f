"""What people see: cards, drawings, words, colours."""
