"""The model that drives an agent: made from its name, counted, and paid out of one purse."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from smolagents.models import ChatMessage, Model, OpenAIModel

from hret_agents.ask import model_name
from hret_agents.backends import backend_of
from hret_agents.money import CostLimit
from hret_agents.translators import DEFAULT_MODEL
from llm_eval.errors import AuthError, HretError, UserError
from llm_eval.models.openai import endpoint_of
from llm_eval.models.openai_wire import LIMITS
from llm_eval.models.prices import cost, own_prices, price_of
from llm_eval.records import Usage
from llm_eval.secret import Secret

REPLY = 8_000  # tokens of a reply under a limit of money, so that its worst case is known
FRAME = 20  # tokens around a message or a tool, beside its own


class Purse:
    """What one run spends, on whatever models; never more than `most` USD where there is a limit.

    `unknown` is set once something was paid at a price that nobody knows.
    """

    def __init__(self, most: float | None) -> None:
        self.most, self.spent, self.unknown = most, 0.0, False

    @property
    def left(self) -> float | None:
        """USD that may yet be spent; None for any sum."""
        return None if self.most is None else max(0.0, self.most - self.spent)

    @property
    def total(self) -> float | None:
        """USD spent; None where a price is unknown."""
        return None if self.unknown else round(self.spent, 6)

    def pay(self, usd: float | None) -> None:
        """So much was spent; None at an unknown price."""
        self.spent += usd or 0.0
        self.unknown |= usd is None

    def knows(self, model: str) -> None:
        """A `CostLimit` if there is a limit and the price of `model` is unknown."""
        if self.most is not None and price_of(model) is None:
            raise CostLimit(
                f"the price of {model!r} is unknown, so --max-cost cannot be kept",
                hint=f"write it into {own_prices()}, or leave max_cost out",
            )


def agent_model(
    model: Model | str | None,
    *,
    api_base: str | None = None,
    api_key: Secret | None = None,
    max_retries: int | None = None,
) -> Model:
    """A smolagents model: the one given, or one behind an OpenAI-compatible endpoint by its name.

    Raises:
        UserError: no key, or a name that is no model's.
    """
    if isinstance(model, Model):
        return model
    if model is not None and not isinstance(model, str):
        raise UserError(
            f"{model!r} is no smolagents model, and no name of one",
            hint="pass a name, or OpenAIModel(...), LiteLLMModel(...)",
        )
    if model is not None and backend_of(model):
        raise UserError(
            f"{model!r} cannot drive an agent by its name",
            hint=f"hret serve --model {model}, and its address as api_base; or a smolagents model",
        )
    endpoint = endpoint_of(api_base=api_base, api_key=api_key, max_retries=max_retries)
    return OpenAIModel(
        model_id=model_name(model or DEFAULT_MODEL),
        api_base=endpoint.base_url,
        api_key=endpoint.api_key.reveal() if endpoint.api_key else "none",
        client_kwargs={
            "max_retries": endpoint.max_retries,
            "timeout": endpoint.timeout,
            "default_query": endpoint.query_params,
        },
        retry=False,  # the client retries, and waits as long as the server asks
    )


class Metered(Model):  # type: ignore[misc]  # smolagents ships no types
    """A smolagents model whose calls are counted and paid.

    Under a limit of money a call reserves its worst first: every byte a token, the longest reply.
    A model that we made is told that length; one that a user made keeps to its own `max_tokens`.

    Args:
        bounded: may a limit of the reply's length be sent?
        scrub: takes keys out of a text.
    """

    def __init__(
        self, model: Model, purse: Purse, *, bounded: bool, scrub: Callable[[str], str]
    ) -> None:
        super().__init__(model_id=str(model.model_id or type(model).__name__))
        purse.knows(str(self.model_id))
        self._model, self._purse, self._scrub = model, purse, scrub
        self._limits = list(LIMITS) if bounded and purse.most is not None else []
        own = [model.kwargs.get(name) for name in LIMITS]
        self._longest = next((n for n in own if isinstance(n, int)), REPLY)
        self.usage, self._unknown = Usage(), False
        self.failed: BaseException | None = None

    @property
    def cost_usd(self) -> float | None:
        """USD that the calls came to; None at an unknown price, or where one told no usage."""
        if self._unknown:
            return None
        return cost(str(self.model_id), self.usage) if self.usage.requests else 0.0

    def generate(self, messages: list[Any], **more: Any) -> ChatMessage:
        """The model's next message.

        Raises:
            UserError: the call failed, or its worst case might exceed what may be spent.
        """
        worst = Usage(1, _bytes(messages, more), self._longest)
        try:
            self._room_for(worst)
            message = self._sent(messages, worst, more)
        except BaseException as e:
            self.failed = e
            raise
        told = message.token_usage
        if told and (told.input_tokens or told.output_tokens):
            self._pay(Usage(1, told.input_tokens, told.output_tokens))
        else:
            self._lost(worst)
        return message

    def parse_tool_calls(self, message: ChatMessage) -> ChatMessage:
        """The calls that a message without any holds in its text."""
        return self._model.parse_tool_calls(message)

    def _room_for(self, worst: Usage) -> None:
        left = self._purse.left
        if left is not None and (cost(str(self.model_id), worst) or 0.0) > left:
            raise CostLimit(
                f"{self._purse.spent:.4f} USD are spent, and the agent's next step might exceed "
                f"max_cost {self._purse.most:g}",
                hint="what was done is kept: raise max_cost, and run this again",
            )

    def _sent(self, messages: list[Any], worst: Usage, more: dict[str, Any]) -> ChatMessage:
        limit = {self._limits[0]: self._longest} if self._limits else {}
        try:
            return self._model.generate(messages, **limit, **more)
        except HretError:
            raise
        except Exception as e:  # a model's client raises whatever it likes
            if limit and self._limits[0] in str(e) and len(self._limits) > 1:
                self._limits.pop(0)
                return self._sent(messages, worst, more)
            if (status := _status(e)) is None:
                self._lost(worst)
            raise self._named(e, status) from None
        except KeyboardInterrupt:
            self._lost(worst)
            raise

    def _lost(self, worst: Usage) -> None:
        """A call was sent, and nothing says what it cost: for the limit its worst, and unknown."""
        self.usage, self._unknown = self.usage + Usage(1), True
        self._purse.pay(cost(str(self.model_id), worst))
        self._purse.pay(None)

    def _pay(self, usage: Usage) -> None:
        self.usage += usage
        self._purse.pay(cost(str(self.model_id), usage))

    def _named(self, error: Exception, status: int | None) -> UserError:
        said = self._scrub(" ".join(f"{type(error).__name__}: {error}".split())[:300])
        text = f"the agent's model {self.model_id} failed: {said}"
        if status in (401, 403):
            return AuthError(text, hint="check OPENAI_API_KEY, or the key of the model you made")
        return UserError(text, hint="what was done is kept: run this again")


def _status(error: Exception) -> int | None:
    """The HTTP status in a client's error, of whichever client."""
    reply = getattr(error, "response", None)
    found = getattr(error, "status_code", None) or getattr(reply, "status_code", None)
    return found if isinstance(found, int) else None


def _bytes(messages: list[Any], more: dict[str, Any]) -> int:
    """What a call sends, at its most: no token is shorter than a byte."""
    texts = [
        json.dumps(getattr(m, "content", m), ensure_ascii=False, default=str) for m in messages
    ]
    tools = more.get("tools_to_call_from") or ()
    texts += [f"{t.name} {t.description} {json.dumps(t.inputs)}" for t in tools]
    return sum(len(text.encode("utf-8", "replace")) + FRAME for text in texts)
