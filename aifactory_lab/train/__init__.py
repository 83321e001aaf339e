"""Training: features become a model, by the same names on CPU and GPU."""
