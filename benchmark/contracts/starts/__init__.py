"""What ``python -m benchmark new`` copies: files that run as they are, with names of their own put in."""
