"""One view a path: it reads the request, makes one call, answers. Docstrings are the text of the API's pages."""
