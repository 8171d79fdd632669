"""How it is pushed: in one commit, whatever comes between, and never over something else."""

from __future__ import annotations

import hashlib
import json
import signal
import time
from pathlib import Path

import yaml

from tests.e2e.publishing import (
    REPO,
    SLUG,
    TITLE,
    card_of,
    folder_of,
    ported,
    push,
    pushed,
    refused,
    started,
    titles,
    uploads,
)
from tests.e2e.scenario import Machine
from tests.fakes.chat import ChatServer
from tests.fakes.hub import HubServer


def test_an_upload_that_is_killed_goes_on(pusher: Machine, hub: HubServer) -> None:
    """After kill -9 the repo shows nothing of the port; the next push sends what is missing."""
    (shard,) = (folder_of(pusher) / "data" / "hard").iterdir()
    oid = hashlib.sha256(shard.read_bytes()).hexdigest()
    held = hub.hold(f"/lfs/.*{oid}$", method="PUT")
    with started(pusher, "-m", "hret", "push", SLUG) as process:
        deadline = time.monotonic() + 60
        while not (held.reached.is_set() and len(uploads(hub)) == 2):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "the files were never uploaded"
            time.sleep(0.002)
    assert process.returncode == -signal.SIGKILL
    assert titles(hub) == ["initial commit"]
    pushed(pusher)
    assert titles(hub) == [TITLE, "initial commit"]
    assert len(uploads(hub)) == len(set(uploads(hub))) == 3
    assert hub.files(REPO)["data/hard/test-00000-of-00001.parquet"] == shard.read_bytes()


def test_an_upload_that_breaks_off_is_a_sentence(pusher: Machine, hub: HubServer) -> None:
    """A file that cannot be sent ends the push with what to do; nothing of it is shown."""
    hub.fail_next(50, status=403, match="/lfs/.*[0-9a-f]{64}$", method="PUT")
    refused(push(pusher), REPO, "run the same command again")
    assert titles(hub) == ["initial commit"]


def test_an_answer_that_is_lost_is_no_second_commit(pusher: Machine, hub: HubServer) -> None:
    """The commit was made, and nobody heard of it: the same push again finds it done."""
    hub.fail_next(status=502, match="/commit/main", after=True)
    refused(push(pusher), "502", "run the same command again")
    assert titles(hub) == [TITLE, "initial commit"]
    pushed(pusher)
    assert titles(hub) == [TITLE, "initial commit"]


def test_a_race_is_lost_and_told(pusher: Machine, hub: HubServer) -> None:
    """A repo that changes during a push keeps the change; the next push goes on from there."""
    pushed(pusher)
    stale = hub.put(REPO, {"data/easy/dev-00000-of-00001.parquet": b"old"}, message="Stale")
    held = hub.hold("/commit/main")
    with started(pusher, "-m", "hret", "push", SLUG) as process:
        assert held.reached.wait(60), process.communicate()
        hub.put(REPO, {"notes.txt": b"theirs"}, message="Theirs")
        held.release()
        said = process.communicate(timeout=60)[1]
    assert (process.returncode, "Traceback" in said) == (2, False), said
    assert "changed by somebody else" in said
    assert titles(hub)[:2] == ["Theirs", "Stale"]
    pushed(pusher)
    assert hub.commits(REPO)[1].parent == stale
    assert hub.files(REPO)["notes.txt"] == b"theirs"
    assert "data/easy/dev-00000-of-00001.parquet" not in hub.files(REPO)


def test_a_branch_of_its_own(pusher: Machine, hub: HubServer) -> None:
    """A branch is made once and pushed to, and main knows nothing of it; a tag stays."""
    address = f"{hub.url}/datasets/{REPO}/tree/v1.0/ko"
    for _ in range(2):
        assert pushed(pusher, "--revision", "v1.0/ko") == address
    assert titles(hub) == ["initial commit"]
    assert titles(hub, revision="v1.0/ko") == [TITLE, "initial commit"]
    hub.repo(REPO).refs["refs/tags/first"] = hub.commits(REPO)[0].oid
    refused(push(pusher, "--revision", "first"), "'first'", "branch")
    assert pushed(pusher) == f"{hub.url}/datasets/{REPO}"
    assert titles(hub) == [TITLE, "initial commit"]


