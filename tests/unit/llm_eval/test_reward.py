"""Reward models: a number for each reply, in order; one that fails costs itself alone."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from llm_eval.aio import run_sync
from llm_eval.errors import AuthError, UserError
from llm_eval.models import REWARDS, BaseRewardModel, load_reward_model, register_model
from llm_eval.models.roles import Reward
from llm_eval.records import Failure, Prompt
from tests.fakes.reward import LONGEST, RewardServer, probability, scored

ITEMS = [(Prompt(sample_id=str(i), text=f"질문 {i}"), f"답 {i}") for i in range(12)]
WANTED = [scored(p.text, reply) for p, reply in ITEMS]
KEY = "sk-very-secret"


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(REWARDS, "_live", dict(REWARDS._live))


def rewards(model: BaseRewardModel, items: Sequence[tuple[Prompt, str]] = ITEMS) -> list[Reward]:
    """What a model says of some replies; its connections closed."""

    async def work() -> list[Reward]:
        try:
            return await model.rewards(items)
        finally:
            await model.close()

    return run_sync(work())


SERVERS: dict[str, tuple[Callable[[], RewardServer], str]] = {
    "vllm": (lambda: RewardServer("vllm"), "classify"),
    "old vllm": (lambda: RewardServer("vllm-old"), "pooling"),
    "per token": (lambda: RewardServer("vllm", routes=["pooling"], tokens=True), "pooling"),
    "cross-encoder": (lambda: RewardServer("vllm", routes=["score"]), "score"),
    "tei": (lambda: RewardServer("tei"), "predict"),
}


@pytest.mark.parametrize("name", SERVERS)
def test_the_way_to_ask_is_found_by_trying(name: str) -> None:
    """One address, and no word about which server it is: the raw numbers, in order."""
    make, route = SERVERS[name]
    with make() as server:
        model = load_reward_model("api", api_base=server.url, model_name="rm")
        assert rewards(model) == WANTED
        assert model.about["api"] == route
        assert {r for r, _ in server.asked[-len(ITEMS) :]} == {route}
        assert model.label == "api:rm"


@pytest.mark.parametrize("name", SERVERS)
def test_a_named_way_is_not_tried(name: str) -> None:
    """`api=` costs no request; an address that ends in /v1 is the same server."""
    make, route = SERVERS[name]
    with make() as server:
        model = load_reward_model("api", api_base=f"{server.url}/v1", api=route)
        assert rewards(model) == WANTED
        assert len(server.asked) == len(ITEMS)


def test_later_items_may_be_ready_sooner() -> None:
    """The reward of the third reply stands third."""
    late = {p.text: 0.05 - 0.004 * i for i, (p, _) in enumerate(ITEMS)}
    with RewardServer("vllm", late=lambda prompt: late.get(prompt, 0.0)) as server:
        assert rewards(load_reward_model("api", api_base=server.url, api="classify")) == WANTED


def test_one_refused_item_is_one_failure() -> None:
    """Data in its place, with the server's words; the others have their reward."""
    with RewardServer("vllm") as server:
        server.fail = lambda prompt: 400 if prompt == "질문 3" else None
        found = rewards(load_reward_model("api", api_base=server.url, api="classify"))
    failed = found[3]
    assert isinstance(failed, Failure)
    assert (failed.where, failed.kind) == ("reward", "bad_request")
    assert "refused by the test" in failed.message
    assert found[:3] + found[4:] == WANTED[:3] + WANTED[4:]


@pytest.mark.parametrize("kind", ["vllm", "tei"])
def test_what_is_too_long_is_never_cut(kind: Any) -> None:
    """The server refuses it, and so it is a failure."""
    long = (Prompt(sample_id="long", text="x" * LONGEST), "y")
    with RewardServer(kind) as server:
        found = rewards(load_reward_model("api", api_base=server.url), [ITEMS[0], long])
    assert found[0] == WANTED[0]
    assert isinstance(found[1], Failure)
    assert "too long" in found[1].message


def test_a_probability_where_that_is_asked_for() -> None:
    """`raw=False` leaves the server its sigmoid."""
    with RewardServer("vllm") as server:
        found = rewards(load_reward_model("api", api_base=server.url, raw=False))
    assert found == pytest.approx([probability(w) for w in WANTED])


@pytest.mark.parametrize("kind", ["vllm", "tei"])
def test_several_scores_need_a_name(kind: Any) -> None:
    """Which one is the reward nobody guesses; a place, or TEI's label, says it."""
    with RewardServer(kind, heads=3) as server:
        with pytest.raises(UserError, match="3 scores .*name one by label="):
            rewards(load_reward_model("api", api_base=server.url))
        label = 2 if kind == "vllm" else "LABEL_2"
        found = rewards(load_reward_model("api", api_base=server.url, label=label))
    assert found == pytest.approx([w + 2 for w in WANTED])


def test_a_conversation_goes_as_one() -> None:
    """Its turns stand before the reply; a route of pairs cannot carry it, and says so."""
    turns = ({"role": "system", "content": "s"}, {"role": "user", "content": "u"})
    item = (Prompt(sample_id="1", text="", messages=turns), "a")
    with RewardServer("vllm") as server:
        assert rewards(load_reward_model("api", api_base=server.url), [item]) == [
            scored("s\nu", "a")
        ]
        assert server.asked[-1][1]["messages"] == [*turns, {"role": "assistant", "content": "a"}]
        (found,) = rewards(load_reward_model("api", api_base=server.url, api="score"), [item])
    assert isinstance(found, Failure)
    assert "no conversation" in found.message


