"""Publish: rows of this checkout as one package (submit), and packages of others taken into the boards (merge)."""
