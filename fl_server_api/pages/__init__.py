"""The pages that people look at: what Django's admin doesn't have. docs/pages.md says how to add one."""
