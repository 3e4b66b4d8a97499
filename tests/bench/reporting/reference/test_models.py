"""The page of models holds what the registry holds."""

from rankbench.bench import registry
from rankbench.bench.reporting.reference.models import page


def test_the_page_holds_every_model_and_explains_every_shared_switch() -> None:
    text = page()
    assert all(f"\n## {name}\n" in text for name in registry.MODELS)
    section = text.partition("\n## hstu\n")[2].partition("\n## ")[0]
    assert "| `relative_bias` | `both` | none, position, time, both |" in section
    assert "credits" in section
