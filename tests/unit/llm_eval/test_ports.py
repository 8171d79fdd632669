"""Ports are found by every name they have, and none is imported that could be somebody else's."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from llm_eval import settings
from llm_eval.dataset import (
    DATASETS,
    BaseDataset,
    dataset_class,
    load_datasets,
    ports,
    register_dataset,
)
from llm_eval.dataset.render import render
from llm_eval.dataset.spec import Manifest, ModuleSpec, SplitRecord, read_manifest, sha256_of
from llm_eval.errors import UserError
from tests.conftest import Cli
from tests.fakes.hub import HubServer

SPEC = ModuleSpec(
    slug="", class_name="Quiz", source="", lang="", repo=None, subsets={}, task="text",
    question=[["q"]], answer=["a"], answer_kind="text",
)  # fmt: skip
ROWS = [{"q": "수도는?", "a": "서울"}, {"q": "강은?", "a": "한강"}]


def port(
    slug: str,
    *,
    source: str = "ORG/quiz",
    lang: str = "ko",
    subset: str = "default",
    repo: str | None = None,
    root: Path | None = None,
) -> Path:
    """A finished port, as it lies on a disk."""
    from datasets import Dataset

    spec = replace(SPEC, slug=slug, source=source, lang=lang, repo=repo, subsets={subset: ["test"]})
    folder = (root or Path.cwd() / ports.DEFAULT_ROOT) / slug
    (folder / "data" / subset).mkdir(parents=True)
    data = folder / "data" / subset / "test-00000-of-00001.parquet"
    Dataset.from_list(ROWS).to_parquet(data)
    record = SplitRecord(rows=2, passed=2, failed=0, kept=0, files={data.name: sha256_of(data)})
    manifest = Manifest(
        slug=slug, source=source, revision=None, licence=None, source_lang="en", target_lang=lang,
        translator="m", prompt_version="1", repo=repo, plan_sha256="", columns={}, checks={},
        splits={subset: {"test": record}}, module=spec, module_way="template",
        module_sha256=hashlib.sha256(render(spec).encode()).hexdigest(),
    )  # fmt: skip
    (folder / "port.json").write_text(manifest.to_json(), encoding="utf-8")
    (folder / "dataset.py").write_text(render(spec), encoding="utf-8")
    return folder


def found(name: str, *rest: Any) -> Path | None:
    """The folder of the port that answers to a name."""
    port = ports.find(name, *rest)
    return port.folder if port else None


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what a port's manifest says."""
    raw = json.loads((folder / "port.json").read_text("utf-8"))
    change(raw)
    (folder / "port.json").write_text(json.dumps(raw), encoding="utf-8")


def test_a_port_answers_to_all_its_names() -> None:
    """Its slug, its source's name and its pushed repo's name mean the same port; others none."""
    folder = port("ORG__quiz_ko", repo="me/quiz-ko")
    for name in ("ORG__quiz_ko", "ORG/quiz", "me/quiz-ko"):
        assert found(name) == folder
        assert load_datasets(name).evaluate_prediction(1, "한강") == (True, 1.0)
    for name in ("quiz", "ORG", "org/quiz", "", "../ORG__quiz_ko", "me/quiz"):
        assert found(name) is None


def test_several_ports_of_one_source() -> None:
    """Subset and language choose among the ports of one source; else all of them are told."""
    one = port("ORG__quiz__a_ko", subset="a")
    two = port("ORG__quiz__b_ko", subset="b")
    english = port("ORG__quiz__b_en", subset="b", lang="en")
    assert found("ORG/quiz", "a") == one
    assert found("ORG/quiz", ["a"]) == one
    assert found("ORG/quiz", "b", "en") == english
    assert found("ORG/quiz", "b", "ko") == two
    with pytest.raises(UserError, match="several ports") as told:
        ports.find("ORG/quiz")
    assert all(slug in told.value.hint for slug in (one.name, two.name, english.name))
    with pytest.raises(UserError, match="several ports"):
        ports.find("ORG/quiz", "b")
    with pytest.raises(UserError, match="no port of 'ORG/quiz' has c") as told:
        ports.find("ORG/quiz", "c")
    assert "ORG__quiz__a_ko: a" in told.value.hint


