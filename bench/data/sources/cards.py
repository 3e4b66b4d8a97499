"""The published data sets that have a loader, and what lists and pages say of each. Imports no library, and is quick."""

from __future__ import annotations

from dataclasses import dataclass

from .equivalence import MARGIN


@dataclass(frozen=True)
class DatasetCard:
    """What `rankbench ls datasets` and docs/reference/datasets.md show, and where the loader is."""

    name: str
    summary: str
    licence: str
    default_split: str
    loader: str
    """Module of this package whose function `load(name, roots)` returns a RawLog."""
    cite: str = ""
    """In short; the whole citation is in the loader, and `rankbench data describe` shows it."""
    real: str = ""
    """Which of the publisher's files the loader was run on; empty: on generated files of the published format alone."""
    folders: tuple[str, ...] = ()
    """Folders of a data root that its files may lie in, small letters, the beginning of their names; empty: its own name."""
    drawn: bool = False
    """By settings, which a YAML file that names it as its source may change: its loader has `load_yaml` too."""
    margin: float = MARGIN
    """Up to which difference of a metric two models count as equivalent."""

    @property
    def places(self) -> tuple[str, ...]:
        """Beginnings of the names of folders that may hold its files."""
        return self.folders or (self.name,)


_GROUPLENS, _TIANCHI, _BY_SA = "GroupLens: research use, no redistribution", "Alibaba Tianchi: research use", "CC BY-SA 4.0"
_GENERATED = "none needed: generated"
_HARPER = "Harper and Konstan, *The MovieLens Datasets*, ACM TiiS 2015"
_GAO = "Gao et al., *KuaiRand*, CIKM 2022"
_KUAIRAND = {"pure": "27,285 users and 7,583 videos", "1k": "1,000 users and all 4.4M videos that they saw"} | {
    "27k": "27,285 users and 32M videos, 322M impressions"
}


def _movielens() -> list[DatasetCard]:
    shown = {
        "ml-100k": ("MovieLens 100K: 100,000 ratings of 943 users, 1997-98; label rating >= 4", "movielens", "whole"),
        "ml-1m": ("MovieLens 1M: 1,000,209 ratings of 6,040 users, 2000-03; label rating >= 4", "movielens", "whole"),
        "ml-20m": ("MovieLens 20M: 20,000,263 ratings of 138,493 users, 1995-2015", "movielens_large", ""),
        "ml-25m": ("MovieLens 25M: 25,000,095 ratings of 162,541 users, 1995-2019", "movielens_large", ""),
        "ml-32m": ("MovieLens 32M: 32,000,204 ratings of 200,948 users, 1995-2023", "movielens_large", ""),
    }
    return [
        DatasetCard(name, summary, _GROUPLENS, "global-time", loader, _HARPER, real)
        for name, (summary, loader, real) in shown.items()
    ]


def _kuairand() -> list[DatasetCard]:
    cards = []
    for size, held in _KUAIRAND.items():
        name = f"kuairand-{size}"
        title = f"KuaiRand-{'Pure' if size == 'pure' else size.upper()}"
        folders = (name,)
        real = "the standard log of 25 April to 5 May, users, videos" if size == "pure" else ""
        what = f"{title}: impressions of short videos in 15 scenarios with eight feedback signals, 2022; {held}"
        tests = {
            "": (f"{what}; label is_click", "global-time", real),
            "-random": (f"{title}, tested on what was exposed at random; label is_click", "declared", ""),
        }
        if size == "pure":
            tests["-long-view"] = (f"{title}, label long_view, training and test by the dates of others", "declared", "")
        cards += [
            DatasetCard(f"{name}{suffix}", summary, _BY_SA, split, "kuairand", _GAO, read, folders)
            for suffix, (summary, split, read) in tests.items()
        ]
    return cards


