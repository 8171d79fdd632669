"""What the fake Hugging Face Hub answers: one function per address, each from `Ask` to `Reply`.

Accounts, repositories as a whole and their refs are here; what is in them is in `hub_files`.

Not served: Xet (clients set HF_HUB_DISABLE_XET=1), .gitignore on the server's side, paging,
buckets, jobs, webhooks, likes. An address that nobody serves is a loud 501, not a 404 that a
client could take for a missing file.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.message import Message
from typing import Any
from urllib.parse import unquote

import yaml

from tests.fakes.hub_store import (
    LICENSES,
    MAIN,
    Blob,
    Commit,
    Hub,
    Pull,
    Refused,
    Repo,
    RepoType,
    User,
    card_tags,
    front_matter,
)

KINDS: Mapping[str, RepoType] = {"models": "model", "datasets": "dataset", "spaces": "space"}
ID = r"(?P<id>[^/]+(?:/[^/]+)?)"
API = rf"/api/(?P<kind>models|datasets|spaces)/{ID}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request, read to its end."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Message
    body: bytes
    user: User | None = None
    args: Mapping[str, str] = field(default_factory=dict)
    """What the pattern of the address caught, unquoted."""

    def json(self) -> Any:
        return json.loads(self.body or b"{}")

    def flag(self, name: str) -> bool:
        return self.query.get(name, [""])[0].lower() in ("1", "true")


@dataclass(frozen=True, slots=True)
class Reply:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Hub, Ask], Reply]
ROUTES: list[tuple[str, re.Pattern[str], Handler]] = []


def route(method: str, pattern: str) -> Callable[[Handler], Handler]:
    """Serve an address. The first that matches wins, so the order of this file matters."""

    def register(handler: Handler) -> Handler:
        ROUTES.append((method, re.compile(pattern), handler))
        return handler

    return register


def answer(hub: Hub, ask: Ask) -> Reply:
    """The reply to one request; what is refused comes back the way the clients expect it."""
    try:
        scheme, _, token = ask.headers.get("Authorization", "").partition(" ")
        user = hub.who(token if scheme == "Bearer" else None)
        for method, pattern, handler in ROUTES:
            match = pattern.fullmatch(ask.path)
            if match and method == ask.method.replace("HEAD", "GET"):
                args = {name: unquote(text or "") for name, text in match.groupdict().items()}
                return handler(hub, replace(ask, user=user, args=args))
        raise Refused(501, f"The fake Hub does not serve {ask.method} {ask.path}")
    except Refused as no:
        headers = {"X-Error-Message": no.message, **no.headers}
        if no.code:
            headers["X-Error-Code"] = no.code
        return reply({"error": no.message}, status=no.status, headers=headers)


def reply(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    body = json.dumps(value, default=str).encode()
    return Reply(status, body, {"Content-Type": "application/json", **(headers or {})})


def opened(hub: Hub, ask: Ask) -> Repo:
    """The repository that the address names, if the asking user may see it."""
    return hub.open(KINDS[ask.args["kind"] or "models"], ask.args["id"], ask.user)


def opened_to_write(hub: Hub, ask: Ask) -> Repo:
    repo = opened(hub, ask)
    hub.check_write(repo, ask.user)
    return repo


# Accounts, and repositories as a whole


@route("GET", r"/api/whoami-v2")
def whoami(hub: Hub, ask: Ask) -> Reply:
    if ask.user is None:
        raise Refused(401, "Invalid username or password.")
    user = ask.user
    orgs = [{"type": "org", "name": n, "fullname": n, "roleInOrg": r} for n, r in user.orgs.items()]
    token = {"type": "access_token", "accessToken": {"displayName": "t", "role": user.role}}
    return reply(
        {"type": "user", "name": user.name, "fullname": user.name, "orgs": orgs, "auth": token}
    )


def _named(ask: Ask) -> tuple[RepoType, str]:
    """The repository that the body of create and delete names."""
    body = ask.json()
    namespace = body.get("organization") or (ask.user.name if ask.user else "")
    return body.get("type") or "model", f"{namespace}/{body['name']}"


@route("POST", r"/api/repos/create")
def create_repo(hub: Hub, ask: Ask) -> Reply:
    type, repo_id = _named(ask)
    user = hub.check_create(type, repo_id.partition("/")[0], ask.user)
    body = ask.json()
    private = bool(body.get("private")) or body.get("visibility") == "private"
    if old := hub.repos.get((type, repo_id)):
        message = f"You already created this {type} repo: {repo_id}"
        answer = {"error": message, "url": f"{hub.url}/{old.web_path}"}
        return reply(answer, status=409, headers={"X-Error-Message": message})
    sdk = body.get("sdk")
    repo = hub.create(Repo(type=type, id=repo_id, creator=user.name, private=private, sdk=sdk))
    return reply({"url": f"{hub.url}/{repo.web_path}", "name": repo.id, "private": private})


@route("DELETE", r"/api/repos/delete")
def delete_repo(hub: Hub, ask: Ask) -> Reply:
    repo = hub.open(*_named(ask), ask.user)
    hub.check_write(repo, ask.user)
    del hub.repos[repo.type, repo.id]
    return reply({})


@route("POST", r"/api/repos/move")
def move_repo(hub: Hub, ask: Ask) -> Reply:
    body = ask.json()
    type, target = body["type"], body["toRepo"]
    repo = hub.open(type, body["fromRepo"], ask.user)
    hub.check_write(repo, ask.user)
    hub.check_create(type, target.partition("/")[0], ask.user)
    if (type, target) in hub.repos:
        raise Refused(409, f"{target} already exists")
    del hub.repos[type, repo.id]
    repo.id = target
    hub.repos[type, target] = repo
    return reply({})


@route("POST", r"/api/validate-yaml")
def validate_yaml(hub: Hub, ask: Ask) -> Reply:
    try:
        metadata = front_matter(ask.json()["content"])
        problem = "" if isinstance(metadata, dict | None) else '"metadata" must be of type object'
    except yaml.YAMLError as e:
        metadata, problem = None, f"YAML metadata: {e}"
    if metadata and not problem and not _licences(metadata) <= LICENSES:
        problem = '"license" must be one of the ids in the documentation'
    if problem:
        return reply({"errors": [{"message": problem}], "warnings": []}, status=400)
    empty = [] if metadata else [{"message": "empty or missing yaml metadata in repo card"}]
    return reply({"errors": [], "warnings": empty})


def _licences(metadata: Mapping[str, Any]) -> set[str]:
    said = metadata.get("license") or []
    return set(said) if isinstance(said, list) else {said}


@route("GET", r"/api/(?P<kind>models|datasets|spaces)")
def list_repos(hub: Hub, ask: Ask) -> Reply:
    found = []
    for repo in hub.repos.values():
        if repo.type == KINDS[ask.args["kind"]] and _visible(hub, repo, ask.user):
            info = describe(repo, repo.find("main"), ask)
            if _wanted(info, ask.query):
                found.append(info)
    return reply(found)


def _visible(hub: Hub, repo: Repo, user: User | None) -> bool:
    try:
        hub.open(repo.type, repo.id, user)
    except Refused:
        return False
    return True


def _wanted(info: Mapping[str, Any], query: Mapping[str, list[str]]) -> bool:
    words = all(word.lower() in info["id"].lower() for word in query.get("search", []))
    author = query.get("author", [info["author"]])[0] == info["author"]
    return words and author and set(query.get("filter", [])) <= set(info["tags"])


# One repository: its settings and refs


@route("GET", rf"{API}/auth-check(?P<write>/write)?")
def auth_check(hub: Hub, ask: Ask) -> Reply:
    repo = opened_to_write(hub, ask) if ask.args["write"] else opened(hub, ask)
    hub.check_files(repo, ask.user)
    return reply({})


@route("PUT", rf"{API}/settings")
def settings(hub: Hub, ask: Ask) -> Reply:
    repo = opened(hub, ask)
    user = hub.check_write(repo, ask.user)
    body = ask.json()
    if "visibility" in body or "private" in body:
        repo.private = bool(body.get("private")) or body.get("visibility") == "private"
    if "gated" in body:
        repo.gated = body["gated"]
        repo.granted.add(user.name)
    return reply({"private": repo.private, "gated": repo.gated})


@route("GET", rf"{API}/refs")
def refs(hub: Hub, ask: Ask) -> Reply:
    repo = opened(hub, ask)

    def under(prefix: str) -> list[dict[str, str]]:
        return [
            {"name": ref.removeprefix(prefix), "ref": ref, "targetCommit": oid}
            for ref, oid in repo.refs.items()
            if ref.startswith(prefix)
        ]

    heads, tags, pulls = under("refs/heads/"), under("refs/tags/"), under("refs/pr/")
    return reply({"branches": heads, "tags": tags, "converts": [], "pullRequests": pulls})


def _new_ref(repo: Repo, ref: str, commit: Commit) -> Reply:
    if ref in repo.refs:
        raise Refused(409, "Reference already exists")
    repo.refs[ref] = commit.oid
    return reply({})


def _drop_ref(repo: Repo, ref: str) -> Reply:
    if ref == MAIN:
        raise Refused(403, "The branch main cannot be deleted")
    if ref not in repo.refs:
        raise Refused(404, f"Invalid rev id: {ref}", code="RevisionNotFound")
    del repo.refs[ref]
    return reply({})


@route("POST", rf"{API}/branch/(?P<name>[^/]+)")
def create_branch(hub: Hub, ask: Ask) -> Reply:
    repo = opened_to_write(hub, ask)
    start = repo.find(ask.json().get("startingPoint") or "main")
    return _new_ref(repo, f"refs/heads/{ask.args['name']}", start)


@route("DELETE", rf"{API}/branch/(?P<name>[^/]+)")
def delete_branch(hub: Hub, ask: Ask) -> Reply:
    return _drop_ref(opened_to_write(hub, ask), f"refs/heads/{ask.args['name']}")


@route("POST", rf"{API}/tag/(?P<rev>[^/]+)")
def create_tag(hub: Hub, ask: Ask) -> Reply:
    repo = opened_to_write(hub, ask)
    return _new_ref(repo, f"refs/tags/{ask.json()['tag']}", repo.find(ask.args["rev"]))


@route("DELETE", rf"{API}/tag/(?P<name>[^/]+)")
def delete_tag(hub: Hub, ask: Ask) -> Reply:
    return _drop_ref(opened_to_write(hub, ask), f"refs/tags/{ask.args['name']}")


@route("GET", rf"{API}/commits/(?P<rev>[^/]+)")
def commits(hub: Hub, ask: Ask) -> Reply:
    repo = opened(hub, ask)
    return reply(
        [
            {
                "id": commit.oid,
                "title": commit.title,
                "message": commit.message,
                "date": commit.date,
                "authors": [{"user": commit.author}],
            }
            for commit in repo.log(repo.find(ask.args["rev"]))
        ]
    )


@route("POST", rf"{API}/super-squash/(?P<rev>[^/]+)")
def super_squash(hub: Hub, ask: Ask) -> Reply:
    repo = opened(hub, ask)
    user = hub.check_write(repo, ask.user)
    ref, files = repo.writable_ref(ask.args["rev"]), repo.find(ask.args["rev"]).files
    repo.commit(ref, files, title=ask.json()["message"], author=user.name, parent=None)
    return reply({})


@route("GET", rf"{API}/discussions(?:/(?P<number>\d+))?")
def discussions(hub: Hub, ask: Ask) -> Reply:
    """The pull requests: there are no other discussions."""
    repo = opened(hub, ask)
    if number := ask.args["number"]:
        for pull in repo.pulls:
            if pull.number == int(number):
                rest = {"events": [], "changes": {"base": pull.base}, "filesWithConflicts": []}
                return reply(_discussion(repo, pull) | rest)
        raise Refused(404, "Discussion not found")
    author = ask.query.get("author", [None])[0]
    states = {"open": {"open"}, "closed": {"merged"}}
    wanted = states.get(ask.query.get("status", ["all"])[0], {"open", "merged"})
    wanted = set() if "discussion" in ask.query.get("type", []) else wanted
    found = [p for p in repo.pulls if p.status in wanted and author in (None, p.author)]
    items = [_discussion(repo, pull) for pull in found]
    return reply({"discussions": items, "count": len(items), "start": 0})


def _discussion(repo: Repo, pull: Pull) -> dict[str, Any]:
    return {
        "num": pull.number,
        "title": pull.title,
        "author": {"name": pull.author},
        "createdAt": pull.created,
        "status": pull.status,
        "isPullRequest": True,
        "repo": {"name": repo.id, "type": repo.type},
    }


@route("GET", rf"{API}(?:/revision/(?P<rev>[^/]+))?")
def info(hub: Hub, ask: Ask) -> Reply:
    repo = opened(hub, ask)
    return reply(describe(repo, repo.find(ask.args["rev"] or "main"), ask))


def describe(repo: Repo, commit: Commit, ask: Ask) -> dict[str, Any]:
    """A repository as its info page shows it, cut down to what `expand` asks for."""
    card = commit.card()
    whole = {
        "_id": hashlib.md5(f"{repo.type}/{repo.id}".encode()).hexdigest()[:24],
        "id": repo.id,
        "author": repo.namespace,
        "sha": commit.oid,
        "lastModified": commit.date,
        "createdAt": repo.created,
        "private": repo.private,
        "gated": repo.gated,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": card_tags(card),
        "cardData": card,
        "siblings": [_sibling(path, blob, ask) for path, blob in sorted(commit.files.items())],
    }
    if repo.type == "model":
        whole["modelId"] = repo.id
    if repo.type == "space":
        whole["sdk"] = repo.sdk
    wanted = set(ask.query.get("expand", []))
    return {k: v for k, v in whole.items() if not wanted or k in wanted | {"_id", "id"}}


def _sibling(path: str, blob: Blob, ask: Ask) -> dict[str, Any]:
    if not ask.flag("blobs"):
        return {"rfilename": path}
    entry: dict[str, Any] = {"rfilename": path, "size": len(blob.data), "blobId": blob.oid}
    if blob.sha256:
        pointer, size = len(blob.pointer), len(blob.data)
        entry["lfs"] = {"sha256": blob.sha256, "size": size, "pointerSize": pointer}
    return entry
