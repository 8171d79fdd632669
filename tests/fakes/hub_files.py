"""What the fake Hugging Face Hub answers about files: listings, downloads, LFS uploads, commits."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from math import ceil
from typing import Any
from urllib.parse import parse_qs

from tests.fakes.hub_api import API, ID, KINDS, Ask, Reply, opened, reply, route
from tests.fakes.hub_store import Blob, Commit, Hub, Pull, Refused, Repo, User, now

WEB = rf"/(?:(?P<kind>datasets|spaces)/)?{ID}"
OBJECT = rf"/lfs/(?P<kind>models|datasets|spaces)/{ID}/(?P<oid>[0-9a-f]{{64}})"


# Reading


@route("GET", rf"{API}/tree/(?P<rev>[^/]+)(?:/(?P<path>.*))?")
def tree(hub: Hub, ask: Ask) -> Reply:
    repo = opened(hub, ask)
    commit, folder = repo.find(ask.args["rev"]), ask.args["path"].strip("/")
    found = commit.listing(folder, recursive=ask.flag("recursive"))
    if folder and not found:
        raise Refused(404, f"{folder} does not exist on {ask.args['rev']}", code="EntryNotFound")
    expand = ask.flag("expand")
    return reply([_entry(repo, commit, path, found[path], expand) for path in found])


@route("POST", rf"{API}/paths-info/(?P<rev>[^/]+)")
def paths_info(hub: Hub, ask: Ask) -> Reply:
    repo = opened(hub, ask)
    commit = repo.find(ask.args["rev"])
    if ask.headers.get("Content-Type", "").startswith("application/json"):
        paths, expand = ask.json()["paths"], bool(ask.json().get("expand"))
    else:
        form = parse_qs(ask.body.decode())
        paths, expand = form.get("paths", []), form.get("expand", [""])[0].lower() == "true"
    everything = commit.listing(recursive=True)
    known = [path for path in (p.strip("/") for p in paths) if path in everything]
    return reply([_entry(repo, commit, path, everything[path], expand) for path in known])


def _entry(
    repo: Repo, commit: Commit, path: str, blob: Blob | None, expand: bool
) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "directory", "path": path, "size": 0}
    if blob is None:
        inside = [(p, b.oid) for p, b in sorted(commit.files.items()) if p.startswith(f"{path}/")]
        entry["oid"] = hashlib.sha1(json.dumps(inside).encode()).hexdigest()
    else:
        entry |= {"type": "file", "size": len(blob.data), "oid": blob.oid}
        if blob.sha256:
            pointer, size = len(blob.pointer), len(blob.data)
            entry["lfs"] = {"oid": blob.sha256, "size": size, "pointerSize": pointer}
    if expand:
        last = repo.last_touched(commit, path)
        entry["lastCommit"] = {"id": last.oid, "title": last.title, "date": last.date}
        if blob is not None:
            scans = {"status": "safe", "avScan": None, "pickleImportScan": None}
            entry["securityFileStatus"] = scans
    return entry


@route("GET", rf"{WEB}/(?P<how>resolve|raw)/(?P<rev>[^/]+)/(?P<path>.+)")
def download(hub: Hub, ask: Ask) -> Reply:
    repo = opened(hub, ask)
    hub.check_files(repo, ask.user)
    commit = repo.find(ask.args["rev"])
    headers = {"X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
    blob = commit.files.get(ask.args["path"])
    if blob is None:
        raise Refused(404, "Entry not found", code="EntryNotFound", headers=headers)
    headers |= {"Content-Type": "application/octet-stream", "ETag": f'"{blob.name}"'}
    if blob.sha256 and ask.args["how"] == "raw":
        return Reply(200, blob.pointer, headers | {"ETag": f'"{blob.oid}"'})
    if blob.sha256:
        headers |= {"X-Linked-Etag": f'"{blob.sha256}"', "X-Linked-Size": str(len(blob.data))}
    wanted = ask.headers.get("Range", "")
    if wanted and ask.method == "GET":
        return _part(blob.data, wanted, headers)
    return Reply(200, blob.data, headers)


def _part(data: bytes, wanted: str, headers: Mapping[str, str]) -> Reply:
    """The bytes that a Range header names: `a-b`, `a-` or `-n`."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted)
    if match is None or match[0] == "bytes=-":
        raise Refused(400, f"The fake Hub serves one range of bytes, not {wanted!r}")
    first, last = match[1], match[2]
    start = int(first) if first else max(len(data) - int(last), 0)
    stop = min(int(last) + 1 if first and last else len(data), len(data))
    if start >= stop:
        nothing = {"Content-Range": f"bytes */{len(data)}"}
        raise Refused(416, "Requested range not satisfiable", headers=nothing)
    span = {"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"}
    return Reply(206, data[start:stop], {**headers, **span})


