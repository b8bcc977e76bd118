"""Small modalities on grids of one, two and three axes that methods are tried on; none of them is registered."""
