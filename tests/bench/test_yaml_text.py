"""Settings mean what their text says: no key twice, no key that is not text, no reference, and each fault with its line."""

from pathlib import Path

import pytest

from rankbench.bench.config import Settings, read_settings
from rankbench.bench.errors import UserError
from rankbench.bench.yaml_text import load_yaml, read_yaml

BOMB = "a: &a [1, 1]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(20))


def test_plain_settings_are_read_as_ever() -> None:
    text = "events: a.csv\ncolumns: {user: uid, item: 'x'}\nsizes: [1, 2.5, 1e-3, no, null]\n"
    assert load_yaml(text, "t") == {
        "events": "a.csv",
        "columns": {"user": "uid", "item": "x"},
        "sizes": [1, 2.5, 0.001, False, None],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "t, line 3: the key 'a' is there twice, first in line 1: keep one"),
        ("x:\n  - {a: 1, 'a': 2}\n", "t, line 2: the key 'a' is there twice"),
        ("train:\n  lr: 1\n  patience: 2\n  lr: 2\n", "t, line 4: the key 'lr' is there twice, first in line 2"),
        ("1: a\n", "t, line 1: the key '1' is not text for YAML: write it in quotes"),
        ("no: a\n", "the key 'no' is not text"),
        ("? [a]\n: b\n", "a key is a list or a mapping"),
        ("a: &x [1]\nb: *x\n", r"t, line 2: the reference \*x is not supported: write the value out"),
        ("a: &x {b: *x}\n", "the reference"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", "line 3: the reference|line 3: the key '<<' is not text"),
        (BOMB, "the reference"),
        ("a: [1,\n", "t cannot be read, line 2"),
        ("a: b: c\n", "t cannot be read, line 1: mapping values are not allowed here"),
        ("a: !!python/object:os.system x\n", "t cannot be read, line 1: could not determine a constructor"),
        ("[" * 5_000, "nested too deeply|cannot be read"),
        ("a: " + "9" * 5_000, "t cannot be read"),
        ("a: 2020-13-45\n", "t cannot be read: month must be in"),
        ("a: \x07\n", "t cannot be read"),
    ],
)
def test_what_would_mean_something_else_than_it_says_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_yaml(text, "t")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_files_are_named_with_their_kind(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    with pytest.raises(UserError, match=f"config file {path} does not exist"):
        read_yaml(path, "config file")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read: it is not UTF-8 text"):
        read_yaml(path, "config file")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read_yaml(tmp_path, "config file")
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_yaml(path, "config file") == {"a": 1}


def test_a_setting_that_stands_twice_in_a_config_file_or_an_assignment_is_refused(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("train: {lr: 1}\ndata: {}\ntrain: {lr: 2}\n")
    with pytest.raises(UserError, match="line 3: the key 'train' is there twice"):
        read_settings(tmp_path / "my.yaml", ("din",))
    with pytest.raises(UserError, match=r"--set din.x=\{a: 1, a: 2\}, line 1: the key 'a' is there twice"):
        Settings().changed(["din.x={a: 1, a: 2}"], ("din",))
    with pytest.raises(UserError, match=r"--set din.x=\[1 cannot be read"):
        Settings().changed(["din.x=[1"], ("din",))
