"""The tiny UMT5 text encoder, and how captions become text states."""

from __future__ import annotations

import torch

#: Token slots in training; the last one is always padding.
TEXT_SLOTS = 44
#: The prompt length that the model is made for, and the lengths that training draws from. Short ones: at 512, the
#: default of WanPipeline, hundreds of zero states drown the words and the text is hardly learned.
PROMPT_LENGTH = 48
PADDED_LENGTHS = (48, 64)


def make_text_encoder(cfg: dict, vocab_size: int):
    """A UMT5 encoder small enough to be trained together with the transformer."""
    from transformers import UMT5Config, UMT5EncoderModel

    t = cfg["text"]
    return UMT5EncoderModel(UMT5Config(
        vocab_size=vocab_size, d_model=t["d_model"], d_kv=t["d_kv"], d_ff=t["d_ff"], num_heads=t["num_heads"],
        num_layers=t["num_layers"], num_decoder_layers=t["num_layers"], dropout_rate=0.0, pad_token_id=0, eos_token_id=1,
        decoder_start_token_id=0, tie_word_embeddings=False, is_encoder_decoder=False, use_cache=False,
    ))


def tokenize(tokenizer, captions: list[str], dev) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask (B, TEXT_SLOTS); the last slot is always a padding slot."""
    out = tokenizer(captions, padding="max_length", max_length=TEXT_SLOTS - 1, truncation=True, return_tensors="pt")
    pad = (0, 1)
    return (torch.nn.functional.pad(out.input_ids, pad).to(dev), torch.nn.functional.pad(out.attention_mask, pad).to(dev))


def encode(encoder, ids, mask, padded_length: int):
    """Text states with padding zeroed, and the additive attention bias that stands for
    `padded_length - n` zero states: WanPipeline pads to a fixed length and does not mask,
    and that many equal keys weigh as much as one key with log(count) added to its score."""
    states = encoder(input_ids=ids, attention_mask=mask).last_hidden_state * mask[..., None]
    bias = torch.zeros(mask.shape, dtype=torch.float32, device=mask.device).masked_fill(mask == 0, -1e4)
    bias[:, -1] = torch.log((padded_length - mask.sum(1)).float())
    return states, bias
