"""Writes. One module per noun; every function takes keywords and checks what the caller may do."""
