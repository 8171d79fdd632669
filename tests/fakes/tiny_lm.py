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
SIGHTED_TEMPLATE = CHAT_TEMPLATE.replace(
    "{{ m['content'] }}",
    "{% for part in m['content'] %}{% if part['type'] == 'image' %}<image>\n"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}",
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
        **{"initializer_range": 0.2, **config},
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


def make_sighted(folder: Path, *, chat: bool = True, seed: int = 0) -> Path:
    """Save a tiny LLaVA, which reads images of 32 by 32 pixels as 16 tokens, and its processor."""
    import torch
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig
    from transformers import LlavaForConditionalGeneration as Llava
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
    from transformers.models.llava.processing_llava import LlavaProcessor

    torch.manual_seed(seed)
    tokenizer = make_tokenizer(512, begins=True)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    image = tokenizer.convert_tokens_to_ids("<image>")
    side = {"height": 32, "width": 32}
    LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=side),
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=SIGHTED_TEMPLATE if chat else None,
    ).save_pretrained(folder)
    size: dict[str, Any] = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    size |= {"num_attention_heads": 2, "initializer_range": 0.2}
    eyes = CLIPVisionConfig(**size, image_size=32, patch_size=8)
    text = LlamaConfig(
        **size, vocab_size=len(tokenizer), max_position_embeddings=256, bos_token_id=0,
        eos_token_id=1,
    )  # fmt: skip
    config = LlavaConfig(vision_config=eyes, text_config=text, image_token_index=image)
    Llava(config).save_pretrained(folder)
    return folder


def make_cross_attending(folder: Path) -> Path:
    """Save a tiny Mllama and its processor: its token for an image is beyond the vocabulary."""
    import torch
    from transformers import MllamaConfig, MllamaForConditionalGeneration
    from transformers.models.mllama.configuration_mllama import MllamaTextConfig, MllamaVisionConfig
    from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil
    from transformers.models.mllama.processing_mllama import MllamaProcessor

    torch.manual_seed(0)
    tokenizer = make_tokenizer(512, begins=True)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|image|>"]})
    image, side = tokenizer.convert_tokens_to_ids("<|image|>"), 28
    MllamaProcessor(
        image_processor=MllamaImageProcessorPil(
            size={"height": side, "width": side}, max_image_tiles=1
        ),
        tokenizer=tokenizer,
        chat_template=SIGHTED_TEMPLATE.replace("<image>\n", "<|image|>\n"),
    ).save_pretrained(folder)
    eyes = MllamaVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_global_layers=1,
        attention_heads=2, image_size=side, patch_size=14, vision_output_dim=64, max_num_tiles=1,
        supported_aspect_ratios=[[1, 1]], intermediate_layers_indices=[1],
    )  # fmt: skip
    text = MllamaTextConfig(
        vocab_size=image, hidden_size=64, intermediate_size=128, num_hidden_layers=3,
        num_attention_heads=2, num_key_value_heads=1, cross_attention_layers=[1],
        max_position_embeddings=256, initializer_range=0.2, bos_token_id=0, eos_token_id=1,
        pad_token_id=0, rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    )  # fmt: skip
    model = MllamaForConditionalGeneration(
        MllamaConfig(vision_config=eyes, text_config=text, image_token_index=image)
    )
    with torch.no_grad():  # untrained, they let nothing of an image through
        for name, gate in model.named_parameters():
            if "gate" in name:
                gate.fill_(1.0)
    model.save_pretrained(folder)
    return folder


def make_judge(
    folder: Path,
    *,
    chat: bool = True,
    labels: int = 1,
    pad: bool = False,
    encoder: bool = False,
    problem_type: str | None = None,
) -> Path:
    """Save a tiny model that classifies sequences: a Llama, or a Roberta (`encoder`).

    `pad`: its configuration says what to pad with, which is what ends a text.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, LlamaConfig, RobertaConfig

    torch.manual_seed(0)
    tokenizer = make_tokenizer(512, begins=True)
    if chat:
        tokenizer.chat_template = CHAT_TEMPLATE
    if encoder:
        tokenizer.pad_token = "</s>"
    tokenizer.save_pretrained(folder)
    size: dict[str, Any] = {"vocab_size": 512, "hidden_size": 64, "intermediate_size": 128}
    size |= {"num_hidden_layers": 2, "num_attention_heads": 2, "initializer_range": 0.2}
    size |= {"problem_type": problem_type}
    size |= {"num_labels": labels, "max_position_embeddings": 130 if encoder else 128}
    config: Any = RobertaConfig(**size, pad_token_id=1) if encoder else LlamaConfig(
        **size, bos_token_id=0, eos_token_id=1, pad_token_id=1 if pad else None
    )  # fmt: skip
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    return folder
