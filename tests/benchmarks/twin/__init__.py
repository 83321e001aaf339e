"""What the twin is measured beside: peers of its formulas and of its simulators."""
