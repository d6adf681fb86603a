"""Votes: one per user and track, changeable."""

from __future__ import annotations

from dataclasses import dataclass

from eventlog import Decider


@dataclass(frozen=True, slots=True)
class CastVote:
    user: str
    track_id: str
    like: bool


@dataclass(frozen=True, slots=True)
class VoteCast:
    user: str
    track_id: str
    like: bool
    replaces: bool | None  # the vote before, if there was one


def cast_vote(command: CastVote, current: bool | None) -> list[VoteCast]:
    if command.like == current:
        return []
    return [VoteCast(command.user, command.track_id, command.like, replaces=current)]


vote: Decider[CastVote, bool | None, VoteCast] = Decider(None, cast_vote, lambda _, cast: cast.like)
