"""Real clients of a fake Hub: in this process with the address given, or in one of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from tests.fakes.hub import HubServer

PRELUDE = """
import json

def error(call):
    try:
        call()
    except Exception as e:
        return [type(e).__name__, str(e)]

"""


def start(
    hub: HubServer, folder: Path, code: str, *, token: str | None = "hf_tester"
) -> subprocess.Popen[str]:
    """A process that works in `folder`. `code` leaves what it found in `answer`."""
    program = f"{PRELUDE}{dedent(code)}\nprint()\nprint(json.dumps(answer))"
    return subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=folder,
        env={**hub.env(folder / "hf", token=token), "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> Any:
    """The process's `answer`; its traceback, if it has none."""
    output, errors = process.communicate(timeout=50)
    assert process.returncode == 0, errors
    return json.loads(output.splitlines()[-1])


def child(hub: HubServer, folder: Path, code: str, *, token: str | None = "hf_tester") -> Any:
    return finish(start(hub, folder, code, token=token))


def as_user(hub: HubServer, name: str, **rights: Any) -> HfApi:
    """A client for a further user."""
    hub.add_user(name, token=f"hf_{name}", **rights)
    return HfApi(endpoint=hub.url, token=f"hf_{name}")


def upload(api: HfApi, repo_id: str = "org/qa", **options: Any) -> Any:
    settings: dict[str, Any] = {"path_in_repo": "a.txt", "path_or_fileobj": b"new"} | options
    return api.upload_file(repo_id=repo_id, repo_type="dataset", **settings)


def status(call: Callable[[], object], kind: type[HfHubHTTPError] = HfHubHTTPError) -> int:
    """The status that a call is refused with, as this exception and no finer one."""
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    return caught.value.response.status_code