def test_a_slug_comes_before_a_name() -> None:
    """A slug names one port even where another port's source is called the same."""
    port("other_ko", source="quiz_ko")
    own = port("quiz_ko", source="quiz.jsonl")
    assert found("quiz_ko") == own


def test_ports_elsewhere_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that ports were written to is known everywhere; one that is gone does no harm."""
    folder = port("far_ko", root=tmp_path / "far")
    assert found("far_ko") is None
    ports.remember_root(tmp_path / "far")
    ports.remember_root(tmp_path / "gone")
    monkeypatch.chdir(tmp_path)
    assert found("far_ko") == folder


def test_a_broken_index_entry_does_no_harm(tmp_path: Path) -> None:
    """A torn or foreign file in the index of folders is passed over."""
    folder = port("quiz_ko")
    index = settings.home() / "ports"
    index.mkdir(parents=True)
    (index / "torn.json").write_text('"/some')
    (index / "empty.json").write_text("")
    (index / "other.json").write_text("[1, 2]")
    (index / "bytes.json").write_bytes(b"\xff\xfe")
    assert found("quiz_ko") == folder


BROKEN: dict[str, str | bytes] = {
    "empty": "", "no JSON": "{", "a list": "[]", "a text": '"x"', "bytes": b"\xff\xfe\x00",
    "other JSON": '{"name": "x"}', "deep": "[" * 100_000,
}  # fmt: skip


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_broken_manifest_is_passed_over(
    text: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A manifest that cannot be read is warned of by its path, and the other ports are found."""
    good, bad = port("good_ko"), port("bad_ko")
    (bad / "port.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with caplog.at_level(logging.WARNING):
        assert found("good_ko") == good
        assert found("bad_ko") is None
    assert str(bad) in caplog.text
    assert [p.folder for p in ports.local_ports()] == [good]


def test_a_manifest_that_is_no_file_is_passed_over() -> None:
    """A folder, or a dead link, called port.json does no harm."""
    good = port("good_ko")
    for name, make in (("folder", Path.mkdir), ("link", lambda p: p.symlink_to("nowhere"))):
        (good.parent / name).mkdir()
        make(good.parent / name / "port.json")
    assert found("good_ko") == good


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "unknown key": lambda raw: raw.update(colour="red"),
    "unknown key below": lambda raw: raw["module"].update(colour="red"),
    "missing key": lambda raw: raw.pop("slug"),
    "wrong type": lambda raw: raw.update(splits=[]),
    "wrong task": lambda raw: raw["module"].update(task="poem"),
    "wrong path": lambda raw: raw["module"].update(question="q"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_manifest_is_checked(change: Callable[[dict[str, Any]], object]) -> None:
    """An unknown key, a missing one or a wrong value is told with the file and the field."""
    folder = port("quiz_ko")
    changed(folder, change)
    with pytest.raises(UserError) as told:
        read_manifest(folder)
    assert str(folder / "port.json") in told.value.message
    fields = ("colour", "slug", "splits", "task", "question")
    assert any(field in told.value.message for field in fields)
    assert found("quiz_ko") is None


def test_a_manifest_goes_round() -> None:
    """What is written is what is read."""
    folder = port("quiz_ko", repo="me/quiz")
    manifest = read_manifest(folder)
    assert manifest.to_json() == (folder / "port.json").read_text("utf-8")
    assert read_manifest(folder) == manifest
    assert manifest.rows == (2, 0)
    assert isinstance(asdict(manifest), Mapping)


def tampered(folder: Path, mark: Path) -> str:
    """Add a line to a port's module that leaves a mark when it runs; its text."""
    path = folder / "dataset.py"
    path.write_text(path.read_text("utf-8") + f"open({str(mark)!r}, 'w').close()\n", "utf-8")
    return path.read_text("utf-8")


def test_a_changed_module_is_not_imported_until_trusted(tmp_path: Path, cli: Cli) -> None:
    """A module that is not what its spec renders to runs only once its very text is trusted."""
    folder, mark = port("quiz_ko"), tmp_path / "ran"
    tampered(folder, mark)
    for name in ("quiz_ko", "ORG/quiz", str(folder / "dataset.py")):
        with pytest.raises(UserError, match="not imported") as told:
            load_datasets(name)
        assert "hret datasets trust quiz_ko" in told.value.hint
    assert cli("datasets", "list").returncode == 0
    assert cli("eval", "--model", "first", "--dataset", "quiz_ko").returncode == 2
    assert not mark.exists()
    assert cli("datasets", "trust", "quiz_ko").returncode == 0
    assert not mark.exists()
    assert load_datasets("quiz_ko").evaluate_prediction(0, "서울") == (True, 1.0)
    assert mark.exists()
    mark.unlink()
    tampered(folder, mark)
    with pytest.raises(UserError, match="not imported"):
        load_datasets("quiz_ko")
    assert not mark.exists()


def test_what_is_run_is_what_was_looked_at(tmp_path: Path) -> None:
    """A module that is another each time that it is read: read once, judged, and refused."""
    folder, mark = port("quiz_ko"), tmp_path / "ran"
    path = folder / "dataset.py"
    good, bad = path.read_bytes(), tampered(folder, mark).encode()
    path.unlink()
    os.mkfifo(path)
    texts = iter((bad, good, good))
    threading.Thread(target=lambda: [path.write_bytes(text) for text in texts], daemon=True).start()
    with pytest.raises(UserError, match="not imported"):
        ports.module_class(ports.Port(folder, read_manifest(folder)))
    assert not mark.exists()


def test_trust_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust lies in the user's home: nothing beside the module can grant it."""
    folder, mark = port("quiz_ko"), tmp_path / "ran"
    digest = hashlib.sha256(tampered(folder, mark).encode()).hexdigest()
    changed(folder, lambda raw: raw.update(module_sha256=digest))
    (folder / "trust").mkdir()
    (folder / "trust" / digest).touch()
    with pytest.raises(UserError, match=r"tried to write|no sandbox"):
        load_datasets("quiz_ko")
    assert not mark.exists()
    ports.trust(ports.Port(folder, read_manifest(folder)))
    assert load_datasets("quiz_ko")
    mark.unlink()
    monkeypatch.setenv("HRET_HOME", str(tmp_path / "somebody-else"))
    with pytest.raises(UserError, match=r"tried to write|no sandbox"):
        load_datasets("quiz_ko")
    assert not mark.exists()


HOSTILE: dict[str, Callable[[dict[str, Any], str], object]] = {
    "class name": lambda spec, run: spec.update(class_name=f"A: {run}\nclass B"),
    "class name on one line": lambda spec, run: spec.update(class_name=f"A(print({run})) #"),
    "slug": lambda spec, run: spec.update(slug=f'x")\n{run}\n@register_dataset("y'),
    "source": lambda spec, run: spec.update(source=f'"""\n{run}\n"""'),
    "lang": lambda spec, run: spec.update(lang=f'"""\n{run}\n"""'),
    "repo": lambda spec, run: spec.update(repo=f'x"\n{run}\ny = "'),
    "question": lambda spec, run: spec.update(question=[[f'q"] + {run} + row["q']]),
    "subset": lambda spec, run: spec.update(subsets={f'x": {run}, "y': ["test"]}),
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_no_manifest_can_make_its_module_run_code(
    hostile: Callable[[dict[str, Any], str], object], tmp_path: Path
) -> None:
    """A spec made up by a stranger, with the module that it renders to, cannot smuggle in code."""
    folder, mark = port("hostile_ko"), tmp_path / "ran"
    changed(folder, lambda raw: hostile(raw["module"], f"open({str(mark)!r}, 'w')"))
    try:
        text = render(read_manifest(folder).module)
        (folder / "dataset.py").write_text(text, encoding="utf-8")
        load_datasets("hostile_ko", split="test").get_prompt(0)
    except (UserError, KeyError):
        pass
    assert not mark.exists()


def test_a_port_without_its_module_says_so() -> None:
    """A port whose module was deleted is told by the missing file."""
    folder = port("quiz_ko")
    (folder / "dataset.py").unlink()
    with pytest.raises(UserError, match=r"dataset\.py"):
        load_datasets("quiz_ko")


def test_listing_imports_nothing(tmp_path: Path, cli: Cli) -> None:
    """`hret datasets list` and `show` read manifests alone, as text and as JSON."""
    folder, mark = port("quiz_ko"), tmp_path / "ran"
    tampered(folder, mark)
    (port("bad_ko") / "port.json").write_text("{")
    done = cli("datasets", "list", "--json")
    assert done.returncode == 0
    assert [entry["slug"] for entry in json.loads(done.stdout)] == ["quiz_ko"]
    assert "bad_ko" in done.stderr
    shown = cli("datasets", "show", "ORG/quiz").stdout
    assert '"slug": "quiz_ko"' in shown
    assert "does not run; edited since it was verified" in shown
    told = json.loads(cli("datasets", "show", "ORG/quiz", "--json").stdout)
    assert (told["slug"], told["path"]) == ("quiz_ko", str(folder))
    assert "does not run; edited" in told["runs"]
    unknown = cli("datasets", "show", "quiz_k")
    assert (unknown.returncode, "did you mean 'quiz_ko'" in unknown.stderr) == (2, True)
    assert not mark.exists()


def test_where_a_module_runs_is_shown(cli: Cli) -> None:
    """As the template gave it, as it was verified, edited, and after it was trusted."""
    folder = port("quiz_ko")
    assert "module: runs in-process; it is what" in cli("datasets", "show", "quiz_ko").stdout
    code = (folder / "dataset.py").read_bytes() + b"# mine\n"
    (folder / "dataset.py").write_bytes(code)
    assert "module: does not run; edited" in cli("datasets", "show", "quiz_ko").stdout
    told = {"module_sha256": hashlib.sha256(code).hexdigest(), "module_way": "model:m"}
    changed(folder, lambda raw: raw.update(told))
    shown = cli("datasets", "show", "quiz_ko").stdout
    assert "module: runs in the sandbox; model:m wrote it" in shown or "no sandbox" in shown
    assert cli("datasets", "trust", "quiz_ko").returncode == 0
    assert "in-process; you have trusted it" in cli("datasets", "show", "quiz_ko").stdout


def test_a_port_takes_nobodys_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that is imported leaves the registry as it was, even where its slug stands in it."""
    monkeypatch.setattr(DATASETS, "_live", dict(DATASETS._live))
    folder = port("quiz_ko")

    @register_dataset("quiz_ko")
    class Mine(BaseDataset):
        """The user's own."""

    assert load_datasets(str(folder)).evaluate_prediction(0, "서울") == (True, 1.0)
    assert DATASETS.get("quiz_ko") is Mine


def test_a_module_is_extended_by_subclassing() -> None:
    """The class of a template's module is a class like any other."""
    port("quiz_ko")

    class Polite(dataset_class("quiz_ko")):  # type: ignore[misc]
        """Another prompt."""

        def get_prompt(self, index: int) -> str:
            return "답해 주세요. " + str(super().get_prompt(index))

    dataset = load_datasets(Polite, split="test")
    assert dataset.load()[0]["input"].startswith("답해 주세요. 수도는?")
    assert dataset.evaluate_prediction(0, "서울") == (True, 1.0)
    with pytest.raises(UserError, match="no dataset called 'quiz'"):
        dataset_class("quiz")


def test_removing_a_port(cli: Cli) -> None:
    """`hret datasets rm` asks first, and removes that one port."""
    folder, other = port("quiz_ko"), port("other_ko", source="other")
    assert cli("datasets", "rm", "quiz_ko").returncode != 0
    assert folder.is_dir()
    assert cli("datasets", "rm", "quiz_ko", "--yes").returncode == 0
    assert not folder.exists()
    assert other.is_dir()


def test_a_stranger_s_port_on_the_hub(
    tmp_path: Path, hub: HubServer, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pushed port with a changed module is downloaded and not run; an unchanged one evaluates."""
    for name in ("good", "bad"):
        folder, mark = (
            port(f"{name}_ko", repo=f"org/{name}", root=tmp_path / "away"),
            tmp_path / name,
        )
        if name == "bad":
            tampered(folder, mark)
        files = [p for p in folder.rglob("*") if p.is_file()]
        hub.put(f"org/{name}", {str(p.relative_to(folder)): p.read_bytes() for p in files})
    env = hub.env(tmp_path / "hf")
    done = cli("eval", "--model", "oracle", "--dataset", "org/good", "--json", env=env)
    assert json.loads(done.stdout)["metrics"]["accuracy"] == 1.0, done.stderr
    done = cli("eval", "--model", "oracle", "--dataset", "org/bad", env=env)
    assert (done.returncode, "not imported" in done.stderr) == (2, True)
    assert not (tmp_path / "bad").exists()
