"""Serving: a model becomes predictions per second, in batches and over HTTP."""
