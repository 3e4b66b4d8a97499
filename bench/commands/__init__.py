"""What the subcommands do, one module each: `run(args) -> exit code`, imported when called."""

COMMANDS = {
    "doctor": "say what this machine offers and what it lacks",
    "ls": "list models, data sets, metrics, studies and kernels",
    "data": "fetch a data set, or say what is in it",
    "run": "train, test and compare models",
    "sweep": "search the best settings of models, with equal budgets",
    "worker": "train what a storage hands out, on any machine",
    "study": "ask one question of many runs: heads, negatives, sizes and more",
    "score": "compute metrics again from stored scores",
    "predict": "score candidates for a user with trained weights",
    "export": "write a trained model as a package that scores by itself",
    "precision": "say what bf16 or int8 do to the quality of a trained model",
    "serve": "answer requests for scores over HTTP",
    "board": "make leaderboards and figures from stored runs",
    "redraw": "make all tables and figures of a results folder again",
    "report": "write one HTML page of all boards, studies and sweeps",
    "pack": "put the files of each finished cell into one",
    "check": "say whether a folder of runs can stand beside ours",
    "submit": "make rows of the public leaderboard of a results folder",
    "verify": "compute rows of the public leaderboard again, or train a seed of each",
    "audit": "measure how often intervals hold what they promise",
    "speed": "measure the speed of kernels, layers, training and serving",
    "peers": "measure our models beside those of other projects",
}
"""Name, which is that of a file here, and summary."""
