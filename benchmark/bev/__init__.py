"""Probes of bird's-eye views: what frozen tokens say about the cells under them. ``python -m benchmark bev lidar``."""
