"""The plant's twin: what a plant would do, draw and cost, from formulas whose errors are shown beside their numbers."""
