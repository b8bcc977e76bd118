"""Engines: where cells run besides this machine's processes: a Ray cluster, a SLURM site. See docs/scaling.md."""
