"""Work that a storage hands out: cells of runs, trials of searches, and who does them on which machine."""
