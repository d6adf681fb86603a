"""Listens told in parts while they play; each is decided once, when it ends."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal, assert_never

import asyncpg
from fastapi import Request
from pydantic import Field

from contracts.values import SubjectId
from eventlog import Execution, Executor, Intent
from rewards import domain, reports
from rewards.api.activity import From, Result, origin_of, result_of
from rewards.api.common import User
from rewards.domain.playing import EndPlaying, HearPart, PlayingCommand, PlayingStarted, StartPlaying, playing_stream
from rewards.recorder import Outcome, Recorder, Reported, in_one, new_reward_id
from service import IdempotencyKey, Problem, Recorded, Router, Strict, Token, may_act_for, metadata_of

Second = Annotated[int, Field(ge=0, le=86_400, strict=True)]


class Start(From):
    """A track begins; whatever else the user plays ends."""

    kind: Literal["start"]
    activity_id: SubjectId = Field(description="names the listen, as in POST /activities")
    track_id: SubjectId
    track_seconds: Annotated[int, Field(ge=1, le=86_400, strict=True)]


class Progress(Strict):
    """Seconds of the track that were heard; they may overlap what was told before."""

    kind: Literal["progress"]
    activity_id: SubjectId
    first_second: Second
    end_second: Second = Field(description="the first one that was not heard")


class End(Strict):
    kind: Literal["end"]
    activity_id: SubjectId


Part = Annotated[Start | Progress | End, Field(discriminator="kind")]


class Played(Recorded):
    heard_seconds: int = Field(description="that count so far, of what plays now")
    ended: Result | None = Field(description="what the listen came to that ended with this part")


def routes(service: str, executor: Executor, recorder: Recorder, origins: reports.Origins) -> Router:
    router = Router()

    @router.post("/users/{user}/playing", summary="Tell what a user is playing: start, progress, end")
    async def play(user: SubjectId, body: Part, caller: User, key: IdempotencyKey, request: Request) -> Played:
        may_act_for(caller, user)
        now, stream, metadata = datetime.now(UTC), playing_stream(user), metadata_of(caller, key)
        peer = request.client.host if request.client is not None else None
        origin = await origin_of(origins, body, now, caller, peer) if isinstance(body, Start) else domain.Origin()
        command = _command(body, user, origin, now)
        intent = Intent(stream, domain.playing, command, now, metadata)

        async def take(conn: asyncpg.Connection) -> tuple[Execution, Outcome | None]:
            execution = await executor.execute([intent], conn)
            if (over := _over(execution, command, stream)) is None:
                return execution, None
            # Nobody waits for the listen of this name that was reported whole: the conflict is on record.
            report = domain.Report(over, new_reward_id(), now, is_answered=False)
            return execution, await recorder.record([Reported(report, metadata)], conn)

        try:
            execution, outcome = await in_one(executor.log.pool, take)
        except domain.RefusedPart as refused:
            raise Problem(409, refused.code, "The part does not fit what the user is playing.", str(refused)) from None
        execution.committed()
        if outcome is not None:
            outcome.committed()
        appended = execution.appended
        token = Token(log=service, stream=stream, position=appended.position) if appended is not None else None
        if outcome is not None and outcome.appended:
            token = Token(log=service, stream=outcome.stream, position=outcome.position)
        return Played(
            events=len(execution.events[0]) + (outcome.appended if outcome is not None else 0),
            token=token.encode() if token is not None else None,
            heard_seconds=execution.state(stream).seconds,
            ended=result_of(outcome.recorded[0]) if outcome is not None else None,
        )

    return router


def _command(part: Start | Progress | End, user: str, origin: domain.Origin, at: datetime) -> PlayingCommand:
    match part:
        case Start():
            started = PlayingStarted(part.activity_id, user, part.track_id, part.track_seconds, origin, at)
            return StartPlaying(started)
        case Progress():
            return HearPart(part.activity_id, part.first_second, part.end_second, at)
        case End():
            return EndPlaying(part.activity_id)
        case never:
            assert_never(never)


def _over(execution: Execution, command: PlayingCommand, stream: str) -> domain.Listen | None:
    """The listen that a part has ended, now or when it came before."""
    for new in execution.events[0]:
        if isinstance(new.event, domain.PlayingEnded):
            return new.event.listen
    state: domain.Playing = execution.state(stream)
    return state.ended if isinstance(command, EndPlaying) else None
