"""The same step in other packages: what `benchmark.bench_peers` measures beside the suite's own methods.

``contest`` says what is equal, ``ours``, ``of_lightly`` and ``of_stable`` build it, each from the public parts of
its package.
"""