# Committing


def _opened_to_commit(hub: Hub, ask: Ask) -> tuple[Repo, User]:
    """Anybody who can read may open a pull request, and go on with it; the rest is for writers."""
    repo = opened(hub, ask)
    user = hub.check_token(ask.user)
    if not ask.flag("create_pr") and ask.args["rev"] not in _own_pulls(repo, user):
        hub.check_write(repo, user)
    return repo, user


def _own_pulls(repo: Repo, user: User) -> set[str]:
    return {f"refs/pr/{pull.number}" for pull in repo.pulls if pull.author == user.name}


@route("POST", rf"{API}/preupload/(?P<rev>[^/]+)")
def preupload(hub: Hub, ask: Ask) -> Reply:
    """How to send each file, and what the repository holds in its place (the same: not sent)."""
    repo, _ = _opened_to_commit(hub, ask)
    head = repo.find(ask.args["rev"])
    files = []
    for file in ask.json()["files"]:
        path, large = file["path"], hub.is_large(head, file["path"], file["size"])
        plan = {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
        held = {"oid": head.files[path].name} if path in head.files else {}
        files.append(plan | held)
    return reply({"files": files})


@route("POST", rf"{API}/commit/(?P<rev>[^/]+)")
def commit(hub: Hub, ask: Ask) -> Reply:
    repo, user = _opened_to_commit(hub, ask)
    lines = [json.loads(line) for line in ask.body.splitlines() if line.strip()]
    header = next(line["value"] for line in lines if line["key"] == "header")
    ref = repo.writable_ref(ask.args["rev"])
    head, expected = repo.history[repo.refs[ref]], header.get("parentCommit") or ""
    pull = None
    if ask.flag("create_pr"):
        head = repo.find(expected) if expected else head
        number = len(repo.pulls) + 1
        pull = Pull(number, header.get("summary", ""), user.name, ref, now())
        ref = f"refs/pr/{number}"
    elif not head.oid.startswith(expected):
        raise Refused(412, "A commit has happened since. Please refresh and try again.")
    new = repo.commit(
        ref,
        _changed(repo, head.files, lines),
        title=header.get("summary", ""),
        message=header.get("description", ""),
        author=user.name,
        parent=head.oid,
    )
    page = f"{hub.url}/{repo.web_path}"
    done = {"success": True, "commitOid": new.oid, "commitUrl": f"{page}/commit/{new.oid}"}
    if pull:
        repo.pulls.append(pull)
        done["pullRequestUrl"] = f"{page}/discussions/{pull.number}"
    return reply(done)


def _changed(
    repo: Repo, files: Mapping[str, Blob], lines: Iterable[dict[str, Any]]
) -> dict[str, Blob]:
    """The tree that the lines of a commit make of an older one, in their order."""
    tree = dict(files)
    for line in lines:
        value = line["value"]
        match line["key"]:
            case "file":
                tree[value["path"]] = Blob.regular(base64.b64decode(value["content"]))
            case "lfsFile":
                if value["oid"] not in repo.lfs:
                    raise Refused(400, f"LFS pointer to a missing object: {value['path']}")
                tree[value["path"]] = Blob.large(repo.lfs[value["oid"]])
            case "deletedFile" | "deletedFolder" as key:
                path = value["path"].rstrip("/")
                whole = f"{path}/" if key == "deletedFolder" else None
                gone = [p for p in tree if p == path or (whole and p.startswith(whole))]
                if not gone:
                    raise Refused(404, "A file with this name doesn't exist", code="EntryNotFound")
                for p in gone:
                    del tree[p]
    return tree


# LFS


@route("POST", rf"{WEB}\.git/info/lfs/objects/batch")
def lfs_batch(hub: Hub, ask: Ask) -> Reply:
    """Where to upload each object. Without a branch (`ref`), it is for a new pull request."""
    repo = opened(hub, ask)
    body, user = ask.json(), hub.check_token(ask.user)
    ref = (body.get("ref") or {}).get("name")
    if ref and ref not in _own_pulls(repo, user):
        hub.check_write(repo, user)
    multipart = "multipart" in body.get("transfers", [])
    objects = [_instructions(hub, repo, thing, multipart) for thing in body["objects"]]
    return reply({"transfer": "multipart" if multipart else "basic", "objects": objects})


def _instructions(hub: Hub, repo: Repo, thing: dict[str, Any], multipart: bool) -> dict[str, Any]:
    oid, size = thing["oid"], thing["size"]
    told = {"oid": oid, "size": size}
    if oid in repo.lfs:
        return told
    href = f"{hub.url}/lfs/{repo.type}s/{repo.id}/{oid}"
    upload: dict[str, Any] = {"href": href}
    if multipart and size >= hub.multipart_min:
        numbers = range(1, ceil(size / hub.chunk_size) + 1)
        parts = {str(n): f"{href}/part/{n}" for n in numbers}
        upload["header"] = {"chunk_size": str(hub.chunk_size), **parts}
    return told | {"actions": {"upload": upload, "verify": {"href": f"{href}/verify"}}}


def _addressed(hub: Hub, ask: Ask) -> Repo:
    """The repository of an upload address. As with a signed one, whoever holds it may use it."""
    repo = hub.repos.get((KINDS[ask.args["kind"]], ask.args["id"]))
    if repo is None:
        raise Refused(404, "Repository not found", code="RepoNotFound")
    return repo


@route("PUT", OBJECT)
def lfs_upload(hub: Hub, ask: Ask) -> Reply:
    _addressed(hub, ask).add_lfs(ask.args["oid"], ask.body)
    return Reply()


@route("PUT", rf"{OBJECT}/part/(?P<number>\d+)")
def lfs_upload_part(hub: Hub, ask: Ask) -> Reply:
    key = _addressed(hub, ask).web_path, ask.args["oid"]
    hub.parts.setdefault(key, {})[int(ask.args["number"])] = ask.body
    return Reply(200, b"", {"ETag": _part_tag(ask.body)})


@route("POST", OBJECT)
def lfs_complete(hub: Hub, ask: Ask) -> Reply:
    """Join the parts, once the client has named each by the ETag it was given."""
    repo, oid = _addressed(hub, ask), ask.args["oid"]
    held = hub.parts.get((repo.web_path, oid), {})
    named = {part["partNumber"]: part["etag"] for part in ask.json()["parts"]}
    if named != {number: _part_tag(data) for number, data in held.items()}:
        raise Refused(400, "The parts named are not the parts uploaded")
    repo.add_lfs(oid, b"".join(data for _, data in sorted(held.items())))
    del hub.parts[repo.web_path, oid]
    return reply({})


@route("POST", rf"{OBJECT}/verify")
def lfs_verify(hub: Hub, ask: Ask) -> Reply:
    repo, claim = _addressed(hub, ask), ask.json()
    if len(repo.lfs.get(claim["oid"], b"")) != claim["size"]:
        raise Refused(404, "The object was not uploaded")
    return reply({})


def _part_tag(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'