def test_a_pull_request_is_opened_once(pusher: Machine, hub: HubServer) -> None:
    """It is gone on with while it is open, and once it is merged there is nothing left to ask."""
    first = pushed(pusher, "--create-pr")
    assert first == f"{hub.url}/datasets/{REPO}/discussions/1"
    assert titles(hub) == ["initial commit"]
    assert pushed(pusher, "--create-pr") == first
    hub.put(REPO, {"data/easy/old.parquet": b"old"}, revision="refs/pr/1", message="Theirs")
    assert pushed(pusher, "--create-pr") == first
    assert titles(hub, revision="refs/pr/1") == [TITLE, "Theirs", TITLE, "initial commit"]
    hub.merge(REPO, 1)
    assert pushed(pusher, "--create-pr") == f"{hub.url}/datasets/{REPO}"
    assert len(hub.repo(REPO).pulls) == 1
    refused(push(pusher, "--create-pr", "--revision", "v1"), "--create-pr")


def test_a_pull_request_to_a_repo_of_others(pusher: Machine, hub: HubServer) -> None:
    """Who may not write there may ask; what is pushed to it holds the whole port."""
    pushed(pusher, "--public")
    hub.put(REPO, {"data/easy/old.parquet": b"old"}, message="Stale")
    hub.add_user("guest", token="hf_guest")
    pusher.token = "hf_guest"
    refused(push(pusher), "guest may not write to tester")
    pushed(pusher, "--create-pr")
    pushed(pusher, "--create-pr")
    assert [p.author for p in hub.repo(REPO).pulls] == ["guest"]
    assert "data/easy/old.parquet" in hub.files(REPO)
    assert "data/easy/old.parquet" not in hub.files(REPO, "refs/pr/1")


def test_what_is_not_there_any_more_goes_in_the_same_commit(
    porter: Machine, hub: HubServer, chat: ChatServer
) -> None:
    """A port with fewer splits takes the others away; nobody's own files are touched."""
    ported(porter, "--push")
    hub.put(REPO, {"notes.txt": b"theirs"}, message="Theirs")
    done = porter.run("-m", "hret", "datasets", "rm", SLUG, "--yes")
    assert done.returncode == 0, done.stderr
    ported(porter, "--split", "test", "--push", "--repo-id", REPO)
    assert titles(hub) == [TITLE, "Theirs", TITLE, "initial commit"]
    data = [name for name in hub.files(REPO) if name.startswith("data/")]
    assert sorted(data) == [f"data/{s}/test-00000-of-00001.parquet" for s in ("easy", "hard")]
    assert "notes.txt" in hub.files(REPO)
    configs = yaml.safe_load(card_of(hub).split("---\n")[1])["configs"]
    assert [[f["split"] for f in c["data_files"]] for c in configs] == [["test"], ["test"]]


def test_a_repo_of_another_port_is_spared(pusher: Machine, hub: HubServer) -> None:
    """Another language, or other subsets under the same source, are not written over."""
    pushed(pusher)
    manifest = json.loads(hub.files(REPO)["port.json"])
    other = {"target_lang": "ja", "slug": "org__quiz_ja"}
    hub.put("tester/ja", {"port.json": json.dumps(manifest | other).encode()})
    refused(push(pusher, "--repo-id", "tester/ja"), "'ja'", "--repo-id")
    more = {"slug": "org__quiz__expert_ko", "splits": {"expert": {}}}
    hub.put("tester/more", {"port.json": json.dumps(manifest | more).encode()})
    refused(push(pusher, "--repo-id", "tester/more"), "expert", "--repo-id")
    hub.put("tester/odd", {"port.json": b"[]"})
    refused(push(pusher, "--repo-id", "tester/odd"), "something else", "--repo-id")