DATASETS: dict[str, DatasetCard] = {
    card.name: card
    for card in (
        *_movielens(),
        *_kuairand(),
        DatasetCard(
            "taobao-userbehavior",
            "Taobao UserBehavior: views, carts, favourites, purchases, 2017; positives alone, negatives are sampled",
            _TIANCHI,
            "global-time",
            "taobao",
            "Zhu et al., *Learning Tree-based Deep Model for Recommender Systems*, KDD 2018",
            "its first 100,001 rows",
        ),
        DatasetCard(
            "taobao-ad",
            "Taobao Ad: 26M impressions of advertisements at two places, 2017; label clk",
            _TIANCHI,
            "global-time",
            "taobao_ad",
            "Alibaba, *Ad Display/Click Data on Taobao.com*, Tianchi 2018",
            folders=("taobao-ad", "ali_display_ad_click"),
        ),
        DatasetCard(
            "alibaba-mobile-2014",
            "Alibaba contest of 2014: clicks, purchases, favourites, carts by day; positives alone, negatives are sampled",
            "contest data: research use",
            "global-time",
            "alibaba_mobile",
            "Alibaba, *Big Data Competition*, 2014",
            "whole",
        ),
        DatasetCard(
            "amazon-toys-2014",
            "Amazon Toys and Games, 2000-14, five ratings or more of each, in 24 categories; label rating of 3 or more",
            "McAuley lab: research use, cite",
            "global-time",
            "amazon_toys",
            "McAuley et al., *Image-based Recommendations on Styles and Substitutes*, SIGIR 2015",
            "whole",
        ),
        DatasetCard(
            "amazon-2023",
            "Amazon Reviews 2023: ratings of the categories whose files are there, each a domain, with metadata of products "
            "where they are there; label rating >= 4",
            "McAuley lab: research use, cite",
            "global-time",
            "amazon_2023",
            "Hou et al., *Bridging Language and Items for Retrieval and Recommendation*, 2024",
        ),
        *(
            DatasetCard(
                f"mind-{size}",
                f"MIND {size}: lists of news that were shown, and which were clicked, 2019; {held} users",
                "Microsoft Research: research use, no redistribution",
                "declared",
                "mind",
                "Wu et al., *MIND*, ACL 2020",
                "5,000 impressions of its training part" if size == "small" else "",
                (f"mind-{size}", f"mind{size}", *(["mind-part"] if size == "small" else [])),
            )
            for size, held in (("small", "50,000"), ("large", "1M"))
        ),
        *(
            DatasetCard(
                f"yambda-{size}",
                f"Yambda-{size}: listens to music, with likes and dislikes in histories; {held} users; label: half was played",
                "Apache-2.0",
                "global-time",
                "yambda",
                "Ploshkin et al., *Yambda-5B*, arXiv:2505.22238, 2025",
                folders=(f"yambda-{size}", "yambda"),
            )
            for size, held in (("50m", "10,000"), ("500m", "100,000"), ("5b", "1M"))
        ),
        DatasetCard(
            "vk-lsvd",
            "VK-LSVD: short videos shown to users of VK with seven kinds of feedback, 2025; a subsample or all; label like",
            "Apache-2.0",
            "declared",
            "vk_lsvd",
            "Poslavsky et al., *VK-LSVD*, arXiv:2602.04567, 2026",
        ),
        *(
            DatasetCard(
                name,
                f"KuaiSAR{', small version' if name.endswith('small') else ''}: videos recommended and searched for by the same "
                "users, 2023; label click",
                "CC BY-NC-SA 4.0",
                "global-time",
                "kuaisar",
                "Sun et al., *KuaiSAR*, CIKM 2023",
            )
            for name in ("kuaisar", "kuaisar-small")
        ),
        *(
            DatasetCard(
                f"tenrec-{part}",
                f"Tenrec, {file}: videos that an app showed, in order but without times; label click",
                "CC BY-NC 4.0 and own terms",
                "per-user-time",
                "tenrec",
                "Yuan et al., *Tenrec*, NeurIPS 2022",
                folders=("tenrec",),
            )
            for part, file in (("qk-video", "QK-video.csv"), ("qb-video", "QB-video.csv"), ("ctr-1m", "ctr_data_1M.csv"))
        ),
        DatasetCard(
            "recflow",
            "RecFlow: short videos that a recommender showed, by request, 2024; label effective_view",
            _BY_SA,
            "global-time",
            "recflow",
            "Liu et al., *RecFlow*, ICLR 2025",
        ),
        DatasetCard(
            "simulator",
            "Simulated log with planted effects and a known best AUC",
            _GENERATED,
            "global-time",
            "simulator",
            drawn=True,
        ),
        DatasetCard(
            "simulator-target",
            "Simulated log whose planted effect only target-aware history models can find",
            _GENERATED,
            "global-time",
            "simulator",
        ),
        *(
            DatasetCard(
                f"simulator-{name}", summary, _GENERATED, "global-time", f"simulated_{name.replace('-', '_')}", drawn=True
            )
            for name, summary in {
                "behaviours": "Simulated log with a behaviour that predicts clicks and one that does not",
                "domains": "Simulated log of three domains: a large one, a small one that it helps, one that goes against both",
                "side-information": "Simulated log of many items whose features tell more than their ids can",
                "long-history": "Simulated log whose clicks follow from what the user did many events before",
            }.items()
        ),
    )
}
"""Name -> card, in the order in which they are listed."""
