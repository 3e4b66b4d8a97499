"""KuaiSAR: short videos that were recommended to users and searched for by them, May to June 2023 (Sun et al., CIKM 2023).

Files and columns as https://kuaisar.github.io/detailed_statistics.html states them: rec_inter.csv (recommendation), src_inter.csv
(search), user_features.csv, item_features.csv. KuaiSAR_v2.zip is the whole set, KuaiSAR.zip the small one
(https://zenodo.org/records/8181109).

Recommendation and search are the two domains. A row is a video that was shown; its label says whether it was clicked. What a
search shows besides videos (users, pictures, goods, ...) has ids of its own and is left out. The words of a search and where they
came from are known when it answers, so that they are context. Forward, like, follow and search while watching are logged in the
recommendation alone: in a search they are 0. A request is a search session, or what was recommended at one moment, as the
publisher says of its times.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from .files import column_of, rows_of
from .published import EventFile, FileEvents, Place, sources_of
from .schema import DataRoots, Domain, Feature, Label, RawLog, Schema
from .side_files import SideFiles
from .values import as_numbers, as_text

_SIGNALS = ("forward", "like", "follow")
_USER_FEATURES = ("search_active_level", "rec_active_level", "onehot_feat1", "onehot_feat2")
_ITEM_FEATURES = (
    "author_id",
    "item_type",
    "upload_type",
    "first_level_category_id",
    "second_level_category_id",
    "third_level_category_id",
    "fourth_level_category_id",
)
_RECOMMENDED = ("user_id", "item_id", "timestamp", "click", *_SIGNALS, "search")
_SEARCHED = (
    "user_id",
    "item_id",
    "search_session_id",
    "search_session_timestamp",
    "keyword",
    "search_source",
    "click_cnt",
    "item_type",
)


def load(name: str, roots: DataRoots) -> RawLog:
    """kuaisar or kuaisar-small: both services with the label click.

    Raises:
        UserError: no data root, files missing from it, a column missing from a file.
    """
    archive = "KuaiSAR.zip" if name.endswith("-small") else "KuaiSAR_v2.zip"
    how = (
        f"unpack {archive} of https://zenodo.org/records/8181109 into the folder {name} of a data root, and set "
        "RANKBENCH_DATA to that root"
    )
    folders = (name, f"{name}/{archive.removesuffix('.zip')}", f"{name}/KuaiSAR_final")
    place = Place(name, folders, how)
    folder = place.folder(roots, "rec_inter.csv")
    files = [place.file(folder, f"{stem}.csv") for stem in ("rec_inter", "src_inter", "user_features", "item_features")]
    recommended, searched, users, items = files
    return RawLog(
        name=name,
        events=FileEvents([EventFile(recommended, _RECOMMENDED, _recommendation), EventFile(searched, _SEARCHED, _search)]),
        users=SideFiles([users], "user_id", _USER_FEATURES),
        items=SideFiles([items], "item_id", _ITEM_FEATURES),
        schema=Schema(
            label="click",
            labels=tuple(Label(signal, signal) for signal in _SIGNALS),
            action=("shown_by", "click", *_SIGNALS, "search"),
            user_features=tuple(Feature(column) for column in _USER_FEATURES),
            item_features=tuple(Feature(column) for column in _ITEM_FEATURES),
            context_features=(Feature("service"), Feature("search_source"), Feature("keyword", "multi")),
            domain=Domain("service", "recommendation or search"),
            time_unit="ms",
            calendar=True,
            time_zone="Asia/Shanghai",
            request_ids=True,
        ),
        files=sources_of(files),
        licence="CC BY-NC-SA 4.0 (https://kuaisar.github.io)",
        citation=(
            "Zhongxiang Sun, Zihua Si, Xiaoxue Zang, Dewei Leng, Yanan Niu, Yang Song, Xiao Zhang and Jun Xu. 2023. KuaiSAR: A "
            "Unified Search And Recommendation Dataset. CIKM. https://doi.org/10.1145/3583780.3615123"
        ),
        notes=(
            "forward, like and follow are logged in the recommendation alone: in a search they are 0",
            "what a search shows besides videos is left out",
        ),
    )


def _recommendation(block: pd.DataFrame) -> pd.DataFrame:
    time = as_text(column_of(block, "timestamp")).str.removesuffix(".0")
    return block.rename(columns={"user_id": "user", "item_id": "item"}).assign(
        time=time, request="shown at " + time, service="recommendation", shown_by="recommendation", search_source="", keyword=""
    )


def _search(block: pd.DataFrame) -> pd.DataFrame:
    shown = rows_of(block, column_of(block, "item_type") == "VIDEO")
    clicks = as_numbers(column_of(shown, "click_cnt"))
    rows = shown.rename(columns={"user_id": "user", "item_id": "item"})
    return rows.assign(
        time=as_text(column_of(shown, "search_session_timestamp")).str.removesuffix(".0"),
        request="session " + column_of(shown, "search_session_id"),
        click=pd.Series(np.where(clicks > 0, "1", "0"), index=shown.index, dtype="str").where(~np.isnan(clicks)),
        service="search",
        shown_by="search",
        keyword=column_of(shown, "keyword").str.strip("[]").str.replace(",", " "),
        **dict.fromkeys((*_SIGNALS, "search"), "0"),
    )