def test_rights_and_licence_are_asked_of_every_push(pusher: Machine, hub: HubServer) -> None:
    """What a port may not, a push of it later may not either; an unknown port is named."""
    pusher.token = None
    refused(push(pusher), "HF_TOKEN")
    pusher.token = "hf_tester"
    refused(push(pusher, "--repo-id", "stranger/x"), "stranger")
    path = folder_of(pusher) / "port.json"
    path.write_text(path.read_text("utf-8").replace('"mit"', '"cc-by-nd-4.0"'), encoding="utf-8")
    refused(push(pusher), "cc-by-nd-4.0", "--accept-license")
    assert hub.repos() == []
    pushed(pusher, "--accept-license", "--repo-id", "org/nd")
    assert yaml.safe_load(card_of(hub, "org/nd").split("---\n")[1])["license"] == "cc-by-nd-4.0"
    done = pusher.run("-m", "hret", "push", "org__quizz_ko")
    refused(done, "did you mean 'org__quiz_ko'")


def test_private_until_it_is_said_otherwise(pusher: Machine, hub: HubServer) -> None:
    """--public opens a repo that was private; a push without it leaves it open."""
    pushed(pusher)
    assert hub.repo(REPO).private
    pushed(pusher, "--public")
    assert not hub.repo(REPO).private
    pushed(pusher)
    assert not hub.repo(REPO).private
    assert titles(hub) == [TITLE, "initial commit"]


def test_a_card_that_was_edited_there_stays(pusher: Machine, hub: HubServer) -> None:
    """And that is told; the port itself is pushed all the same. Once it is deleted there, the
    next push brings a new one."""
    pushed(pusher)
    first = card_of(hub)
    edited = first + "\n## Notes of ours\n"
    hub.put(REPO, {"README.md": edited.encode(), "data/easy/old.parquet": b"old"}, message="Ours")
    done = push(pusher)
    assert done.returncode == 0 and "was edited there, so it stays" in done.stderr
    assert card_of(hub) == edited and "data/easy/old.parquet" not in hub.files(REPO)
    assert titles(hub) == [TITLE, "Ours", TITLE, "initial commit"]
    pushed(pusher)
    assert titles(hub) == [TITLE, "Ours", TITLE, "initial commit"]
    done = pusher.run("-c", DELETED, REPO)
    assert done.returncode == 0, done.stderr
    pushed(pusher)
    assert card_of(hub) == first


DELETED = """
import sys
from huggingface_hub import HfApi
HfApi().delete_file("README.md", sys.argv[1], repo_type="dataset")
"""


def filed(machine: Machine, folder: str, question: str, *more: str, status: int = 0) -> str:
    """Port a file "test.jsonl" in `folder` that holds one question; what is told of it."""
    known = {"Who was it?": "누구였나요?", "What was it?": "무엇이었나요?", "Is it?": "그런가요?"}
    texts = [{"source": source, "target": target} for source, target in known.items()]
    for path, lines in ((f"{folder}/test.jsonl", [{"question": question}]), ("k.jsonl", texts)):
        (machine.work / path).parent.mkdir(exist_ok=True)
        (machine.work / path).write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = machine.main("--dataset", f"{folder}/test.jsonl", "--model", "memory:k.jsonl",
                        "--output-dir", f"{folder}/out", "--accept-license", *more)  # fmt: skip
    assert done.returncode == status, done.stderr
    return done.stderr


def test_a_file_of_the_same_name_spares_the_others_repo(tmp_path: Path, hub: HubServer) -> None:
    """A repo holds a port of one file here: that one, edited, is pushed again; another of its name
    only where somebody names the repo."""
    machine, repo = Machine(tmp_path / "first", hub), "tester/test-ko"
    filed(machine, "a", "Who was it?", "--push")
    first = hub.commits(repo)[0].oid
    told = filed(machine, "b", "What was it?", "--push", status=2)
    assert "another test.jsonl" in told and f"--repo-id {repo}" in told
    filed(machine, "b", "What was it?")
    told = machine.run("-m", "hret", "push", "b/out/test_ko", "--accept-license").stderr
    assert "another test.jsonl" in told and hub.commits(repo)[0].oid == first
    filed(machine, "a", "Is it?", "--push")
    assert titles(hub, repo) == [TITLE, TITLE, "initial commit"]
    filed(machine, "b", "What was it?", "--push", "--repo-id", repo)
    assert titles(hub, repo) == [TITLE, TITLE, TITLE, "initial commit"]
    assert "another test.jsonl" in filed(machine, "a", "Who was it?", "--push", status=2)
    filed(machine, "b", "Who was it?", "--push")
