"""Publishing a port: the checks before anything is paid, and the push.

A push is one commit, made last: large files are uploaded before it, where an interrupted push finds
them again, and the repo shows the old port or the new one. It is refused if the repo has changed
while it ran. What is there already is not sent, and no difference means no commit.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hret_agents.card import OPEN_LICENCES
from hret_agents.job import PortJob
from hret_agents.source import Source
from hret_agents.steps.state import Port
from llm_eval.dataset.spec import MANIFEST, MODULE, Manifest
from llm_eval.errors import AuthError, HretError, UserError

log = logging.getLogger(__name__)
WRITERS = ("admin", "write", "contributor")
CARD = "README.md"
BESIDE = (MODULE, MANIFEST, "plan.yaml", "checks.jsonl", "failed.jsonl", "report.html")
MAIN = "main"
TITLE = "Port by HRET Agents"
_SIGNED = re.compile(r"\n*<!-- HRET Agents: ([0-9a-f]{64}) -->\s*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a port to be pushed says of itself.

    `repo` is the one that it was finished for, `name` its repo's own, if nobody names one.
    `revisions` are those of a file or folder here that it was ported from; None: of any.
    """

    source: str
    licence: str | None
    lang: str
    slug: str
    subsets: frozenset[str]
    name: str
    repo: str | None = None
    revisions: frozenset[str | None] | None = None

    @classmethod
    def of(cls, manifest: Manifest, known: Iterable[str] | None) -> Claim:
        """The claim of a finished port; `known` are earlier revisions of a source here."""
        lang = manifest.target_lang
        owner, _, name = manifest.source.rpartition("/")
        rest = manifest.slug.removesuffix(f"_{lang}")
        if owner:
            rest = name + rest.removeprefix(f"{owner}__{name}")
        return cls(
            source=manifest.source,
            licence=manifest.licence,
            lang=lang,
            slug=manifest.slug,
            subsets=frozenset(manifest.splits),
            name=f"{rest.replace('__', '-')}-{lang}",
            repo=manifest.repo,
            revisions=None if known is None else frozenset({manifest.revision, *known}),
        )


def api(job: PortJob) -> Any:
    """The Hub's client with the job's token."""
    from huggingface_hub import HfApi

    return HfApi(token=job.hf_token.reveal() if job.hf_token else None)


def may_push(port: Port, known: Iterable[str]) -> str:
    """`allowed` for a port that is not made yet; `known` are earlier revisions of its source."""
    source, job, old = port.source, port.job, port.old
    revisions = frozenset({source.revision, old.revision if old else None, *known})
    claim = Claim(
        source=source.name,
        licence=source.licence,
        lang=job.target_lang,
        slug=port.slug,
        subsets=frozenset(source.data),
        name=default_name(source, job),
        repo=old.repo if old else None,
        revisions=revisions if source.local else None,
    )
    return allowed(job, claim)


def allowed(job: PortJob, claim: Claim) -> str:
    """The repo that a port will be pushed to, after asking whether it may.

    Raises:
        AuthError: no token, a refused one, or no right to write there.
        UserError: the licence forbids it, the repo's name is none, or it holds something else.
    """
    licence_allows(job, claim)
    if job.create_pr and job.push_revision not in (None, MAIN):
        raise UserError(
            "a pull request is opened on the branch main",
            hint="leave out --create-pr, or the branch to push to",
        )
    if job.hf_token is None:
        raise AuthError(
            "--push needs a Hugging Face token", hint="set HF_TOKEN (a token that may write)"
        )
    hub = api(job)
    with push_errors("the Hub"):
        who = hub.whoami()
    repo = job.repo_id or claim.repo or f"{who['name']}/{claim.name}"
    valid_repo(repo)
    token_role = ((who.get("auth") or {}).get("accessToken") or {}).get("role", "write")
    if token_role == "read":
        raise AuthError("this Hugging Face token may only read", hint="make one that may write")
    there = _files(hub, repo, job.push_revision or MAIN)
    roles = {org["name"]: org.get("roleInOrg", "") for org in who.get("orgs", [])}
    roles[who["name"]] = "admin"
    owner = repo.split("/")[0]
    if roles.get(owner) not in WRITERS and not (job.create_pr and there is not None):
        raise AuthError(
            f"{who['name']} may not write to {owner} on the Hub",
            hint=f"pass --repo-id {who['name']}/NAME, or use a token with rights there",
        )
    if there is not None:
        _replaceable(hub, job, repo, there, claim)
    return repo


