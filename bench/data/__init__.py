"""From published files to batches. The rooms, in the order in which data passes through them:

sources/ (published tables), cleaning (broken rows), conversion/ (rows in blocks), eventlog (columns on disk), splits (roles),
vocabulary (ids of a model), visibility (what an example may see), dataset (all of it made ready), batches (pointwise rows and
packed sequences). Beside them stands proposal/: what a file seems to be that nobody has described.
"""
