"""Raw material: the catalogue, its cards, and your own files."""
