"""One experiment as frozen dataclasses: read from YAML and `--set`, checked with did-you-mean, hashed into a run id."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt

from .errors import UserError, unknown_name
from .identity import config_hash
from .typed import finite, from_dict
from .yaml_text import load_yaml, read_yaml

if TYPE_CHECKING:
    from .contract import ModelInfo

Decay = Literal["none", "linear", "cosine"]
TrainingLoss = Literal["bce", "pairwise", "listwise", "joint", "jrc"]
RANKING_LOSSES: tuple[TrainingLoss, ...] = ("pairwise", "listwise")
"""Those that ask for an order within requests and for nothing else: their scores have any level."""
Monitor = Literal["request_gauc", "auc", "logloss"]


@dataclass(frozen=True)
class LogDefaults:
    """What `default` means for a log."""

    split: str
    request_window: float | None
    """Seconds; None where the log names its requests."""
    positive_only: bool
    """Every event is a positive, so that negatives must be sampled."""


@dataclass(frozen=True)
class DataConfig:
    """Which examples, and what every model may see of them."""

    dataset: str = "ml-100k"
    """A name of `rankbench ls datasets`, or the path of a YAML file that describes your own table."""
    split: str = "default"
    """global-time, per-user-time, leave-one-out, chrono-rank, declared (by the source), or `default`: the data set's own.
    windows-N and window-K-of-N: the end of the log as N windows of time, all of them or the K-th, after what is before it
    (`rankbench study shift`). stream-N and stream-days: all of the log as N windows of about as many events, or as its days; the
    last is the test, the one before it validation (for train.order=time). last-N: the last N events of each user are examples, up
    to whole requests; a tenth of the users is the test, a tenth validation, by a hash of their names."""
    history_length: Annotated[int, Ge(1), Le(100_000)] = 50
    """L: an example sees at most the L latest visible events of its user."""
    time: Literal["none", "history", "request"] = "request"
    """Time information, the same for every model: none; gaps between past events; also the time of the request."""
    request_window: Annotated[float, Ge(0), Le(1e10)] | None = None
    """Seconds: events of a user within one window belong to one request, in training as in the test. All of them look back from
    its start, and ranking is judged among them. 0: equal timestamps alone. null: the requests that the log itself names, else
    the data set's own window (`rankbench data describe`)."""
    feedback_delay: Annotated[float, Ge(0), Le(1e10)] = 0.0
    """Seconds before an event's outcome becomes visible."""
    test_history: Literal["live", "frozen"] = "live"
    """What a validation or test example sees of its own period: live, all strictly earlier events of its user; frozen, none,
    so that no score depends on a test label. With split=last-N that holds for training examples as well."""
    supervision: Literal["dense", "impression"] = "dense"
    """How sequences are cut for generative rankers. dense: a user's sequence in long segments, every example of it in one pass;
    deeper layers then reach further back than one history length. impression: a segment for each example with its history alone,
    about history_length times the work; classical rankers always see examples so."""
    unknown_rate: Annotated[float, Ge(0), Lt(1)] = 0.1
    """Share of the ids in training batches that are replaced by `unknown`, so that its row is trained: the id of every item, in
    histories as among candidates, each for itself; the id of the user, once an example or segment. The same in both views."""
    train_share: Annotated[float, Gt(0), Le(1)] = 1.0
    """Share of the training examples that are learned from: a random one for each seed, and a smaller share lies within a larger.
    Histories, vocabulary, validation and test stay as they are, so that the amount of supervision alone changes."""
    negatives: Literal["default", "exposed", "uniform", "popularity", "in-batch"] = "default"
    """Where negatives of training come from, see data/negatives.py. default: exposed, or uniform if the log has none."""
    negative_rate: Annotated[float, Gt(0), Le(1e6)] | None = None
    """exposed: share of the negatives that training keeps (default 1). Otherwise: sampled negatives per positive (default 4)."""
    test_negatives: Literal["default", "exposed", "uniform", "popularity"] = "default"
    """The same for validation and test examples, which are sampled once for a split. Boards never mix them."""
    test_negative_rate: Annotated[int, Ge(1), Le(1_000_000)] = 20
    """Sampled negatives per positive in validation and test."""
    repeats: bool = False
    """Keep positives that their user had met before beside sampled negatives, which are never such items: the history alone then
    tells the two apart."""
    labels: tuple[str, ...] = ()
    """Further labels of the data set to learn and judge beside the main one, for models that can (`rankbench data describe`)."""
    behaviours: tuple[str, ...] = ()
    """Which past events histories hold: those with one of these outcomes, each the name of a further label, or `label` for the
    main one; all events if left out. Examples stay the same, and see at most history_length of these events."""
    pools: tuple[str, ...] = ()
    """Histories made of several pools: of each pool its own latest events, history_length over the number of pools at most, put
    together in order of time. Each is the name of an outcome as in behaviours, or `no-label` for examples without the main one.
    A rare kind of event is then not crowded out by a frequent one. Needs supervision=impression."""
    outcomes: Literal["action", "label", "none"] = "action"
    """What every model is told of a past event beside its item, context and time. action: what the user did and the label; label:
    the label alone; none: that it happened."""
    side_information: Literal["all", "items", "users", "none"] = "all"
    """Whose features every model is given beside ids and context."""
    domain_field: bool = True
    """Whether the domain that a data set declares is an input of every model."""
    domains: tuple[str, ...] = ()
    """Domains whose examples are trained and validated on, by the values of the field that the data set declares; all if left
    out. Histories, vocabulary and test stay as they are."""
    exclude_future_positives: bool = False
    """Sample no item that the user likes later. That uses the future, test included: only to compare with work that does it."""
    item_id: Literal["id", "none", "codes", "both", "backoff"] = "id"
    """How every model knows which item it is told of, side information aside (docs/ideas/semantic-ids.md). id: by the item's own
    id. none: not at all. codes: by its semantic id alone. both: by the two side by side. backoff: by its id from backoff_events
    training events on, by its semantic id below."""
    backoff_events: Annotated[int, Ge(1)] = 10
    """Training events from which an item has an id of its own, of item_id=backoff."""
    code_source: Literal["features", "events"] = "features"
    """What semantic ids are made of: the side information of items, or vectors of the items that training events give. Items
    without training events have one by the first alone."""
    code_method: Literal["k-means", "rq-vae"] = "k-means"
    """Residual k-means, or a residual-quantised autoencoder."""
    code_levels: Annotated[int, Ge(1), Le(8)] = 3
    """Codes of a semantic id, from coarse to fine."""
    code_size: Annotated[int, Ge(2), Le(4096)] = 64
    """Different codes at a level, at most."""
    held_out_items: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Share of the items, by a hash of their names, whose training events nothing is learned from: validation and test then hold
    items that are new and yet as popular as any. Their events stay in histories. The split has another hash."""

    def __post_init__(self) -> None:
        if self.pools and (self.behaviours or self.supervision != "impression" or len(set(self.pools)) < len(self.pools)):
            raise UserError(
                "data.pools needs data.supervision=impression, since what a history of pools holds is no interval of events; it "
                "takes the place of data.behaviours, and names each pool once"
            )
        rate = self.negative_rate
        if rate is not None and self.negatives == "exposed" and not 0 < rate <= 1:
            raise UserError(f"data.negative_rate is a share, in (0, 1], if data.negatives=exposed, not {rate}")
        if rate is not None and self.negatives in ("uniform", "popularity", "in-batch") and not (rate >= 1 and rate % 1 == 0):
            raise UserError(
                f"data.negative_rate is a whole number of negatives per positive, not {rate}, unless negatives are exposed"
            )

    def resolved(self, log: LogDefaults) -> DataConfig:
        """With `default` replaced by what it means for a log.

        Raises:
            UserError: exposed negatives of a log that has none.
        """
        usual = "uniform" if log.positive_only else "exposed"
        source = usual if self.negatives == "default" else self.negatives
        test = usual if self.test_negatives == "default" else self.test_negatives
        if self.labels and (source != "exposed" or test != "exposed" or self.negative_rate not in (None, 1)):
            raise UserError("data.labels need all exposed negatives: drawn ones have no further labels and other odds for them")
        if log.positive_only and "exposed" in (source, test):
            key = "negatives" if source == "exposed" else "test_negatives"
            raise UserError(f"{self.dataset} has positives alone: data.{key} must be uniform or popularity, not exposed")
        rate = self.negative_rate if self.negative_rate is not None else 1.0 if source == "exposed" else 4.0
        return dataclasses.replace(
            self,
            split=log.split if self.split == "default" else self.split,
            request_window=log.request_window if self.request_window is None else self.request_window,
            negatives=source,
            test_negatives=test,
            negative_rate=rate,
        )


@dataclass(frozen=True)
class TrainConfig:
    """How a model is trained; the same loop for both families. A model's card may change these defaults."""

    lr: Annotated[float, Gt(0)] = 1e-3
    loss: TrainingLoss = "bce"
    """The loss that training minimises for the main label; further labels have bce. bce: cross-entropy, example by example.
    Within the requests that ranking is judged by: pairwise, RankNet's loss of every pair of a positive and a negative;
    listwise, softmax cross-entropy; joint, bce and a listwise loss of its probabilities; jrc, bce and listwise losses of
    positives and negatives. Scores of pairwise and listwise are no probabilities (docs/ideas/losses.md)."""
    loss_weight: Annotated[float, Gt(0)] = 1.0
    """Of the listwise part of joint and jrc, beside bce."""
    order: Literal["shuffled", "time"] = "shuffled"
    """shuffled: epochs over all training examples, each in an order of its own. time: once through the windows of a stream split,
    one after the other, examples shuffled within a window alone; each window is scored before anything is learned from it, ids
    are known once a window had them, and the last weights are kept (docs/howto/stream.md)."""
    batches: Literal["default", "examples", "requests"] = "default"
    """What is shuffled into batches of a pointwise model: examples; or whole requests, as many as batch_size holds, a longer one
    alone. default: requests where the loss compares the rows of one, else examples. A sequence model learns from segments, which
    hold whole requests; with data.supervision=impression, requests keeps the segments of one together."""
    weight_decay: Annotated[float, Ge(0)] = 0.0
    """Decoupled (AdamW)."""
    embedding_decay: Annotated[float, Ge(0)] = 0.0
    """Decoupled decay of embedding tables alone; they overfit first."""
    table_optimizer: Literal["adamw", "rowwise-adagrad"] = "adamw"
    """Of the tables of fields; all else has AdamW. rowwise-adagrad: Adagrad with one step size for each row, at the same rate, as
    in HSTU's released ranking code; a row that no batch reads stays where it is."""
    batch_size: Annotated[int, Ge(1)] = 1024
    """Examples in a pointwise batch."""
    batch_events: Annotated[int, Ge(1)] = 4096
    """Events in a sequence batch, at most; a longer segment travels alone."""
    epochs: Annotated[int, Ge(1)] = 20
    patience: Annotated[int, Ge(1)] = 2
    """Epochs without a better validation metric before training stops; the best weights are restored."""
    monitor: Literal["default", "request_gauc", "auc", "logloss"] = "default"
    """What validation is watched by: it ends training, chooses the weights and, in a search, the settings. default: the headline,
    request_gauc where the requests of ten validation users or more hold both labels, else auc."""
    max_seconds: Annotated[float, Ge(0)] = 0.0
    """Stop after this training time (on a CPU, CPU time by thread); 0: no limit."""
    lr_decay: Decay = "none"
    """The rate's way down to zero over all steps of the planned epochs. Training that stops earlier stops at the rate that it has
    come to."""
    ema: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Decay of an exponential moving average of the weights, step by step, such as .999; 0: none. If it is on, the average is
    validated, kept and scored."""
    refit: bool = False
    """Once validation has chosen the number of epochs, train afresh for as many on training and validation examples together, and
    score that model. Vocabulary, statistics and what an example sees stay those of the training examples."""
    clip_norm: Annotated[float, Ge(0)] = 5.0
    """Largest gradient norm; 0: not clipped."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    recompute: bool = False
    """Activation checkpointing of generative rankers: between the passes each layer keeps its input alone, and is computed again
    in the backward pass. Less memory, about a third more work, the same gradients (docs/howto/large-models.md)."""
    whole_step: Literal["off", "padded", "graph"] = "off"
    """padded: batches are filled up to a few shapes; nothing sees what fills them up, and the loss leaves it out. graph: such
    steps, and the scoring of batches, are recorded once a shape as graphs of the accelerator and replayed, so that the host
    starts one thing a step instead of hundreds (docs/howto/large-models.md)."""
    assembly: Literal["host", "device"] = "host"
    """Where batches are put together. device: the log's columns lie there, and events are gathered there from offsets; the same
    batches."""
    checkpoint_seconds: Annotated[float, Ge(0)] = 120.0
    """A checkpoint is written after each epoch and at least this often within one."""

    def __post_init__(self) -> None:
        if self.loss != "bce" and self.batches == "examples":
            raise UserError(
                f"train.loss={self.loss} compares the rows of a request, which train.batches=examples tears apart; leave batches "
                "out, or choose requests"
            )
        if self.loss != "bce" and self.whole_step != "off":
            raise UserError(
                f"train.whole_step={self.whole_step} needs train.loss=bce: requests differ in length from batch to batch"
            )
        if self.loss in RANKING_LOSSES and self.monitor == "logloss":
            raise UserError(
                f"train.monitor=logloss judges probabilities, and train.loss={self.loss} gives none; watch request_gauc or auc"
            )

    @property
    def whole_requests(self) -> bool:
        """Whether batches hold whole requests."""
        return self.batches == "requests" or (self.batches == "default" and self.loss != "bce")

    def resolved(self, monitor: Monitor) -> TrainConfig:
        """With what `default` means: `monitor` for the data at hand, batches for the loss."""
        return dataclasses.replace(self, monitor=monitor, batches="requests" if self.whole_requests else "examples")


