"""Publishing a port: the checks before anything is paid, and the push."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hret_agents.card import OPEN_LICENCES
from hret_agents.job import PortJob
from hret_agents.source import Source
from llm_eval.dataset.spec import MANIFEST
from llm_eval.errors import AuthError, HretError, UserError

WRITERS = ("admin", "write", "contributor")
PUBLISHED = ("README.md", "dataset.py", "port.json", "plan.yaml", "checks.jsonl", "failed.jsonl")


def api(job: PortJob) -> Any:
    """The Hub's client with the job's token."""
    from huggingface_hub import HfApi

    return HfApi(token=job.hf_token.reveal() if job.hf_token else None)


def may_push(job: PortJob, source: Source, slug: str) -> str:
    """The repo that a port will be pushed to, after asking whether it may.

    Raises:
        AuthError: no token, a refused one, or no right to write there.
        UserError: the licence forbids it, or the repo's name is none.
    """
    licence_allows(job, source)
    if job.hf_token is None:
        raise AuthError(
            "--push needs a Hugging Face token", hint="set HF_TOKEN (a token that may write)"
        )
    with push_errors("the Hub"):
        who = api(job).whoami()
    repo = job.repo_id or f"{who['name']}/{default_name(source, job, slug)}"
    valid_repo(repo)
    owner = repo.split("/")[0]
    roles = {org["name"]: org.get("roleInOrg", "") for org in who.get("orgs", [])}
    roles[who["name"]] = "admin"
    token_role = ((who.get("auth") or {}).get("accessToken") or {}).get("role", "write")
    if token_role == "read":
        raise AuthError("this Hugging Face token may only read", hint="make one that may write")
    if roles.get(owner) not in WRITERS:
        raise AuthError(
            f"{who['name']} may not write to {owner} on the Hub",
            hint=f"pass --repo-id {who['name']}/NAME, or use a token with rights there",
        )
    _not_somebody_elses(job, repo, source)
    return repo


def _not_somebody_elses(job: PortJob, repo: str, source: Source) -> None:
    """A push replaces `data/`: a repo that holds anything but a port of this source is spared."""
    from huggingface_hub.errors import RepositoryNotFoundError

    hub = api(job)
    with push_errors(repo):
        try:
            there = hub.list_repo_files(repo, repo_type="dataset")
        except RepositoryNotFoundError:
            return
        if not set(there) - {".gitattributes", "README.md"}:
            return
        if MANIFEST in there:
            text = Path(hub.hf_hub_download(repo, MANIFEST, repo_type="dataset")).read_text("utf-8")
            if json.loads(text).get("source") == source.name:
                return
    raise UserError(
        f"{repo} exists and holds something else than a port of {source.name}",
        hint="pass another name by --repo-id",
    )


def default_name(source: Source, job: PortJob, slug: str) -> str:
    """The repo's own name: the source's, the one subset if one was named, and the language."""
    parts = [source.name.rsplit("/", 1)[-1] if not source.local else source.stem]
    if len(source.data) == 1 and job.subsets:
        parts.append(next(iter(source.data)))
    return "-".join([*parts, job.target_lang]).replace(" ", "_")


def valid_repo(repo: str) -> None:
    """A `UserError` unless `repo` is OWNER/NAME as the Hub allows it."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(repo)
    except HFValidationError as e:
        raise UserError(
            f"{repo!r} is no name for a repo: {' '.join(str(e).split())}",
            hint="--repo-id OWNER/NAME",
        ) from None
    if repo.count("/") != 1:
        raise UserError(f"{repo!r} is no name for a repo", hint="--repo-id OWNER/NAME")


def licence_allows(job: PortJob, source: Source) -> None:
    """Derived works must be allowed: an unknown or no-derivatives licence stops a push."""
    licence = source.licence
    if job.accept_license or licence in OPEN_LICENCES:
        return
    said = (
        f"the licence of {source.name} is {licence!r}"
        if licence
        else f"{source.name} names no licence"
    )
    raise UserError(
        f"{said}: a translation of it may not be yours to publish",
        hint="if you may publish it, say so by --accept-license; or port without --push",
    )


def push(job: PortJob, folder: Path, repo: str) -> str:
    """Upload a port; the repo's address. Nothing changed means no commit."""
    hub = api(job)
    allowed = [*PUBLISHED, "data/**"]
    with push_errors(repo):
        hub.create_repo(repo, repo_type="dataset", private=not job.public, exist_ok=True)
        hub.upload_folder(
            repo_id=repo,
            repo_type="dataset",
            folder_path=folder,
            allow_patterns=allowed,
            delete_patterns=["data/**"],
            commit_message="Port by HRET Agents",
        )
    return f"{hub.endpoint}/datasets/{repo}"


@contextmanager
def push_errors(what: str) -> Iterator[None]:
    """What the Hub's client raises on a push, as sentences. The port itself is saved by then."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except HretError:
        raise
    except HfHubHTTPError as e:
        status = e.response.status_code if e.response is not None else 0
        if status in (401, 403):
            raise AuthError(
                f"the Hub refused to write to {what} ({status})",
                hint="check HF_TOKEN and its rights",
            ) from None
        raise UserError(
            f"the Hub answered {status} for {what}",
            hint="run the same command again: nothing is paid twice",
        ) from None
    except OSError as e:
        raise UserError(
            f"the Hub could not be reached: {type(e).__name__}",
            hint="check the connection and HF_ENDPOINT, and run the same command again",
        ) from None
    except (
        Exception
    ) as e:  # its HTTP library differs between releases, and so do its network errors
        if "connect" not in f"{type(e).__name__} {e}".lower():
            raise
        raise UserError(
            "the Hub could not be reached",
            hint="check the connection and HF_ENDPOINT, and run it again",
        ) from None
