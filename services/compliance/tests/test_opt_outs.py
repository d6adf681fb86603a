"""What subjects do not want done with their data: at once, once, and taken back."""

from __future__ import annotations

from collections.abc import Awaitable

import httpx

from compliance.domain import OptedIn, OptedOut, Use, opt_outs
from contracts import compliance as messages
from eventlog.testing import given
from messaging.testing import eventually, read_all
from service.testing import Running

OUT, BACK = OptedOut("ada", Use.MARKETING), OptedIn("ada", Use.MARKETING)


def test_a_choice_is_recorded_when_it_changes_something() -> None:
    given(opt_outs).when(OUT).then(OUT)
    given(opt_outs, OUT).when(OUT).then_nothing()
    given(opt_outs, OUT).when(OptedOut("ada", Use.PROFILING)).then(OptedOut("ada", Use.PROFILING))
    given(opt_outs, OUT).when(BACK).then(BACK)
    given(opt_outs).when(BACK).then_nothing()
    given(opt_outs, OUT, BACK).when(OUT).then(OUT)


async def test_a_subject_opts_out_at_once_and_the_others_hear_of_it(compliance: Running, kafka: str) -> None:
    path = "/subjects/ada/opt-outs"
    async with compliance.client("ada", "user") as ada, compliance.client("ads", "service") as platform:

        async def has_opted_out() -> bool:
            return bool((await platform.get(f"{path}/marketing")).json()["opted_out"])

        async def chosen(answering: Awaitable[httpx.Response]) -> int:
            answer = await answering
            assert answer.status_code == 200, answer.text
            return int(answer.json()["events"])

        assert not await has_opted_out()
        for key, events in (("1", 1), ("2", 0)):
            assert await chosen(ada.put(f"{path}/marketing", headers={"idempotency-key": key})) == events
        assert await has_opted_out()
        assert await chosen(ada.put(f"{path}/sale-or-sharing", headers={"idempotency-key": "3"})) == 1
        assert (await ada.get(path)).json()["out_of"] == ["marketing", "sale-or-sharing"]
        assert await chosen(ada.delete(f"{path}/marketing", headers={"idempotency-key": "4"})) == 1
        assert not await has_opted_out()
    async with compliance.client("eve", "user") as eve:
        assert (await eve.put(f"{path}/profiling", headers={"idempotency-key": "5"})).status_code == 403
        assert (await eve.get(path)).status_code == 403

    async def told() -> list[bytes | None]:
        types = [dict(record.headers)["ce_type"] for record in await read_all(kafka, "compliance.events")]
        return types if len(types) >= 3 else []

    await eventually(told)
    assert await told() == [messages.OptedOut.type.encode()] * 2 + [messages.OptedIn.type.encode()]
