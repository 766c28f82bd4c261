"""The client package, for the demo. In the repository, it is a link to clients/python."""
