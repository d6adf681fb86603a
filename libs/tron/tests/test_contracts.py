from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest

from tron import codegen
from tron.address import ZERO
from tron.contract import Call, Contract, View, artifact
from tron.contracts import (
    ComplianceRegistry,
    DCMXToken,
    ListeningVerifierV1,
    MusicNFT,
    RewardVault,
    RoyaltyDistributor,
)
from tron.errors import InvalidAddress, InvalidArgument

ARTIFACTS = Path(__file__).parents[3] / "contracts" / "solidity" / "artifacts"
ALL: list[type[Contract]] = [
    ComplianceRegistry,
    DCMXToken,
    ListeningVerifierV1,
    MusicNFT,
    RewardVault,
    RoyaltyDistributor,
]
ALICE = "THHsfg2eNiv6MSXC4y5d4t5wkvRVADRKiF"


def test_what_is_generated_is_what_the_compiled_contracts_say(capsys: pytest.CaptureFixture[str]) -> None:
    assert codegen.main([str(ARTIFACTS), "--check"]) == 0, capsys.readouterr().err


def test_a_stale_or_foreign_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = json.loads((ARTIFACTS / "DCMXToken.json").read_text())
    source["abi"] = [entry for entry in source["abi"] if entry.get("name") != "burn"]
    (tmp_path / "DCMXToken.json").write_text(json.dumps(source))
    assert codegen.main([str(tmp_path), "--check"]) == 1
    errors = capsys.readouterr().err
    assert "tron/contracts/dcmx_token.py differs" in errors
    assert "tron/abis/MusicNFT.json differs" in errors
    assert codegen.main([str(tmp_path / "nowhere")]) == 2


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: str(kind.NAME))
def test_every_function_of_the_abi_is_a_method_with_the_right_kind(kind: type[Contract]) -> None:
    entries = artifact(kind.NAME).entries
    names = codegen.method_names(entries)
    assert len(names) == sum(entry["type"] == "function" for entry in entries)
    for name, entry in names.items():
        result = inspect.signature(getattr(kind, name)).return_annotation
        assert result.startswith("View[" if entry["stateMutability"] in ("view", "pure") else "Call"), name
    assert not kind.artifact().abi.refused


def test_a_call_is_bound_to_nothing_and_carries_what_it_needs() -> None:
    nft = MusicNFT(ALICE)
    call = nft.buy_edition(7, value_sun=5_000_000)
    assert isinstance(call, Call)
    assert (call.contract_address, call.value_sun) == (ALICE, 5_000_000)
    assert call.data == call.function.selector + (7).to_bytes(32, "big")
    assert nft.artifact().abi.decode_call(call.data.hex()).args == {"trackId": 7}  # type: ignore[union-attr]  # it is Decoded
    assert isinstance(nft.owner_of(7), View)
    assert nft.buy_edition(7, value_sun=5_000_000) == call


def test_overloads_have_names_of_their_own() -> None:
    plain = MusicNFT(ALICE).safe_transfer_from(ALICE, ZERO, 1)
    extended = MusicNFT(ALICE).safe_transfer_from_with_data(ALICE, ZERO, 1, b"x")
    assert plain.function.signature == "safeTransferFrom(address,address,uint256)"
    assert extended.function.signature == "safeTransferFrom(address,address,uint256,bytes)"


def test_wrong_arguments_name_contract_function_and_field() -> None:
    with pytest.raises(InvalidArgument, match=r"^MusicNFT\.list\.priceSun: expected uint256, got -1"):
        MusicNFT(ALICE).list(1, -1)
    with pytest.raises(InvalidArgument, match=r"^RewardVault\.fundPool\.pool: expected uint8 \(0\.\.255\), got 256"):
        RewardVault(ALICE).fund_pool(256, 1)
    with pytest.raises(
        InvalidArgument, match=r"^RoyaltyDistributor\.configureSplit\.recipients\[1\]: expected an addr"
    ):
        RoyaltyDistributor(ALICE).configure_split(1, [ALICE, ALICE[:-1] + "G"], [500_000, 500_000])
    with pytest.raises(InvalidArgument, match=r"^ComplianceRegistry\.acceptDocument\.contentHash: expected 32 bytes"):
        ComplianceRegistry(ALICE).accept_document(0, 1, "ab")
    with pytest.raises(InvalidArgument, match=r"^MusicNFT\.buy\.value_sun: expected an amount of sun"):
        MusicNFT(ALICE).buy(1, value_sun=2**63)
    with pytest.raises(InvalidArgument, match=r"^DCMXToken\.constructor\.admin: expected an address"):
        DCMXToken.creation("nobody", 1, 1)
    with pytest.raises(InvalidAddress):
        DCMXToken("nobody")


@pytest.mark.parametrize(
    ("solidity", "python"),
    [
        ("priceSun", "price_sun"),
        ("tokenURI", "token_uri"),
        ("ARTIST_ROLE", "artist_role"),
        ("DCMXToken", "dcmx_token"),
        ("eip712Domain", "eip712_domain"),
        ("cap_", "cap"),
        ("buy", "buy"),
    ],
)
def test_names_become_pythons(solidity: str, python: str) -> None:
    assert codegen.snake(solidity) == python


def test_arguments_that_python_reserves_get_an_underscore() -> None:
    names = [{"name": name, "type": "bool"} for name in ("from", "to", "self", "", "from")]
    assert codegen.argument_names(names) == ["from_", "to", "self_", "arg3", "from_4"]
