"""A completions endpoint over a real (tiny) model: echo and log-probs as vLLM and others tell them.

`style` says how tokens are told: "vllm" (bytes of one sign that are not whole have no text, the
last one has the sign), "signs" (each is U+FFFD), "ids" ("token_id:17"), each with offsets that are
the sum of these texts' lengths.
"""

from itertools import accumulate
from pathlib import Path
from typing import Any

from tests.fakes.chat_protocol import Body, Refused, models_reply
from tests.fakes.small import SmallServer


class EchoLM(SmallServer):
    """The server, as a context manager. `least`: the fewest tokens that it generates."""

    def __init__(self, folder: Path, *, style: str = "vllm", least: int = 0) -> None:
        super().__init__()
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.torch, self.style, self.least = torch, style, least
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder).float().eval()

    def answer(self, method: str, path: str, body: Any) -> Body:
        """The reply to a request."""
        if path == "/v1/models":
            return models_reply(["tiny"])
        if path != "/v1/completions":
            raise Refused.saying(404, {"detail": "Not Found"})
        most = body.get("max_tokens", 16)
        if most < self.least:
            raise Refused(400, f"max_tokens must be at least {self.least}, got {most}.")
        prompt = body["prompt"]
        ids = self.tokenizer(prompt)["input_ids"] if isinstance(prompt, str) else list(prompt)
        made = self._generated(ids, most)
        echoed = ids if body.get("echo") else []
        choice = {
            "index": 0,
            "text": self.tokenizer.decode(echoed + made, skip_special_tokens=True),
            "logprobs": self._logprobs(ids + made, len(ids) - len(echoed)),
            "finish_reason": "length",
        }
        usage = {"prompt_tokens": len(ids), "completion_tokens": len(made)}
        return {"object": "text_completion", "choices": [choice], "usage": usage}

    def _generated(self, ids: list[int], number: int) -> list[int]:
        made: list[int] = []
        with self.torch.inference_mode():
            for _ in range(number):
                logits = self.model(self.torch.tensor([ids + made])).logits[0, -1]
                made.append(int(logits.argmax()))
        return made

    def _logprobs(self, ids: list[int], first: int) -> Body:
        with self.torch.inference_mode():
            logits = self.model(self.torch.tensor([ids])).logits[0].double()
        logprobs = logits.log_softmax(-1)
        values: list[float | None] = [None]
        tops: list[dict[str, float] | None] = [None]
        texts = self._texts(ids)
        for place, token in enumerate(ids[1:], 1):
            best = int(logprobs[place - 1].argmax())
            values.append(float(logprobs[place - 1, token]))
            top = {self._texts([best])[0]: float(logprobs[place - 1, best])}
            tops.append({**top, texts[place]: float(logprobs[place - 1, token])})
        ends = list(accumulate(map(len, texts)))
        offsets = [end - len(text) for end, text in zip(ends, texts, strict=True)]
        told: dict[str, list[Any]] = {"tokens": texts, "token_logprobs": values}
        told |= {"top_logprobs": tops, "text_offset": offsets}
        return {name: column[first:] for name, column in told.items()}

    def _texts(self, ids: list[int]) -> list[str]:
        if self.style == "ids":
            return [f"token_id:{i}" for i in ids]
        texts, begun = [], 0
        for place in range(len(ids)):
            text = self.tokenizer.decode(ids[begun : place + 1])
            if text.endswith("\ufffd"):
                texts.append("" if self.style == "vllm" else "\ufffd")
                continue
            texts.append(text if self.style == "vllm" or begun == place else "\ufffd")
            begun = place + 1
        return texts
