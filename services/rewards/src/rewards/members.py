"""Where members are in the log, and what is decided on a user and a member at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eventlog import JointIntent, Metadata
from rewards.domain import members


def member_stream(user: str) -> str:
    return f"{members.MEMBERS}{user}"


def register(command: members.RegisterMember, metadata: Metadata) -> JointIntent:
    """A user's wish to be this member. Two users who wish to be the same one meet in its stream."""
    ours, theirs = member_stream(command.user), f"member-owner/{command.member}"

    def decided(states: Mapping[str, Any]) -> Sequence[tuple[str, object]]:
        found = zip((ours, theirs), members.register_member(command, states[ours], states[theirs]), strict=True)
        return [(stream, event) for stream, event in found if event is not None]

    return JointIntent({ours: members.member, theirs: members.owner}, decided, command.at, metadata)
