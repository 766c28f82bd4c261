"""Where files are: a folder that all processes see, or a bucket with copies on this machine."""