def test_a_wrong_key_ends_it_and_no_key_is_shown() -> None:
    """One sentence at `check`. No repr, message, pickle or `about` holds the key."""
    with RewardServer("vllm", key=KEY) as server:
        good = load_reward_model("api", api_base=server.url, api_key=KEY)
        assert rewards(good) == WANTED
        bad = load_reward_model("api", api_base=server.url, api_key="sk-wrong-key")
        with pytest.raises(AuthError) as told:
            rewards(bad)
    assert "sk-wrong-key" not in str(told.value)
    assert KEY not in repr(good) + repr(vars(good)) + json.dumps(dict(good.about))
    with pytest.raises(TypeError, match="Secret is not pickled"):
        pickle.dumps(good.transport.endpoint)  # type: ignore[attr-defined]


def test_openais_key_is_not_sent_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reward server is nobody's OpenAI: the key in the environment stays at home."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with RewardServer("vllm", key=KEY) as server, pytest.raises(AuthError):
        rewards(load_reward_model("api", api_base=server.url))


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, "needs api_base"),
        ({"api_base": "http://127.0.0.1:9", "api": "rank"}, "none of auto, classify"),
        ({"api_base": "127.0.0.1:9"}, "is no address"),
        ({"api_bse": "http://127.0.0.1:9"}, "api_bse"),
    ],
)
def test_what_cannot_be_asked_is_told_before(params: dict[str, Any], said: str) -> None:
    """No address, a way that is none, a typo."""
    with pytest.raises(UserError, match=said):
        load_reward_model("api", **params)


def test_a_server_that_is_not_there_or_has_no_reward_says_so(free_port: int) -> None:
    """One sentence, which names what was tried."""
    gone = load_reward_model("api", api_base=f"http://127.0.0.1:{free_port}", max_retries=0)
    with pytest.raises(UserError, match="could not be reached") as told:
        rewards(gone)
    assert "is the server running" in told.value.hint
    with RewardServer("vllm", routes=[]) as server:
        model = load_reward_model("api", api_base=server.url)
        with pytest.raises(UserError, match="no reward from .*classify: .*predict: "):
            rewards(model)


@pytest.fixture
def free_port() -> int:
    """A port of this machine at which nobody listens."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
    return port


# --- by name, and in dicts ----------------------------------------------------------------------


def test_a_wrong_name_is_guessed() -> None:
    """As everywhere."""
    with pytest.raises(UserError, match="no reward model called 'hugingface'") as told:
        load_reward_model("hugingface")
    assert "did you mean 'huggingface'" in told.value.hint


def test_a_name_with_a_model_behind_it() -> None:
    """`api:NAME` is the same as model_name, and twice is refused."""
    model = load_reward_model("api:rm-8b", api_base="http://127.0.0.1:9")
    assert model.label == "api:rm-8b"
    with pytest.raises(UserError, match="names 'rm-8b', and model_name names 'other'"):
        load_reward_model("api:rm-8b", api_base="http://127.0.0.1:9", model_name="other")


class Theirs(BaseRewardModel):
    """A reward model of haerae-evaluation-toolkit's kind: longer is better, no reply breaks it."""

    def score_batch(self, inputs: Any, **_: Any) -> list[dict[str, Any]]:
        """`inputs` with `reward`."""
        for item in inputs:
            item["reward"] = 10 / (len(item["prediction"]) - 1)
        return list(inputs)


def test_a_class_with_score_batch_is_a_reward_model() -> None:
    """Registered as that toolkit registers all of them; one bad item is one failure."""
    register_model("theirs")(Theirs)
    found = rewards(load_reward_model("theirs"), [(ITEMS[0][0], "abc"), (ITEMS[1][0], "a")])
    assert found[0] == 5.0
    assert isinstance(found[1], Failure)
    assert "ZeroDivisionError" in found[1].message


def test_score_batch_gives_dicts_back_in_order() -> None:
    """`reward` in each; what failed, or has nothing to judge, has None and a reason."""
    given = [{"input": p.text, "prediction": r, "extra": p.sample_id} for p, r in ITEMS]
    given[2]["prediction"] = None  # type: ignore[assignment]
    before = [dict(item) for item in given]
    with RewardServer("vllm") as server:
        server.fail = lambda prompt: 400 if prompt == "질문 5" else None
        model = load_reward_model("api", api_base=server.url, api="classify")
        found = model.score_batch(given)
        run_sync(model.close())
    assert given == before
    assert [item["extra"] for item in found] == [item["extra"] for item in before]
    assert [item["reward"] for item in found] == [
        None if i in (2, 5) else w for i, w in enumerate(WANTED)
    ]
    assert "no prediction" in found[2]["reward_error"]["message"]
    assert found[5]["reward_error"]["kind"] == "bad_request"


def test_score_batch_works_inside_a_running_loop() -> None:
    """As in a notebook."""

    async def cell() -> list[dict[str, Any]]:
        with RewardServer("tei") as server:
            model = load_reward_model("api", api_base=server.url)
            found = model.score_batch([{"input": "q", "prediction": "a"}])
            run_sync(model.close())
            return found

    assert asyncio.run(cell())[0]["reward"] == scored("q", "a")


def test_a_class_that_writes_neither_says_so() -> None:
    """A bug with a name."""
    with pytest.raises(NotImplementedError, match="has no rewards"):
        rewards(BaseRewardModel())
