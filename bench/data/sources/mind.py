"""MIND: lists of news that were shown on a start page, and which were clicked, November 2019 (Wu et al., ACL 2020).

Files as the publisher states them (https://msnews.github.io, https://learn.microsoft.com/azure/open-datasets/dataset-microsoft-news):
behaviors.tsv without header (impression id, user, time such as `11/12/2019 2:14:46 PM`, history, shown list such as `N1-0 N2-1`)
and news.tsv without header (id, category, subcategory, title, abstract, address, entities of the title and of the abstract as
JSON). The archives MINDsmall_train.zip and MINDsmall_dev.zip (or MINDlarge) become the folders `train` and `dev`; that of the
large test has no labels and is not read. Each entry of a shown list is a row, and an impression is a request.

The column `history` lists a user's clicks of the weeks before, oldest first, without times: it is not read, since no event can be
made of it. Histories come from earlier impressions.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ...errors import UserError
from .event_rows import one_row_an_entry
from .files import TextFormat, column_of
from .published import EventFile, FileEvents, Place, matching, sources_of
from .schema import DataRoots, Feature, RawLog, Schema
from .side_files import SideFiles
from .table_config import Impressions
from .table_description import OUTCOME

_PLAIN = TextFormat(quoted=False, header=False)
_LISTS = Impressions("shown", outcome="-")
_ROLES = {"train": "train", "dev": "test"}
_NEWS = {"0": "item", "1": "category", "2": "subcategory", "6": "title", "7": "abstract"}
"""Position in news.tsv -> our name; the last two hold the entities of title and abstract."""


def load(name: str, roots: DataRoots) -> RawLog:
    """mind-small or mind-large: training part and, where it is there, the development part as declared test.

    Raises:
        UserError: no data root, files missing from it or of another shape.
    """
    size = name.removeprefix("mind-")
    place = Place(name, (name, f"MIND{size}", *(["mind-part"] if size == "small" else [])), _how(name, size))
    parts = _parts(place, roots, size)
    events = [EventFile(file, ["0", "1", "2", "4"], _Rows(file, part), _PLAIN) for part, (file, _) in parts.items()]
    news = [path for _, path in parts.values()]
    declared = "dev" in parts
    return RawLog(
        name=name,
        events=FileEvents(events),
        users=None,
        items=SideFiles(
            news, "item", ("category", "subcategory", "entities"), functools.partial(_news, news), read=[*_NEWS], form=_PLAIN
        ),
        schema=Schema(
            label=OUTCOME,
            action=(OUTCOME,),
            item_features=(Feature("category"), Feature("subcategory"), Feature("entities", "multi")),
            time_unit="datetime",
            time_format="%m/%d/%Y %I:%M:%S %p",
            calendar=True,
            request_ids=True,
            roles=declared,
        ),
        files=sources_of([*(file.path for file in events), *news]),
        licence="Microsoft Research licence: research use, no redistribution (https://msnews.github.io)",
        citation=(
            "Fangzhao Wu, Ying Qiao, Jiun-Hung Chen, Chuhan Wu, Tao Qi, Jianxun Lian, Danyang Liu, Xing Xie, Jianfeng Gao, "
            "Winnie Wu and Ming Zhou. 2020. MIND: A Large-scale Dataset for News Recommendation. ACL. "
            "https://aclanthology.org/2020.acl-main.331"
        ),
        default_split="declared" if declared else "global-time",
        notes=(
            f"parts: {', '.join(parts)}"
            + ("" if declared else "; the development part is not here, so that no test is declared"),
            "the zone of the times is not stated: they are read as UTC",
            "the lists of earlier clicks have no times and are not read",
        ),
    )


class _Rows:
    """A row for each entry of the shown lists; impressions of different parts never share an id."""

    def __init__(self, path: Path, part: str) -> None:
        self._path, self._part = path, part

    def __call__(self, block: pd.DataFrame) -> pd.DataFrame:
        events = block.set_axis(["request", "user", "time", "shown"], axis=1)
        events = events.assign(request=f"{self._part}-" + column_of(events, "request"), role=_ROLES[self._part])
        return one_row_an_entry(events, _LISTS, str(self._path)).drop(columns="shown")


def _parts(place: Place, roots: DataRoots, size: str) -> dict[str, tuple[Path, Path]]:
    """Part -> its behaviours and its news; files that lie in no folder of a part are those of training."""
    found: dict[str, tuple[Path, Path]] = {}
    for folder in [roots.root / one for one in place.folders] if roots.root is not None else ():
        for part in _ROLES:
            for inner in (folder / part, folder / f"MIND{size}_{part}", *([folder] if part == "train" else [])):
                if part not in found and matching(inner, "behaviors.tsv"):
                    found[part] = (matching(inner, "behaviors.tsv")[0], place.file(inner, "news.tsv"))
        if found:
            break
    if "train" not in found:
        place.folder(roots, "train/behaviors.tsv")
    return found


def _news(files: Sequence[Path], block: pd.DataFrame) -> pd.DataFrame:
    table = block.rename(columns=_NEWS)
    cells = zip(table["item"], table["title"], table["abstract"], strict=True)
    where = ", ".join(map(str, files))
    return table.assign(entities=pd.Series([_entities(where, *row) for row in cells], index=table.index, dtype="str"))


def _entities(where: str, item: str, *cells: str | float) -> str:
    """Wikidata ids of what title and abstract are about, each once, in order."""
    try:
        lists = [json.loads(cell) for cell in cells if isinstance(cell, str)]
        return " ".join(dict.fromkeys(entity["WikidataId"] for one in lists for entity in one))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{where}: the entities of {item} are not JSON as published ({error})") from None


def _how(name: str, size: str) -> str:
    return (
        f"unpack MIND{size}_train.zip and MIND{size}_dev.zip of https://msnews.github.io into the folders train and dev of the "
        f"folder {name} of a data root, and set RANKBENCH_DATA to that root"
    )
