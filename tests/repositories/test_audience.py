from __future__ import annotations

import random

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.engine import Sessions
from bot.repositories.channels import ChannelRepository, personal_channel_id
from bot.repositories.users import UserRepository
from bot.values import ChannelKind, Person, UserKind
from tests.conftest import OTHER_TEAM, TEAM
from tests.repositories.builders import channel, person, record_user

PUBLIC, PRIVATE, IM, MPIM = ChannelKind.PUBLIC, ChannelKind.PRIVATE, ChannelKind.IM, ChannelKind.MPIM


async def furnish(session: AsyncSession) -> str:
    """Set up a company: Ada and Bob are members, Gil is a guest in one channel; return Ada's personal place."""
    users, channels = UserRepository(session), ChannelRepository(session)
    ada = await users.record_person(TEAM, person("UADA"))
    await users.record_person(TEAM, person("UBOB"))
    await users.record_person(TEAM, person("UGIL", kind=UserKind.GUEST))
    for place in (
        channel("CGENERAL", ["UADA", "UBOB"]),
        channel("CRANDOM", ["UBOB"]),
        channel("CCLIENT", ["UADA", "UGIL"], has_outsiders=True),
        channel("GBOARD", ["UADA"], kind=PRIVATE),
        channel("GBOBS", ["UBOB"], kind=PRIVATE),
        channel("GMIX", ["UADA", "UGIL"], kind=PRIVATE, has_outsiders=True),
        channel("DADA", ["UADA"], kind=IM),
        channel("DGIL", ["UGIL"], kind=IM, has_outsiders=True),
        channel("MPIM", ["UADA", "UBOB"], kind=MPIM),
    ):
        await channels.record_channel(TEAM, place)
    return await channels.record_personal(TEAM, ada)


ALL_PUBLIC = {"CGENERAL", "CRANDOM", "CCLIENT"}
ADAS = ALL_PUBLIC | {"GBOARD", "GMIX", "DADA", "MPIM", "personal"}


@pytest.mark.parametrize(
    ("place", "asker", "private", "expected"),
    [
        pytest.param("CGENERAL", "UADA", False, ALL_PUBLIC, id="in a public channel: what is public"),
        pytest.param(
            "GBOARD", "UADA", False, ALL_PUBLIC | {"GBOARD"}, id="in a private one: its own and what is public"
        ),
        pytest.param("MPIM", "UBOB", False, ALL_PUBLIC | {"MPIM"}, id="in a group message: its own and what is public"),
        pytest.param("CCLIENT", "UADA", False, {"CCLIENT"}, id="among outsiders: its own alone"),
        pytest.param("GMIX", "UADA", False, {"GMIX"}, id="among outsiders in private: its own alone"),
        pytest.param("CUNKNOWN", "UADA", False, {"CUNKNOWN"}, id="in an unknown channel: its own alone"),
        pytest.param("CGENERAL", "UNOBODY", False, {"CGENERAL"}, id="asked by a stranger: its own alone"),
        pytest.param("CGENERAL", "UGIL", False, {"CGENERAL"}, id="asked by a guest: its own alone"),
        pytest.param("DADA", "UADA", False, ADAS, id="in a direct message: all the asker may read"),
        pytest.param("CGENERAL", "UADA", True, ADAS - {"DADA"} | {"DADA"}, id="shown to the asker only: the same"),
        pytest.param("CCLIENT", "UADA", True, ADAS, id="shown to the asker only among outsiders: the same"),
        pytest.param("CUNKNOWN", "UADA", True, ADAS, id="shown to the asker only, somewhere unknown: the same"),
        pytest.param("DGIL", "UGIL", False, {"CCLIENT", "GMIX", "DGIL", "personal"}, id="a guest's direct message"),
        pytest.param("CCLIENT", "UGIL", True, {"CCLIENT", "GMIX", "DGIL", "personal"}, id="shown to a guest only"),
        pytest.param("CGENERAL", "UNOBODY", True, set(), id="shown to a stranger only: nothing"),
        pytest.param("GBOBS", "UADA", True, ADAS, id="shown to the asker only, from where they are not: not that"),
    ],
)
async def test_the_audience_of_an_answer(
    sessions: Sessions, place: str, asker: str, *, private: bool, expected: set[str]
) -> None:
    async with sessions.tenant(TEAM) as session:
        await furnish(session)
        audience = await ChannelRepository(session).get_audience(
            TEAM, channel_id=place, slack_user_id=asker, private=private
        )
        user = await UserRepository(session).get_by(TEAM, slack_user_id=asker)

    own = personal_channel_id(user.id) if user else ""
    assert {"personal" if c == own else c for c in audience.channel_ids} == expected


async def test_what_one_person_may_read_by_themselves(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        own = await furnish(session)
        channels = ChannelRepository(session)
        ada = await record_user(session, "UADA")
        by_key = (await UserRepository(session).create(TEAM, name="Key")).id

        adas = await channels.get_audience_of(TEAM, ada)
        keys = await channels.get_audience_of(TEAM, by_key)

    assert adas.channel_ids == ADAS - {"personal"} | {own}
    assert keys.channel_ids == ALL_PUBLIC | {personal_channel_id(by_key)}


async def test_somebody_elses_personal_place_is_nobodys_to_ask_in(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        adas = await furnish(session)
        audience = await ChannelRepository(session).get_audience(TEAM, channel_id=adas, slack_user_id="UBOB")

    assert adas not in audience.channel_ids


async def test_another_workspaces_channels_are_never_part_of_it(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await furnish(session)
    async with sessions.tenant(OTHER_TEAM) as session:
        await UserRepository(session).record_person(OTHER_TEAM, person("UADA"))
        audience = await ChannelRepository(session).get_audience(
            OTHER_TEAM, channel_id="CGENERAL", slack_user_id="UADA"
        )

    assert audience.channel_ids == {"CGENERAL"}


@pytest.mark.parametrize("seed", range(6))
async def test_everyone_who_sees_an_answer_may_read_all_it_uses(sessions: Sessions, seed: int) -> None:
    rng = random.Random(seed)
    kinds = {f"U{n}": rng.choice([UserKind.MEMBER, UserKind.MEMBER, *UserKind]) for n in range(6)}
    places = {}
    for n in range(10):
        members = rng.sample(sorted(kinds), rng.randint(1, 5))
        outsiders = any(kinds[user] != UserKind.MEMBER for user in members)
        places[f"C{n}"] = channel(f"C{n}", members, kind=rng.choice([PUBLIC, PRIVATE, MPIM]), has_outsiders=outsiders)

    def may_read(user: str, channel_id: str) -> bool:
        place = places[channel_id]
        return user in place.member_ids or (place.kind == PUBLIC and kinds[user] == UserKind.MEMBER)

    async with sessions.tenant(TEAM) as session:
        channels = ChannelRepository(session)
        for user, kind in kinds.items():
            await UserRepository(session).record_person(TEAM, Person(user, user, kind=kind))
        for place in places.values():
            await channels.record_channel(TEAM, place)

        for place in places.values():
            for asker in place.member_ids:
                for private in (False, True):
                    audience = await channels.get_audience(
                        TEAM, channel_id=place.channel_id, slack_user_id=asker, private=private
                    )
                    used = [c for c in audience.channel_ids if c in places]
                    seen_by = [asker] if private else place.member_ids
                    leaks = [(user, c) for user in seen_by for c in used if not may_read(user, c)]
                    assert leaks == []
                    assert place.channel_id in used
