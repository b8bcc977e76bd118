"""Images."""
from modalities.image import shapes
