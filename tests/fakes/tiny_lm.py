"""A tiny random Llama with a tokenizer trained on a few lines: a real model, made in a second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

LINES = [
    "대한민국의 수도는 어디입니까? 정답은 서울입니다.",
    "다음 중 옳은 것을 고르세요. (A) 부산 (B) 대구 (C) 인천 (D) 광주",
    "물은 섭씨 몇 도에서 끓습니까? 정답: 100도",
    "The capital of Korea is Seoul. Which of the following is right?",
    "Question: what is two and two? Answer: four. Then there is more to say.",
    "0 1 2 3 4 5 6 7 8 9 10 A. B. C. D. E. true false yes no",
]
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<{{ m['role'] }}>\n{{ m['content'] }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>\n{% endif %}"
)


def make(
    folder: Path,
    *,
    begins: bool = True,
    chat: bool = False,
    vocabulary: int = 512,
    context: int = 256,
    hidden: int = 64,
    layers: int = 2,
    seed: int = 0,
    lines: Sequence[str] = LINES,
    **config: Any,
) -> Path:
    """Save model and tokenizer in `folder`. Heads have 32 dimensions, so that vLLM loads it too.

    `begins`: the tokenizer puts `<s>` before every text. `chat`: it has a chat template.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    tokenizer = make_tokenizer(vocabulary, begins=begins, lines=lines)
    if chat:
        tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.model_max_length = context
    tokenizer.save_pretrained(folder)
    told = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 32,
        num_key_value_heads=max(1, hidden // 64),
        max_position_embeddings=context,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.2,
        **config,
    )
    LlamaForCausalLM(told).save_pretrained(folder)
    return folder


def make_tokenizer(vocabulary: int, *, begins: bool, lines: Sequence[str] = LINES) -> Any:
    """A byte-level BPE of `lines`, `<s>` and `</s>` first."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(lines, trainer)
    if begins:
        bpe.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", 0)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", clean_up_tokenization_spaces=False
    )
