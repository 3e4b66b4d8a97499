"""Taobao Ad: impressions of display advertisements at two places, 6 to 13 May 2017 (the set Ali_Display_Ad_Click).

Four files as https://tianchi.aliyun.com/dataset/56 publishes them: raw_sample.csv (user, time_stamp, adgroup_id, pid, nonclk,
clk; 26 million impressions), ad_feature.csv, user_profile.csv, whose last column is named with a space at its end, and
behavior_log.csv. The last one is not read: its 723 million rows name categories and brands, never an advertisement, so that they
are no events of these items.
"""

from __future__ import annotations

import pandas as pd

from .published import EventFile, FileEvents, Place, renamed, sources_of
from .schema import DataRoots, Domain, Feature, RawLog, Schema
from .side_files import SideFiles

_EVENT_NAMES = {"user": "user", "adgroup_id": "item", "time_stamp": "time"}
_USER_FEATURES = {
    "cms_segid": "cms_segid",
    "cms_group_id": "cms_group_id",
    "final_gender_code": "gender",
    "age_level": "age_level",
    "pvalue_level": "consumption_level",
    "shopping_level": "shopping_level",
    "occupation": "student",
    "new_user_class_level ": "city_level",
}
"""Published name -> ours; the space at the end of the last one is the publisher's."""
_ITEM_FEATURES = ("cate_id", "campaign_id", "customer", "brand", "price")
_HOW = (
    "download raw_sample.csv, ad_feature.csv and user_profile.csv of https://tianchi.aliyun.com/dataset/56 into the folder "
    "taobao-ad of a data root, and set RANKBENCH_DATA to that root"
)


def load(name: str, roots: DataRoots) -> RawLog:
    """Impressions with the click as label; the place on the page is the domain.

    Raises:
        UserError: no data root, a file missing from it, a column missing from a file.
    """
    place = Place(name, ("taobao-ad", "Ali_Display_Ad_Click"), _HOW)
    folder = place.folder(roots, "raw_sample.csv")
    samples, ads, profiles = (place.file(folder, f"{stem}.csv") for stem in ("raw_sample", "ad_feature", "user_profile"))
    events = EventFile(samples, [*_EVENT_NAMES, "pid", "clk"], renamed(_EVENT_NAMES))
    return RawLog(
        name=name,
        events=FileEvents([events]),
        users=SideFiles([profiles], "userid", [*_USER_FEATURES.values()], _named, read=["userid", *_USER_FEATURES]),
        items=SideFiles([ads], "adgroup_id", _ITEM_FEATURES),
        schema=Schema(
            label="clk",
            action=("clk",),
            user_features=tuple(Feature(column) for column in _USER_FEATURES.values()),
            item_features=tuple(Feature(column, "number" if column == "price" else "category") for column in _ITEM_FEATURES),
            context_features=(Feature("pid"),),
            domain=Domain("pid", "place of the advertisement"),
            time_unit="s",
            calendar=True,
            time_zone="Asia/Shanghai",
            # Some three impressions of a user a day: only a local day holds several to rank.
            request_window=86_400,
        ),
        files=sources_of([samples, ads, profiles]),
        licence="Alibaba Tianchi: research use (https://tianchi.aliyun.com/dataset/56)",
        citation=(
            "Alibaba. 2018. Ad Display/Click Data on Taobao.com (Ali_Display_Ad_Click). Tianchi. "
            "https://tianchi.aliyun.com/dataset/56"
        ),
        notes=(
            "the behaviour log is not read: it names categories and brands, never an advertisement",
            "about a twentieth of the users have no row in the table of users",
        ),
    )


def _named(block: pd.DataFrame) -> pd.DataFrame:
    return block.rename(columns=_USER_FEATURES)
