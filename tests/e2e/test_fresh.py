"""From nothing: `make demo` in a copy of the repo, and the wheel in an environment of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.conftest import ROOT, child_environment

pytestmark = pytest.mark.fresh


def sources(target: Path) -> Path:
    """A copy of what git knows of the repo, and of nothing else."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def installing(home: Path) -> dict[str, str]:
    """The environment of an installation: this is the one thing that may reach a package index."""
    kept = {k: v for k, v in os.environ.items() if k.startswith(("PIP_", "UV_", "SSL_"))}
    bare = {"PATH": os.environ["PATH"], "HOME": str(Path.home()), "LANG": "C.UTF-8"}
    return bare | kept | {"HRET_HOME": str(home), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def run(*command: str, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, timeout=900, check=False
    )


def test_make_demo_on_a_bare_machine(tmp_path: Path) -> None:
    """`make demo` alone installs, ports every row of the sample, and scores the baselines on it."""
    repo = sources(tmp_path / "repo")
    assert not (repo / ".venv").exists()
    done = run("make", "demo", cwd=repo, env=installing(tmp_path / "home"))
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout
    assert "36 of 36 passed, 0 failed" in said
    accuracy = {m[1]: float(m[2]) for m in re.finditer(r"accuracy of (\w+) +([\d.]+)", said)}
    assert accuracy["oracle"] == 1.0
    # chance is 9 of 36; four standard errors of a binomial on either side
    assert abs(accuracy["random"] - 0.25) < 4 * (0.25 * 0.75 / 36) ** 0.5
    assert accuracy["first"] == 0.25
    paths = [Path(p) for p in re.findall(r"^\w+ +(/\S+)$", said, re.MULTILINE)]
    assert len(paths) == 8
    assert all(p.exists() and p.is_relative_to(repo) for p in paths)


def test_the_wheel_ports_and_evaluates_outside_the_checkout(tmp_path: Path) -> None:
    """The wheel, in an empty environment, ports and evaluates the sample; nothing stray."""
    repo = sources(tmp_path / "repo")
    env = installing(tmp_path / "home")
    built = run(
        sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), ".",
        cwd=repo, env=env,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    done = run(
        str(python), "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt"), str(wheel),
        cwd=tmp_path, env=env,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    outside = tmp_path / "outside"
    outside.mkdir()
    alone = child_environment(tmp_path / "home")
    hret = str(tmp_path / "env" / "bin" / "hret")
    done = run(hret, "port", "--dataset", "sample", "--json", cwd=outside, env=alone)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["rows"]["passed"], result["rows"]["total"]) == (36, 36)
    done = run(
        hret, "eval", "--model", "oracle", "--dataset", "sample", "--json", cwd=outside, env=alone
    )
    assert json.loads(done.stdout)["metrics"]["accuracy"] == 1.0, done.stderr
    site = next((tmp_path / "env" / "lib").glob("python*/site-packages"))
    for stray in ("config", "prompts", "tests", "src", "examples"):
        assert not (site / stray).exists()
    assert (site / "llm_eval" / "_prompts" / "translate.j2").is_file()
