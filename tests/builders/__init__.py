"""What tests build on: files, rows, worlds and clients. Only here are rows of rounds, submissions and events made."""
