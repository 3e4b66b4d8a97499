"""deepctr-torch's networks under our inputs: the same scores as the library's own path where that path is right."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from rankbench.baselines import autoint, dcnv2, deepfm, fibinet, widedeep, xdeepfm
from rankbench.baselines._deepctr import DeepCTR, library
from rankbench.bench.contract import DataSpec, Field, History, ModelInfo, PointwiseBatch
from rankbench.kernels.layers.embedding import FieldEmbeddings

CARDS = (deepfm.INFO, dcnv2.INFO, widedeep.INFO, xdeepfm.INFO, autoint.INFO, fibinet.INFO)
DIM, LONGEST = 4, 5
SPEC = DataSpec(
    user=(Field("user", 9), Field("age", 5)),
    item=(Field("item", 11), Field("year", 6)),
    context=(Field("tab", 4),),
    action=Field("action", 6),
    history_length=LONGEST,
    longest_segment=5 * LONGEST,
    time="none",
    gap_buckets=72,
    positive_rate=0.3,
)
EXAMPLE, EVENT = ("user", "age", "item", "year", "tab"), ("item", "year", "tab")
SIZES = {field.name: field.size for field in (*SPEC.user, *SPEC.item, *SPEC.context)}


def options(info: ModelInfo) -> dict[str, Any]:
    """What the library's class is called with outside the adapter."""
    own = {
        "dcnv2": {"cross_num": 3, "cross_parameterization": "matrix"},
        "xdeepfm": {"cin_layer_size": (32, 32), "cin_activation": "linear"},
        "fibinet": {"bilinear_type": "each"},
    }
    return {"dnn_hidden_units": (200, 80), "task": "binary", **own.get(info.name, {})}


def weight(embeddings: FieldEmbeddings, name: str) -> Tensor:
    table = embeddings.tables[embeddings.index[name]].weight
    assert isinstance(table, Tensor)
    return table


def random_batch(n: int, longest: int) -> PointwiseBatch:
    lengths = torch.randint(0, longest + 1, (n,))
    events = int(lengths.sum())
    history = History(
        offsets=torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)]),
        fields={name: torch.randint(2, SIZES[name], (events,)) for name in EVENT},
        action=torch.randint(2, 6, (events,)),
        label=torch.randint(0, 2, (events,)).float(),
        gap=None,
    )
    fields = {name: torch.randint(1, SIZES[name], (n,)) for name in EXAMPLE}
    return PointwiseBatch(torch.arange(n), torch.zeros(n), dict(fields), history, key=torch.arange(n))


def ours(info: ModelInfo) -> DeepCTR:
    """Our model with random weights everywhere."""
    model = info.build(info.config(user_id="embedding", embedding_dim=DIM), SPEC)
    assert isinstance(model, DeepCTR)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    return model.eval()


def theirs(info: ModelInfo, model: DeepCTR) -> tuple[Any, list[str]]:
    """The library's own class with our weights, and the names of its history columns in our order.

    Pools become variable-length columns with mean pooling and a length column. Their tables are copies of the example's: the
    library takes the number of tables for the number of fields, so that its CIN and others fail where columns share one.
    """
    SparseFeat, VarLenSparseFeat = library.inputs.SparseFeat, library.inputs.VarLenSparseFeat
    sparse = [SparseFeat(name, SIZES[name], DIM) for name in EXAMPLE]
    pools = [(f"{name}_{label}", name, SIZES[name]) for label in (0, 1) for name in EVENT] + [("outcomes", "outcomes", 12)]
    varlen = [VarLenSparseFeat(SparseFeat(pool, size, DIM), LONGEST, "mean", f"{pool}_length") for pool, _, size in pools]
    network = getattr(library.models, options_class(info))(sparse, sparse + varlen, **options(info))
    for name in EXAMPLE:
        network.embedding_dict[name].weight.data.copy_(weight(model.inputs.embeddings, name))
        network.linear_model.embedding_dict[name].weight.data.copy_(weight(model.linear, name))
    for pool, name, _ in pools[:-1]:
        network.embedding_dict[pool].weight.data.copy_(weight(model.inputs.embeddings, name))
    outcome = model.inputs.outcomes.tables
    pairs = weight(outcome, "action").unsqueeze(1) + weight(outcome, "label")[2:]
    network.embedding_dict["outcomes"].weight.data.copy_(pairs.flatten(0, 1))
    missing = network.load_state_dict(model.network.state_dict(), strict=False)
    assert not missing.unexpected_keys and all("embedding_dict" in key or "bilinear" in key for key in missing.missing_keys)
    return network.eval(), [pool for pool, _, _ in pools]


def options_class(info: ModelInfo) -> str:
    return {
        "deepfm": "DeepFM",
        "dcnv2": "DCN",
        "widedeep": "WDL",
        "xdeepfm": "xDeepFM",
        "autoint": "AutoInt",
        "fibinet": "FiBiNET",
    }[info.name]


def matrix(network: Any, batch: PointwiseBatch, pools: list[str]) -> Tensor:
    """The library's float32 matrix of ids."""
    past, x = batch.history, torch.zeros(len(batch), max(end for _, end in network.feature_index.values()))
    for name in EXAMPLE:
        x[:, network.feature_index[name][0]] = batch.fields[name].float()  # type: ignore[union-attr]
    for row in range(len(batch)):
        events = list(range(int(past.offsets[row]), int(past.offsets[row + 1])))
        for pool in pools:
            if pool == "outcomes":
                values = [int(2 * past.action[e] + past.label[e]) for e in events]
            else:
                name, label = pool.rsplit("_", 1)
                values = [int(past.fields[name][e]) for e in events if past.label[e] == int(label)]  # type: ignore[index]
            start = network.feature_index[pool][0]
            x[row, start : start + len(values)] = torch.tensor(values, dtype=torch.float32)
            x[row, network.feature_index[f"{pool}_length"][0]] = len(values)
    return x