@dataclass(frozen=True)
class Experiment:
    """One cell of a benchmark: one model on one split of one data set. The seed is not part of its identity."""

    model: str
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    params: Any = None
    """The model's own config dataclass."""

    def as_dict(self) -> dict[str, Any]:
        """All of its settings, ready for JSON. Once its data settings are resolved, that is what a record holds."""
        return finite(dataclasses.asdict(self))

    @property
    def hash(self) -> str:
        return config_hash(self.as_dict())


@dataclass(frozen=True)
class Tuning:
    """The sweep that found a run's settings."""

    study: str
    """Its name in the storage."""
    trials: int
    """That ended, pruned and failed ones included."""
    seconds: float
    """Of training, summed over all trials, validation left out; on a CPU, CPU time by thread."""
    metric: str
    """Of validation, by which the best trial was chosen."""
    value: float
    """Its value in that trial."""
    cut: bool
    """A limit of time ended that trial. The settings then carry the limit as train.max_seconds."""


@dataclass(frozen=True)
class Settings:
    """What the user asked for on top of the defaults: plain values by section, not yet checked against a model."""

    data: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Model name -> its own settings, where `train.<key>` is that model's training setting and `data.<key>` one of OWN_DATA."""
    tuning: dict[str, Tuning] = field(default_factory=dict)
    """Model name -> the sweep that found all of these settings for it."""

    def changed(self, assignments: list[str], models: tuple[str, ...]) -> Settings:
        """These settings with `section.key=value` assignments on top; section is data, train or one of `models`.

        One of train or data holds for every model, also where these settings have another for a model alone; assignments for
        that model stand above it, wherever they are in the list.
        """
        own = {name: dict(keys) for name, keys in self.models.items()}
        result = Settings(dict(self.data), dict(self.train), own, dict(self.tuning))
        for assignment in sorted(assignments, key=lambda one: not one.startswith(("data.", "train."))):
            path, separator, text = assignment.partition("=")
            section, dot, key = path.partition(".")
            if not (separator and dot and key):
                raise UserError(f"--set {assignment}: write section.key=value, for example train.lr=1e-3 or din.dropout=0.2")
            value = load_yaml(text, f"--set {path}={text[:200]}")
            if section in ("data", "train"):
                (result.data if section == "data" else result.train)[key] = value
                for name, keys in own.items():
                    if section == "train" or f"data.{key}" in keys:
                        result.tuning.pop(name, None)
                    keys.pop(f"{section}.{key}", None)
            elif section in models:
                result.models.setdefault(section, {})[key] = value
                result.tuning.pop(section, None)
            else:
                raise unknown_name("section in --set", section, ("data", "train", *models))
        return result


