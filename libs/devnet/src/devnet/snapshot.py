"""A chain in a file: the answers about its blocks, then one JSON object that says where they are and what the state is.

The file ends with the object's length and a mark, so that a file cut short is refused. It is written beside its name
and moved there: a name never stands for half a chain. It can be made again, so nothing waits for the disk.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import orjson

from devnet.archive import Archive, Stored, answers
from devnet.blocks import Block, genesis
from devnet.chain import Chain, Saved
from devnet.proto import HEADER, Dict, decode, encode
from devnet.settings import Settings

MARK = b"annals devnet 1\n"
_TRAILER = len(MARK) + 8


def save(chain: Chain, path: Path) -> None:
    """Writes the chain, its open block sealed, to `path`, over what was there."""
    saved = chain.saved()
    ids: dict[int, list[str]] = {}
    for identity, (number, _) in saved.places.items():
        ids.setdefault(number, []).append(identity.hex())
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".part")
    with draft.open("wb") as file:
        blocks = []
        for block in saved.blocks[1:]:
            bodies = answers(block)
            sizes = [len(body) for body in bodies]
            blocks.append(_described(block, ids.get(block.number, []), file.tell(), sizes))
            file.writelines(bodies)
        manifest = orjson.dumps(
            {
                "settings": asdict(chain.settings),
                "offset_ms": saved.offset_ms,
                "fork": saved.fork,
                "state": saved.state,
                "blocks": blocks,
            }
        )
        file.write(manifest + len(manifest).to_bytes(8, "big") + MARK)
    draft.replace(path)


def restore(path: Path, block_time: float | None) -> Chain:
    """Returns the chain that was saved at `path`, with its own settings but for the interval between blocks.

    Raises:
        ValueError: there is no such file, or it is none that `save` wrote.
    """
    try:
        archive = Archive(path)
    except FileNotFoundError as error:
        raise ValueError(f"no chain is saved as {path.stem!r}") from error
    manifest = _manifest(path, archive)
    settings = replace(Settings(**manifest["settings"]), block_time=block_time)
    blocks = [genesis(settings)]
    places = {transaction.id: (0, transaction.index) for transaction in blocks[0].transactions}
    for described in manifest["blocks"]:
        block = _block(described, archive)
        blocks.append(block)
        places.update((bytes.fromhex(one), (block.number, index)) for index, one in enumerate(described["ids"]))
    return Chain(settings, saved=Saved(blocks, places, manifest["offset_ms"], manifest["fork"], manifest["state"]))


def _manifest(path: Path, archive: Archive) -> Dict:
    trailer = archive.read(max(0, archive.size - _TRAILER), _TRAILER)
    length = int.from_bytes(trailer[:8], "big")
    if trailer[8:] != MARK or length > archive.size - _TRAILER:
        raise ValueError(f"{path.name}: expected a chain saved by this version, found {archive.size} other bytes")
    manifest: Dict = orjson.loads(archive.read(archive.size - _TRAILER - length, length))
    return manifest


def _described(block: Block, ids: list[str], at: int, sizes: list[int]) -> Dict:
    return {
        "header": encode(HEADER, block.header).hex(),
        "id": block.id.hex(),
        "signature": block.signature.hex(),
        "at": at,
        "sizes": sizes,
        "ids": ids,
    }


def _block(described: Dict, archive: Archive) -> Block:
    contents = Stored(archive, described["at"], tuple(described["sizes"]))
    header, identity, signature = (bytes.fromhex(described[name]) for name in ("header", "id", "signature"))
    return Block(decode(HEADER, header), identity, signature, contents)