@dataclass(frozen=True, slots=True)
class _Head:
    """A revision of a repo as it stands: its commit and the files in it."""

    revision: str
    commit: str
    files: frozenset[str]
    private: bool


def _files(hub: Any, repo: str, revision: str) -> _Head | None:
    """What a revision holds, or main where there is no such branch yet; None: there is no repo."""
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    with push_errors(repo):
        try:
            info = hub.dataset_info(repo, revision=revision)
        except RepositoryNotFoundError:
            return None
        except RevisionNotFoundError:
            info = hub.dataset_info(repo)
    names = frozenset(sibling.rfilename for sibling in info.siblings or [])
    return _Head(revision, info.sha, names, bool(info.private))


def _replaceable(hub: Any, job: PortJob, repo: str, head: _Head, claim: Claim) -> None:
    """A push replaces `data/`: a repo that holds anything but this port's like is spared."""
    if not head.files - {".gitattributes", CARD}:
        return
    hint = "pass another name by --repo-id"
    if MANIFEST not in head.files:
        raise UserError(
            f"{repo} exists and holds something else than a port of {claim.source}", hint=hint
        )
    with push_errors(repo):
        path = hub.hf_hub_download(repo, MANIFEST, repo_type="dataset", revision=head.commit)
    try:
        held = json.loads(Path(path).read_text("utf-8"))
        source, lang, slug = held["source"], held["target_lang"], held["slug"]
        revision = held["revision"]
        lost = sorted(set(held["splits"]) - claim.subsets)
    except (ValueError, KeyError, TypeError):
        source, lang, slug, revision, lost = None, None, None, None, []
    if source != claim.source:
        raise UserError(
            f"{repo} exists and holds something else than a port of {claim.source}", hint=hint
        )
    if lang != claim.lang:
        raise UserError(f"{repo} exists and holds a port into {lang!r}", hint=hint)
    if slug != claim.slug and lost:
        raise UserError(
            f"{repo} exists and holds the port {slug}, with {', '.join(lost)}", hint=hint
        )
    if job.repo_id is None and claim.revisions is not None and revision not in claim.revisions:
        raise UserError(
            f"{repo} exists and holds a port of another {source}, or of this one as it was "
            "ported elsewhere",
            hint=f"{hint}; --repo-id {repo} replaces it",
        )


def default_name(source: Source, job: PortJob) -> str:
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


def licence_allows(job: PortJob, claim: Claim) -> None:
    """Derived works must be allowed: an unknown or no-derivatives licence stops a push."""
    licence = claim.licence
    said = [part.strip() for part in (licence or "").split(",")]
    if job.accept_license or set(said) <= OPEN_LICENCES:
        return
    told = (
        f"the licence of {claim.source} is {licence!r}"
        if licence
        else f"{claim.source} names no licence"
    )
    raise UserError(
        f"{told}: a translation of it may not be yours to publish",
        hint="if you may publish it, say so by --accept-license; or port without --push",
        caller_only=True,
    )


def push(port: Port, claim: Claim, repo: str, readme: str) -> str:
    """Upload a verified port, with `readme` for its card, in one commit; its address.

    Nothing changed means no commit and no pull request; an open one of ours is gone on with. A card
    that somebody has edited there stays as it is.

    Raises:
        UserError: the repo holds something else by now, was changed meanwhile, or the push broke
            off: what was uploaded is found again by the next one.
    """
    job, manifest = port.job, port.manifest
    assert manifest is not None
    hub = api(job)
    address = f"{hub.endpoint}/datasets/{repo}"
    with push_errors(repo):
        head = _head(hub, job, repo)
        _replaceable(hub, job, repo, head, claim)
        card = None if _edited(hub, repo, head) else signed(readme)
        opens = job.create_pr and head.revision == MAIN
        done = hub.create_commit(
            repo,
            _operations(port.folder, manifest, card, head.files),
            commit_message=TITLE,
            repo_type="dataset",
            revision=head.revision,
            parent_commit=head.commit,
            create_pr=opens,
        )
        if job.public and not job.create_pr and head.private:
            hub.update_repo_settings(repo, private=False, repo_type="dataset")
    if job.create_pr:
        number = head.revision.removeprefix("refs/pr/")
        return done.pr_url or (address if opens else f"{address}/discussions/{number}")
    return address if head.revision == MAIN else f"{address}/tree/{head.revision}"


