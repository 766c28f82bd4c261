"""Tells users what their alert rules are about: by e-mail, or by a webhook."""
