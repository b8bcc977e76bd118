"""What claims compute by themselves: each file has a ``measure`` that returns plain JSON and imports nothing that judges."""
