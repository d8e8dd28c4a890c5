"""The checker finds every kind of fault, and none where there is none."""

from __future__ import annotations

from bot.playground.local import LocalSlack
from tests.faults.checker import Asked, History, Said, Verdict, history_of, judge


def asked(ts: str, *, acked: bool = True, deleted: bool = False, thread: str = "1") -> Asked:
    """A question sent at its ts and taken at once, if at all."""
    return Asked("C1", ts, thread, float(ts), float(ts) if acked else None, deleted)


def said(ts: str, to: str | None, *, thread: str = "1", **more: bool) -> Said:
    return Said("C1", ts, thread, f"C1:{to}" if to else None, **more)


def test_questions_answered_once_and_in_order_are_clean() -> None:
    verdict = judge(History([asked("1"), asked("3"), asked("4")], [said("2", "1"), said("5", "3"), said("6", "4")]))

    assert verdict.is_clean
    assert (verdict.asked, verdict.acked, verdict.answered, verdict.apologised) == (3, 3, 3, 0)
    assert verdict.least() == []


def test_an_acknowledged_question_without_an_answer_is_lost() -> None:
    verdict = judge(History([asked("1"), asked("2")], [said("3", "2")]))

    assert verdict.lost == [asked("1")]


def test_a_question_that_was_never_acknowledged_is_not_lost() -> None:
    verdict = judge(History([asked("1", acked=False)], []))

    assert verdict.lost == []
    assert verdict.unanswered == [asked("1", acked=False)]
    assert verdict.acked == 0


def test_an_apology_counts_as_one_and_not_as_an_answer() -> None:
    verdict = judge(History([asked("1")], [said("2", "1", is_apology=True)]))

    assert verdict.is_clean
    assert (verdict.answered, verdict.apologised) == (0, 1)


def test_a_second_message_to_a_question_is_a_duplicate_even_an_unfinished_one() -> None:
    twice = judge(History([asked("1")], [said("2", "1"), said("3", "1")]))
    begun = judge(History([asked("1")], [said("2", "1"), said("3", "1", is_whole=False)]))

    assert twice.duplicated == [asked("1")]
    assert begun.duplicated == [asked("1")]


def test_receipts_answer_nothing() -> None:
    verdict = judge(History([asked("1")], [said("2", None, is_receipt=True), said("3", "1")]))

    assert verdict.is_clean


def test_an_answer_before_that_of_an_earlier_question_is_out_of_order() -> None:
    verdict = judge(History([asked("1"), asked("2"), asked("3")], [said("4", "2"), said("5", "1"), said("6", "3")]))

    assert verdict.misordered == [asked("1")]


def test_a_question_that_slack_brought_late_may_be_answered_late() -> None:
    late = Asked("C1", "1", "1", sent_at=1.0, acked_at=2.5)
    verdict = judge(History([late, asked("2")], [said("3", "2"), said("4", "1")]))

    assert verdict.is_clean
    assert verdict.overtaken == [late]


def test_order_is_kept_per_thread_alone() -> None:
    verdict = judge(
        History(
            [asked("1", thread="1"), asked("2", thread="2")],
            [said("3", "2", thread="2"), said("4", "1", thread="1")],
        )
    )

    assert verdict.is_clean


def test_a_stream_left_spinning_is_unfinished_and_no_answer() -> None:
    verdict = judge(History([asked("1")], [said("2", None, is_whole=False)]))

    assert verdict.unfinished == [said("2", None, is_whole=False)]
    assert verdict.lost == [asked("1")]


def test_a_message_without_a_name_answers_the_earliest_waiting_question_of_its_thread() -> None:
    verdict = judge(History([asked("1"), asked("2")], [said("3", "1"), said("4", None)]))
    extra = judge(History([asked("1")], [said("2", "1"), said("3", None)]))

    assert verdict.is_clean
    assert extra.duplicated == [asked("1")]


def test_an_answer_to_a_deleted_question_or_to_none_is_unexpected() -> None:
    deleted = judge(History([asked("1", deleted=True)], [said("2", "1")]))
    other = judge(History([asked("1")], [said("2", "1"), said("3", "9")]))
    early = judge(History([asked("2")], [said("1", None), said("3", "2")]))

    assert deleted.unexpected == [said("2", "1")]
    assert not deleted.lost
    assert other.unexpected == [said("3", "9")]
    assert early.unexpected == [said("1", None)]


def test_the_least_history_is_that_of_the_faulty_threads() -> None:
    verdict = judge(
        History(
            [asked("1", thread="1"), asked("2", thread="2")],
            [said("3", "1", thread="1"), said("4", "1", thread="1"), said("5", "2", thread="2")],
        )
    )

    assert verdict.least() == [
        "thread C1:1",
        "1 asked acked",
        "3 said  answer to C1:1",
        "4 said  answer to C1:1",
    ]


async def test_a_history_is_read_from_a_local_slack() -> None:
    async with LocalSlack(posts_per_second=None) as slack:
        ada = slack.add_user("Ada")
        channel = slack.add_channel("general", members=[ada])
        slack.workspace.deliveries.retry_delays_s = ()
        slack.sockets.ack_timeout_s = 0.05
        question = await slack.mention(ada, "general", "When?")
        label = {"event_type": "recollect_answer", "event_payload": {"key": f"{channel.id}:{question.ts}"}}
        answer = slack.workspace.post(
            slack.store.bot,
            channel,
            "Nine.",
            thread_ts=question.ts,
            blocks=[{"type": "markdown", "text": "Nine."}],
            metadata=label,
        )
        sources = [{"type": "rich_text", "elements": []}]
        apology = slack.workspace.post(slack.store.bot, channel, "Sorry.", thread_ts=question.ts, blocks=sources)
        stream = slack.workspace.post(slack.store.bot, channel, "Ni", thread_ts=question.ts, streaming=True)
        await slack.settle()

        history = history_of(slack, [question])

    [seen] = history.asked
    assert (seen.key, seen.thread_ts, seen.acked) == (f"{channel.id}:{question.ts}", question.ts, False)
    assert seen.sent_at == slack.delivered(question)[0].queued_at
    assert [(s.ts, s.key, s.is_whole, s.is_apology) for s in history.said] == [
        (answer.ts, f"{channel.id}:{question.ts}", True, False),
        (apology.ts, None, True, True),
        (stream.ts, None, False, False),
    ]
    assert judge(history).answered_at[seen] == answer.finished_at


def test_verdicts_on_several_worlds_add_up() -> None:
    good = judge(History([asked("1"), asked("3")], [said("2", "1"), said("4", "3")]))
    bad = judge(History([asked("5"), asked("6")], [said("7", "5"), said("8", "5")]))

    merged = Verdict.merged([good, bad])

    assert (merged.asked, merged.acked, merged.answered) == (4, 4, 3)
    assert merged.lost == [asked("6")]
    assert merged.duplicated == [asked("5")]
    assert set(merged.answered_at) == {asked("1"), asked("3"), asked("5")}
    assert not merged.is_clean
