"""The page of models is what the registry says."""

from pathlib import Path

from rankbench.bench import registry
from rankbench.bench.reporting.model_cards import markdown

PAGE = Path(__file__).resolve().parents[3] / "docs" / "models.md"


def test_the_committed_page_is_up_to_date() -> None:
    assert PAGE.read_text() == markdown(), "make docs"


def test_the_page_holds_every_model_and_explains_every_shared_switch() -> None:
    text = markdown()
    assert all(f"\n## {name}\n" in text for name in registry.MODELS)
    section = text.partition("\n## hstu\n")[2].partition("\n## ")[0]
    assert "| `relative_bias` | `both` | none, position, time, both |" in section
    assert "credits" in section