def _head(hub: Any, job: PortJob, repo: str) -> _Head:
    """Where the commit goes, as it stands now; repo and branch are made if there are none."""
    wanted = job.push_revision or MAIN
    there = _files(hub, repo, wanted)
    if there is None:
        hub.create_repo(repo, repo_type="dataset", private=not job.public, exist_ok=True)
    if job.create_pr and (open_one := _pull_request(hub, repo)):
        wanted = open_one
    elif wanted != MAIN and not wanted.startswith("refs/"):
        refs = hub.list_repo_refs(repo, repo_type="dataset")
        if wanted not in {branch.name for branch in refs.branches}:
            if wanted in {tag.name for tag in refs.tags}:
                raise UserError(
                    f"{wanted!r} is a tag of {repo}, which stays what it is", hint="name a branch"
                )
            hub.create_branch(repo, branch=wanted, repo_type="dataset", exist_ok=True)
    info = hub.dataset_info(repo, revision=wanted)
    names = frozenset(sibling.rfilename for sibling in info.siblings or [])
    return _Head(wanted, info.sha, names, bool(info.private))


def _pull_request(hub: Any, repo: str) -> str | None:
    """The ref of our own open pull request with a port, the newest if there are several."""
    open_ones = hub.get_repo_discussions(
        repo,
        author=hub.whoami()["name"],
        discussion_type="pull_request",
        discussion_status="open",
        repo_type="dataset",
    )
    ours = [one.num for one in open_ones if one.title == TITLE and one.is_pull_request]
    return f"refs/pr/{max(ours)}" if ours else None


def signed(readme: str) -> str:
    """A card that tells by its end whether it was edited."""
    text = readme.rstrip()
    return f"{text}\n\n<!-- HRET Agents: {hashlib.sha256(text.encode()).hexdigest()} -->\n"


def _edited(hub: Any, repo: str, head: _Head) -> bool:
    """Has the card beside a port another text than a push of ours gave it? That is told."""
    if not {CARD, MANIFEST} <= head.files:
        return False
    path = hub.hf_hub_download(repo, CARD, repo_type="dataset", revision=head.commit)
    text = Path(path).read_text("utf-8", "replace")
    mark = _SIGNED.search(text)
    if mark and text == signed(text[: mark.start()]):
        return False
    log.warning(
        "the card of %s was edited there, so it stays as it is; delete %s there, and push again, "
        "to have a new one",
        repo,
        CARD,
    )
    return True


def _operations(
    folder: Path, manifest: Manifest, readme: str | None, there: frozenset[str]
) -> list[Any]:
    """What makes a repo hold this port: the port's files, and no file of an earlier one. What the
    user keeps beside them stays here, and so does what somebody keeps there outside of `data/`."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    data = [
        f"data/{subset}/{name}"
        for subset, splits in manifest.splits.items()
        for record in splits.values()
        for name in record.files
    ]
    ours = sorted(data) + [name for name in BESIDE if (folder / name).is_file()]
    gone = {p for p in there if p.startswith("data/") or p in BESIDE} - set(ours)
    return [
        *(CommitOperationDelete(path) for path in sorted(gone)),
        *(CommitOperationAdd(name, folder / name) for name in ours),
        *([CommitOperationAdd(CARD, readme.encode())] if readme is not None else []),
    ]


@contextmanager
def push_errors(what: str) -> Iterator[None]:
    """What the Hub's client raises on a push, as sentences. The port itself is saved by then."""
    from huggingface_hub.errors import HfHubHTTPError

    again = "run the same command again: what was uploaded is found there, nothing is paid twice"
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
        if status in (409, 412):
            raise UserError(
                f"{what} was changed by somebody else during the push, so nothing was written",
                hint=again,
                caller_only=True,
            ) from None
        raise UserError(
            f"the Hub answered {status} for {what}", hint=again, caller_only=True
        ) from None
    except (TypeError, AttributeError, LookupError, AssertionError, NameError):
        raise
    except Exception as e:  # its HTTP library differs between releases, and so do its errors
        root: BaseException = e
        while root.__cause__ or root.__context__:
            root = root.__cause__ or root.__context__ or root
        if "connect" in f"{type(root).__name__} {root}".lower():
            raise UserError(
                "the Hub could not be reached",
                hint="check the connection and HF_ENDPOINT, and run the same command again",
                caller_only=True,
            ) from None
        raise UserError(
            f"the push to {what} broke off ({type(root).__name__})", hint=again, caller_only=True
        ) from e