@pytest.mark.parametrize("longest", [0, LONGEST], ids=["no-history", "history"])
@pytest.mark.parametrize("info", CARDS, ids=lambda info: info.name)
def test_scores_equal_the_library_fed_through_its_own_matrix(info: ModelInfo, longest: int) -> None:
    torch.manual_seed(0)
    model, batch = ours(info), random_batch(50, longest)
    network, pools = theirs(info, model)
    with torch.inference_mode():
        expected, probability = network(matrix(network, batch, pools)).squeeze(1), model(batch).sigmoid()
    assert expected.std() > 0.01
    assert torch.allclose(probability, expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["all", "each", "interaction"])
def test_bilinear_pairs_equal_the_library_s_loop(kind: Literal["all", "each", "interaction"]) -> None:
    layer, x = fibinet.Bilinear(6, DIM, kind), torch.randn(5, 6, DIM)
    assert torch.allclose(layer(x), library.layers.BilinearInteraction.forward(layer, x), atol=1e-6)


def test_large_ids_collide_in_the_library_and_not_here() -> None:
    """float32 holds whole numbers up to 2**24 only."""
    size = 2**24 + 2
    spec = replace(SPEC, user=(Field("user", 3),), item=(Field("item", size),), context=())
    torch.manual_seed(0)
    model = deepfm.INFO.build(deepfm.Config(embedding_dim=1, hidden=(4,)), spec).eval()
    assert isinstance(model, DeepCTR)
    table, linear = weight(model.inputs.embeddings, "item"), weight(model.linear, "item")
    ids = torch.tensor([2**24, 2**24 + 1])
    with torch.no_grad():
        table[ids], linear[ids] = torch.tensor([[1.0], [-1.0]]), torch.tensor([[2.0], [-2.0]])
    past = History(torch.zeros(3, dtype=torch.long), {"item": ids[:0]}, ids[:0], torch.zeros(0), None)
    two = torch.arange(2)
    batch = PointwiseBatch(two, torch.zeros(2), {"user": torch.tensor([2, 2]), "item": ids}, past, key=two)
    here = model(batch)
    assert abs(here[0] - here[1]) > 1

    SparseFeat = library.inputs.SparseFeat
    columns = [SparseFeat("user", 3, 1), SparseFeat("item", 3, 1)]
    network = library.models.DeepFM(columns, columns, dnn_hidden_units=(4,))
    network.embedding_dict["item"] = nn.Embedding(size, 1, _weight=table)
    network.linear_model.embedding_dict["item"] = nn.Embedding(size, 1, _weight=linear)
    there = network.predict({"user": batch.fields["user"].numpy(), "item": ids.numpy()})  # type: ignore[union-attr]
    assert there[0] == there[1]


@pytest.mark.parametrize("info", [deepfm.INFO, dcnv2.INFO], ids=lambda info: info.name)
def test_nothing_of_the_library_s_tables_is_left(info: ModelInfo) -> None:
    model = info.build(info.config(user_id="embedding", embedding_dim=DIM), SPEC)
    assert isinstance(model, DeepCTR)
    embedded = sum(p.numel() for part in (model.inputs, model.linear) for p in part.parameters())
    width = model.inputs.fields * DIM
    mlp = width * 200 + 200 + 200 * 80 + 80
    network = {"deepfm": mlp + 80, "dcnv2": mlp + 3 * (width * width + width) + width + 80}[info.name] + 1
    assert sum(p.numel() for p in model.parameters()) == embedded + network


@pytest.mark.parametrize("info", [deepfm.INFO, dcnv2.INFO], ids=lambda info: info.name)
def test_hidden_layers_start_as_in_our_own_networks(info: ModelInfo) -> None:
    torch.manual_seed(0)
    model = info.build(info.config(), SPEC)
    assert isinstance(model, DeepCTR)
    for layer in model.network.dnn.linears:
        bound = layer.in_features**-0.5
        assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)


def test_building_leaves_the_generator_to_the_seed() -> None:
    """The library reseeds the generator with a constant when it builds a model."""

    def after(seed: int) -> Tensor:
        torch.manual_seed(seed)
        deepfm.INFO.build(deepfm.Config(), SPEC)
        return torch.rand(3)

    assert torch.equal(after(1), after(1)) and not torch.equal(after(1), after(2))


@pytest.mark.long
def test_import_prints_nothing_and_starts_no_thread() -> None:
    """In a fresh interpreter without `requests`, which the library does not declare."""
    code = (
        "import sys, threading; sys.modules['requests'] = None; started = threading.Thread.start;"
        "threading.Thread.start = lambda self: print('started', self) or started(self);"
        "from rankbench.baselines._deepctr import library; library.models.DeepFM;"
        "assert 'deepctr_torch.utils' not in sys.modules; assert threading.active_count() == 1"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=with_path())
    assert run.stdout == "" and run.stderr == ""


def with_path() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.mark.parametrize("info", CARDS, ids=lambda info: info.name)
def test_scoring_leaves_nothing_behind(
    info: ModelInfo, make_spec: Callable[..., DataSpec], make_batch: Callable[..., PointwiseBatch]
) -> None:
    spec = make_spec()
    model = info.build(info.config(), spec)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.eval()(make_batch(spec))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
