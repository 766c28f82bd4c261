"""The documentation: that it builds, what it says, and that its programs run as they stand."""
