"""The multi-gate mixture against its equations, one label and one expert at a time, in float64."""

import pytest
import torch
from torch import Tensor, nn

from rankbench.kernels.layers.mixture import MultiGateMixture


def literal(mixture: MultiGateMixture, x: Tensor) -> Tensor:
    """Ma et al. 2018, equations 6 and 7."""
    hidden = mixture.expert.out_features // mixture.experts
    columns = []
    for label, tower in enumerate(mixture.towers):
        rows = []
        for row in x:
            gate = (mixture.gate.weight @ row + mixture.gate.bias)[label * mixture.experts : (label + 1) * mixture.experts]
            weight = gate.exp() / gate.exp().sum()
            mixed = torch.zeros(hidden, dtype=x.dtype)
            for at in range(mixture.experts):
                part = slice(at * hidden, (at + 1) * hidden)
                mixed = mixed + weight[at] * torch.relu(mixture.expert.weight[part] @ row + mixture.expert.bias[part])
            assert isinstance(tower, nn.Sequential)
            first, _, last = tower
            assert isinstance(first, nn.Linear) and isinstance(last, nn.Linear)
            rows.append(last.weight @ torch.relu(first.weight @ mixed + first.bias) + last.bias)
        columns.append(torch.cat(rows))
    return torch.stack(columns, dim=1)


@pytest.mark.parametrize(("experts", "rates"), [(1, (0.5,)), (3, (0.3,)), (5, (0.4, 0.01, 0.2))])
def test_the_mixture_is_its_equations(experts: int, rates: tuple[float, ...]) -> None:
    torch.manual_seed(experts)
    mixture = MultiGateMixture(7, experts, 6, rates, dropout=0.3).double().eval()
    x = torch.randn(5, 7, dtype=torch.float64, requires_grad=True)
    fast, slow = mixture(x), literal(mixture, x)
    torch.testing.assert_close(fast, slow, rtol=1e-10, atol=1e-12)
    weight = torch.randn_like(fast)
    inputs = (x, *mixture.parameters())
    for one, two in zip(
        torch.autograd.grad((fast * weight).sum(), inputs), torch.autograd.grad((slow * weight).sum(), inputs), strict=True
    ):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-12)


def test_each_label_starts_near_its_base_rate_and_no_rows_are_no_logits() -> None:
    mixture = MultiGateMixture(4, 2, 4, (0.5, 0.01), dropout=0.0)
    assert [tower[-1].bias.item() for tower in mixture.towers] == pytest.approx([0.0, -4.595], abs=1e-3)  # type: ignore[index]
    assert mixture(torch.zeros(0, 4)).shape == (0, 2)
