"""Amazon Toys and Games of 2014, five ratings or more of every user and product (McAuley et al., SIGIR 2015), as a CTR table.

Two files that are a random split of one log, train_set_Toys_CTR.csv and test_set_Toys_CTR.csv (user_id, item_id, class,
reviewTime as a date, overall): they are read as one, since a random split lets a model learn from what came after its test.
`overall` is 1 for a rating of 3 or more; `class`, one of 24 categories, is the domain, as the category is in amazon_2023.py.
"""

from __future__ import annotations

from .published import EventFile, FileEvents, Place, matching, renamed, sources_of
from .schema import DataRoots, Domain, Feature, RawLog, Schema

_EVENT_NAMES = {"user_id": "user", "item_id": "item", "reviewTime": "time"}
_HOW = (
    "put train_set_Toys_CTR.csv and test_set_Toys_CTR.csv (or .csv.gz) into the folder amazon-toys-2014 of a data root, and set "
    "RANKBENCH_DATA to that root"
)


def load(name: str, roots: DataRoots) -> RawLog:
    """Both files as one log, with the label overall.

    Raises:
        UserError: no data root, no file in it, a column missing from a file.
    """
    folder = Place(name, ("amazon-toys-2014",), _HOW).folder(roots, "*_set_Toys_CTR.csv")
    files = matching(folder, "*_set_Toys_CTR.csv")
    shape = renamed(_EVENT_NAMES)
    return RawLog(
        name=name,
        events=FileEvents([EventFile(path, [*_EVENT_NAMES, "class", "overall"], shape) for path in files]),
        users=None,
        items=None,
        schema=Schema(
            label="overall",
            action=("overall",),
            context_features=(Feature("class"),),
            domain=Domain("class", "category of the product"),
            time_unit="datetime",
            calendar=True,
        ),
        files=sources_of(files),
        licence="McAuley lab: research use, cite (https://jmcauley.ucsd.edu/data/amazon)",
        citation=(
            "Julian McAuley, Christopher Targett, Qinfeng Shi and Anton van den Hengel. 2015. Image-based Recommendations on "
            "Styles and Substitutes. SIGIR. https://doi.org/10.1145/2766462.2767755"
        ),
        notes=(
            f"files: {', '.join(path.name for path in files)}; they are a random split, and are joined",
            "times are days; only what was bought and reviewed is here, and nine in ten ratings are positive",
        ),
    )
