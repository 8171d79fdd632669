"""The state behind the fake Hugging Face Hub: users, repositories, commits and refs. No HTTP here.

What may not be done is `Refused` with the status, code and sentence of the real Hub, because the
clients tell their own exception types apart by exactly these.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatch
from typing import Any, Literal

import yaml

RepoType = Literal["model", "dataset", "space"]
TokenRole = Literal["read", "write"]
OrgRole = Literal["read", "contributor", "write", "admin"]
Gate = Literal[False, "auto", "manual"]

MAIN = "refs/heads/main"
WEB_PREFIX: Mapping[RepoType, str] = {"model": "", "dataset": "datasets/", "space": "spaces/"}
LFS_ENDINGS = "arrow bin bz2 ckpt gz jpg msgpack npy onnx parquet pickle png pt safetensors zip zst"
GIT_ATTRIBUTES = "".join(
    f"*.{end} filter=lfs diff=lfs merge=lfs -text\n" for end in LFS_ENDINGS.split()
)
FRONT_MATTER = re.compile(r"\s*---[ \t]*\r?\n(.*?\n)??---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
LICENSES = frozenset(
    """apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0
    bigcode-openrail-m afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear
    c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0
    cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0
    cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl
    ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1
    lgpl-3.0 isc lppl-1.3c ms-pl mpl-2.0 odc-by odbl openrail++ osl-3.0 postgresql ofl-1.1 ncsa
    unlicense zlib pddl lgpl-lr deepfloyd-if-license llama2 gemma unknown other""".split()
)
"""The ids of licences that a card may name."""
TAGGED = ("license", "language", "task_categories", "task_ids", "size_categories")


def now() -> str:
    """The time as the Hub writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class Refused(Exception):
    """The Hub's answer when something may not or cannot be done."""

    def __init__(
        self, status: int, message: str, *, code: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class User:
    """Who a token speaks for, and how far it goes."""

    name: str
    role: TokenRole
    orgs: Mapping[str, OrgRole]


@dataclass(frozen=True, slots=True)
class Blob:
    """One version of one file."""

    data: bytes
    oid: str
    """git's name for the blob; for a file in LFS, the name of its pointer file."""
    pointer: bytes = b""
    """The pointer file that git holds in its place; empty for a regular file."""
    sha256: str = ""
    """The LFS object's name; empty for a regular file."""

    @classmethod
    def regular(cls, data: bytes) -> Blob:
        return cls(data, _git_oid(data))

    @classmethod
    def large(cls, data: bytes) -> Blob:
        sha = hashlib.sha256(data).hexdigest()
        text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha}\nsize {len(data)}\n"
        return cls(data, _git_oid(text.encode()), text.encode(), sha)

    @property
    def name(self) -> str:
        """What a client compares its local file with, and the ETag it is served under."""
        return self.sha256 or self.oid


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A whole tree, and how it came about."""

    oid: str
    parent: str | None
    title: str
    message: str
    author: str
    date: str
    files: Mapping[str, Blob]

    def listing(self, folder: str = "", *, recursive: bool = False) -> dict[str, Blob | None]:
        """Paths under `folder`, sorted; `None` stands for a directory."""
        prefix = f"{folder}/" if folder else ""
        found: dict[str, Blob | None] = {}
        for path, blob in self.files.items():
            if not path.startswith(prefix):
                continue
            *parents, _ = path[len(prefix) :].split("/")
            for depth in range(1, len(parents) + 1 if recursive else min(len(parents), 1) + 1):
                found[prefix + "/".join(parents[:depth])] = None
            if recursive or not parents:
                found[path] = blob
        return dict(sorted(found.items()))

    def card(self) -> dict[str, Any]:
        """The metadata on top of README.md; empty where there is none that can be read."""
        readme = self.files.get("README.md")
        try:
            found = front_matter(readme.data.decode()) if readme else None
        except (yaml.YAMLError, UnicodeDecodeError):
            return {}
        return found if isinstance(found, dict) else {}

    def wants_lfs(self, path: str) -> bool:
        """Whether .gitattributes sends this path to LFS."""
        attributes = self.files.get(".gitattributes")
        for line in attributes.data.decode().splitlines() if attributes else ():
            pattern, *settings = line.split() or [""]
            if "filter=lfs" in settings:
                if fnmatch(path if "/" in pattern else path.rpartition("/")[2], pattern):
                    return True
        return False


@dataclass(frozen=True, slots=True)
class Pull:
    """A pull request; its commits are on `refs/pr/<number>`."""

    number: int
    title: str
    author: str
    base: str
    created: str
    status: Literal["open", "merged"] = "open"


@dataclass(slots=True, kw_only=True)
class Repo:
    """A repository. Refs go by their full names, so a branch and a tag may share a short one."""

    type: RepoType
    id: str
    creator: str
    private: bool = False
    gated: Gate = False
    granted: set[str] = field(default_factory=set)
    """Who may read the files while the repository is gated. Nobody else may, owners included."""
    sdk: str | None = None
    created: str = field(default_factory=now)
    history: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    pulls: list[Pull] = field(default_factory=list)
    lfs: dict[str, bytes] = field(default_factory=dict)
    """LFS objects by SHA-256: uploaded here, whether a commit names them yet or not."""

    @property
    def namespace(self) -> str:
        return self.id.partition("/")[0]

    @property
    def web_path(self) -> str:
        return WEB_PREFIX[self.type] + self.id

    def find(self, revision: str) -> Commit:
        """The commit that a branch, a tag, a full ref name or (the start of) an oid stands for."""
        for prefix in ("refs/heads/", "refs/tags/", ""):
            if oid := self.refs.get(prefix + revision):
                return self.history[oid]
        for oid, commit in self.history.items():
            if len(revision) >= 7 and oid.startswith(revision):
                return commit
        raise Refused(404, f"Invalid rev id: {revision}", code="RevisionNotFound")

    def writable_ref(self, revision: str) -> str:
        """The full name of the ref that a commit to `revision` moves: a branch, a pull request."""
        for ref in (f"refs/heads/{revision}", revision):
            if ref in self.refs and not ref.startswith("refs/tags/"):
                return ref
        raise Refused(404, f"Invalid rev id: {revision}", code="RevisionNotFound")

    def commit(
        self,
        ref: str,
        files: Mapping[str, Blob],
        *,
        title: str,
        author: str,
        message: str = "",
        parent: str | None,
    ) -> Commit:
        """Put a tree on top of `parent` and point `ref` at it."""
        tree = {path: blob.oid for path, blob in sorted(files.items())}
        seed = json.dumps([self.id, parent, title, message, len(self.history), tree])
        commit = Commit(
            oid=hashlib.sha1(seed.encode()).hexdigest(),
            parent=parent,
            title=title,
            message=message,
            author=author,
            date=now(),
            files=files,
        )
        self.history[commit.oid] = commit
        self.refs[ref] = commit.oid
        return commit

    def log(self, commit: Commit) -> Iterator[Commit]:
        """`commit` and its ancestors, newest first."""
        yield commit
        while commit.parent:
            commit = self.history[commit.parent]
            yield commit

    def last_touched(self, commit: Commit, path: str) -> Commit:
        """The commit that gave a file, or a directory, the content that it has in `commit`."""

        def content(at: Commit) -> dict[str, str]:
            inside = f"{path}/"
            return {p: b.oid for p, b in at.files.items() if p == path or p.startswith(inside)}

        wanted, last = content(commit), commit
        for older in self.log(commit):
            if content(older) != wanted:
                break
            last = older
        return last

    def add_lfs(self, oid: str, data: bytes) -> None:
        """Keep an uploaded LFS object, if it is what it claims to be."""
        if hashlib.sha256(data).hexdigest() != oid:
            raise Refused(400, "The uploaded content does not match its SHA-256")
        self.lfs[oid] = data


@dataclass(slots=True, kw_only=True)
class Hub:
    """Every user and repository, and who may do what."""

    url: str = ""
    lfs_min: int
    multipart_min: int
    chunk_size: int
    users: dict[str, User] = field(default_factory=dict)
    repos: dict[tuple[RepoType, str], Repo] = field(default_factory=dict)
    parts: dict[tuple[str, str], dict[int, bytes]] = field(default_factory=dict)
    """Parts of unfinished multipart uploads, by repository and LFS object."""

    def who(self, token: str | None) -> User | None:
        """The user a token speaks for; `None` without one."""
        if token is None:
            return None
        if token not in self.users:
            raise Refused(401, "Invalid credentials in Authorization header")
        return self.users[token]

    def open(self, type: RepoType, repo_id: str, user: User | None) -> Repo:
        """A repository this user may see. One that is hidden looks like one that is missing."""
        repo = self.repos.get((type, repo_id))
        if repo and (not repo.private or (user and user.name == repo.namespace)):
            return repo
        if repo and user and repo.namespace in user.orgs:
            return repo
        if user is None:
            raise unauthenticated()
        raise Refused(404, "Repository not found", code="RepoNotFound")

    def check_files(self, repo: Repo, user: User | None) -> None:
        """Refuse the files of a gated repository to whoever was not let in."""
        if not repo.gated or (user and user.name in repo.granted):
            return
        what = f"Access to {repo.type} {repo.id} is restricted"
        if user is None:
            raise Refused(401, f"{what}. Please log in.", code="GatedRepo")
        raise Refused(403, f"{what} and you are not in the authorized list.", code="GatedRepo")

    def check_token(self, user: User | None) -> User:
        """Refuse whoever came with no token, or with one that only reads."""
        if user is None:
            raise unauthenticated()
        if user.role != "write":
            raise Refused(403, "Forbidden: you must use a write token to upload to a repository.")
        return user

    def check_write(self, repo: Repo, user: User | None) -> User:
        """Refuse a change to `repo` that is not a pull request."""
        user = self.check_token(user)
        role = user.orgs.get(repo.namespace)
        own = repo.namespace == user.name or (role == "contributor" and repo.creator == user.name)
        if own or role in ("write", "admin"):
            return user
        hint = "pass `create_pr=1` as a query parameter to create a Pull Request"
        raise Refused(403, f"Forbidden: {hint}")

    def check_create(self, type: RepoType, namespace: str, user: User | None) -> User:
        """Refuse a new repository in a namespace that this user or token may not create in."""
        if user is None:
            raise unauthenticated()
        allowed = namespace == user.name or user.orgs.get(namespace, "read") != "read"
        if user.role != "write" or not allowed:
            what = f'create a {type} under the namespace "{namespace}"'
            raise Refused(403, f"You don't have the rights to {what}")
        return user

    def create(self, repo: Repo) -> Repo:
        """Add a repository with the first commit that every repository has."""
        self.repos[repo.type, repo.id] = repo
        files = {".gitattributes": Blob.regular(GIT_ATTRIBUTES.encode())}
        repo.commit(MAIN, files, title="initial commit", author=repo.creator, parent=None)
        return repo

    def blob(self, commit: Commit, path: str, data: bytes) -> Blob:
        """`data` stored the way the Hub would store it at `path`."""
        return Blob.large(data) if self.is_large(commit, path, len(data)) else Blob.regular(data)

    def is_large(self, commit: Commit, path: str, size: int) -> bool:
        return size > 0 and (size >= self.lfs_min or commit.wants_lfs(path))


def unauthenticated() -> Refused:
    """What the Hub says to a request without a token.

    The clients read any 401 of a repository's address as "not found", but only under https; the
    code makes them do so over plain http too.
    """
    return Refused(401, "Invalid username or password.", code="RepoNotFound")


def front_matter(text: str) -> Any:
    """The YAML between the dashes on top of a README; `None` without any."""
    match = FRONT_MATTER.match(text)
    return yaml.safe_load(match[1] or "") if match else None


def card_tags(card: Mapping[str, Any]) -> list[str]:
    """The tags that the Hub derives from a card (`license:mit`), and the card's own."""
    found = []
    for key in TAGGED:
        values = card.get(key) or []
        found += [f"{key}:{value}" for value in (values if isinstance(values, list) else [values])]
    return [*found, *map(str, card.get("tags") or []), "region:us"]


def _git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
