"""Serving of language models beside its peers: other engines, and another load generator."""
