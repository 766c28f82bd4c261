"""Reads. One module per noun."""
