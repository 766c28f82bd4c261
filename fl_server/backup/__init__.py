"""Backups: the database and the files that it names, as one consistent pair. docs/backup.md"""
