"""The worker that decodes raw logs by an ABI that came later.

A raw log stays what it is; what it says is a new event behind it, `LogDecoded`, whose id follows from that of the raw
one. How far the raw logs were reviewed is a stream of its own, whose version each append names.
"""

from __future__ import annotations

from datetime import UTC, datetime

from chain import metrics
from chain.decoding import LogReader
from chain.domain import LogDecoded, UndecodedLog, undecoded_stream
from chain.domain.watch import LogsReviewed, Watched, review_cursor
from chain.past.progress import Watching, grown
from eventlog import EventLog, Metadata, NewEvent, RecordedEvent, Watermark, WrongExpectedVersion, derived_id
from messaging.leader import leadership, while_leading
from service import get_logger

RAW_AT_ONCE = 500
log = get_logger("chain.redecode")


class Redecoder:
    """Reviews the raw logs of each contract that was given an ABI after it was watched, and those that come; a worker.

    Any number of instances may run.
    """

    name = "redecoder"

    def __init__(
        self,
        event_log: EventLog,
        watermark: Watermark,
        *,
        poll_seconds: float = 0.5,
        raw_at_once: int = RAW_AT_ONCE,
    ) -> None:
        self._log = event_log
        self._watermark = watermark
        self._poll_seconds = poll_seconds
        self._raw_at_once = raw_at_once
        self._watching = Watching(event_log)
        self._seen: dict[str, tuple[int, int]] = {}  # by contract: number of ABIs, version of the raw logs' stream

    async def run(self) -> None:
        """Runs until cancelled."""
        async with leadership(self._log.pool, f"chain:{self.name}") as lock:
            await while_leading(lock, self.redecode())

    async def redecode(self) -> None:
        """Runs until cancelled, without asking whether another one does: the review's version keeps that harmless."""
        while True:
            try:
                seen, state = self._watermark.position, await self._watching.now()
                reviewed = [await self._review(one) for one in state.in_force.values() if _was_given_more(one)]
                if not any(reviewed):
                    await grown(self._watermark, seen, self._poll_seconds)
            except WrongExpectedVersion as error:
                metrics.FENCED.inc()
                log.warning("another one was faster, reading the review again", reason=str(error))
                self._seen.clear()

    async def _review(self, contract: Watched) -> bool:
        """Reviews some raw logs; whether there were any."""
        version, done = await last_review(self._log, contract)
        known = sum(abi.since is not None for abi in contract.abis)
        abis, upto = self._seen.get(contract.name, (done.abis, done.upto))
        if abis < known:
            upto = 0
        page, decoded = await decodable(self._log, contract, upto, self._raw_at_once)
        upto = page[-1].version if page else upto
        # What says nothing by any ABI is noted by the page, so that a stranger's nonsense does not double the log.
        if decoded or len(page) == self._raw_at_once or done.abis < known:
            review = LogsReviewed(contract.name, known, upto, len(decoded))
            stream = review_cursor(contract.name)
            events = [*decoded, NewEvent(stream, review, datetime.now(UTC))]
            await self._log.append(events, {stream: version})
            metrics.REDECODED.labels(contract.name).inc(len(decoded))
            log.info("raw logs reviewed", contract=contract.name, upto=upto, decoded=len(decoded))
        self._seen[contract.name] = known, upto
        return bool(page)


def _was_given_more(contract: Watched) -> bool:
    """Whether it has an ABI that some of its logs were recorded without."""
    return any(abi.since for abi in contract.abis)


async def last_review(log: EventLog, contract: Watched) -> tuple[int, LogsReviewed]:
    """The version of the review's stream and its last event."""
    recorded = await log.last(review_cursor(contract.name))
    if recorded is None:
        return 0, LogsReviewed(contract.name, 0, 0, 0)
    return recorded.version, recorded.event


async def decodable(
    log: EventLog, contract: Watched, after: int, limit: int
) -> tuple[list[RecordedEvent], list[NewEvent]]:
    """Some of the raw logs behind a version, and what they say that was not said before."""
    page = await log.read_stream(undecoded_stream(contract.name), after, limit)
    if not page:
        return [], []
    reader = LogReader(contract.name, [abi for abi in contract.abis if abi.since is not None])
    found = {new.event_id: new for recorded in page if (new := _event(reader, recorded)) is not None}
    sql = "SELECT event_id FROM events WHERE event_id = ANY($1)"
    known = {row["event_id"] for row in await log.pool.fetch(sql, list(found))} if found else set()
    return page, [new for event_id, new in found.items() if event_id not in known]


def _event(reader: LogReader, recorded: RecordedEvent) -> NewEvent | None:
    """What a raw log says, behind it in its stream."""
    raw = recorded.event
    event: LogDecoded | None = None
    if isinstance(raw, UndecodedLog):
        event = reader.review(raw, str(recorded.event_id))
    if event is None:
        return None
    event_id = derived_id(f"decoded/{recorded.event_id}", recorded.occurred_at)
    metadata = Metadata(causation_id=str(recorded.event_id))
    return NewEvent(recorded.stream, event, recorded.occurred_at, event_id, metadata)