def read_settings(path: Path, models: tuple[str, ...]) -> Settings:
    """Settings of a YAML file with the sections data, train and one per model; or of one that a sweep made.

    The latter has the section `tuning` and that of one model.
    """
    content = read_yaml(path, "config file")
    if not isinstance(content, dict) or not all(isinstance(section, dict) for section in content.values()):
        raise UserError(f"config file {path} must hold sections such as 'train:' with keys below them")
    sweep = content.pop("tuning", None)
    for section in content:
        if section not in ("data", "train", *models):
            raise unknown_name(f"section in {path}", str(section), ("data", "train", *models))
    own = {name: keys for name, keys in content.items() if name not in ("data", "train")}
    if sweep is None:
        return Settings(content.get("data", {}), content.get("train", {}), own)
    if len(own) != 1 or own.keys() != content.keys():
        raise UserError(f"config file {path}: beside 'tuning' there is the section of one model, which the sweep tuned, alone")
    return Settings(models=own, tuning=dict.fromkeys(own, from_dict(Tuning, sweep, f"config file {path}: tuning")))


OWN_DATA = ("negatives", "negative_rate")
"""Data settings that a model may have for itself: how its training negatives are drawn. All others decide what every model sees
and is asked."""


def resolve(info: ModelInfo, settings: Settings) -> Experiment:
    """The experiment of one model: defaults, then the model card, then what the user asked for.

    A setting of training for all models reaches those alone that read it: one that changed nothing would make a cell of its own,
    with the numbers of another.
    """
    model = info.name
    own = settings.models.get(model, {})
    own_train = {key.removeprefix("train."): value for key, value in own.items() if key.startswith("train.")}
    own_data = {key.removeprefix("data."): value for key, value in own.items() if key.startswith("data.")}
    own_params = {key: value for key, value in own.items() if not key.startswith(("train.", "data."))}
    if shared := sorted(own_data.keys() - set(OWN_DATA)):
        raise UserError(f"{model}.data.{shared[0]} cannot be one model's own; write --set data.{shared[0]} for all of them")
    data = from_dict(DataConfig, {**settings.data, **own_data}, "data")
    for key in own_train:
        if reason := info.ignores(key, data.supervision):
            raise UserError(f"{model}.train.{key} does nothing: {reason}")
    train = from_dict(TrainConfig, dict(info.train), f"the card of {model}")
    from_dict(TrainConfig, settings.train, "train", train)
    heard = {key: value for key, value in settings.train.items() if not info.ignores(key, data.supervision)}
    train = from_dict(TrainConfig, {**heard, **own_train}, "train", train)
    return Experiment(model, data, train, from_dict(info.config, own_params, model))
