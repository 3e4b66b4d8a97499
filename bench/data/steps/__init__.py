"""Data engineering as declared steps: which rows of a log are left out before anything is split off, learned or judged."""
