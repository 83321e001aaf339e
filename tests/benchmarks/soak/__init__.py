"""An hour of both endpoints under mixed load, each answer checked, with a memory curve and a verdict.

`make soak HOURS=1`. `plant` starts the servers, `asked` counts what was said and answered, `predictions`, `tokens` and
`rudeness` are what clients do, `memory` samples processes and fits slopes, `verdict` draws and judges, `hours` runs it.
"""
