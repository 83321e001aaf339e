"""The parts of the plant's benchmark: peers, sampling, boards in a browser, a day in memory, the meters' own cost."""
