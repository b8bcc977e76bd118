"""Speed: what a training step costs, how it grows, and what an engine adds; ratios to a reference kernel guard it."""
