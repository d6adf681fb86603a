"""The committed artefacts: within the limits, for any TVM, with the events that the rest of the system decodes."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from contract_evm import Evm, artifact, signature

SOLIDITY = Path(__file__).parent.parent
NAMES = ["ComplianceRegistry", "DCMXToken", "ListeningVerifierV1", "MusicNFT", "RewardVault", "RoyaltyDistributor"]
CODE_LIMIT = 24_576  # EIP-170
LATER_THAN_PARIS = {0x49: "BLOBHASH", 0x4A: "BLOBBASEFEE", 0x5C: "TLOAD", 0x5D: "TSTORE", 0x5E: "MCOPY", 0x5F: "PUSH0"}
JUMPDEST, PUSH1, PUSH32 = 0x5B, 0x60, 0x7F
ENDS = {0x00, 0x56, 0xF3, 0xFD, 0xFE, 0xFF}  # STOP, JUMP, RETURN, REVERT, INVALID, SELFDESTRUCT
SUN_PER_ENERGY = 100  # TRON main network
ALLOWANCE_SUN = 1_000 * 1_000_000  # what deploying the five may cost; the verifier of listening claims costs 120 TRX

EVENTS = {
    "ComplianceRegistry": """
        DeletionCompleted(bytes32,bytes32) DeletionDenied(bytes32,uint8) DeletionRequested(bytes32,address,uint8)
        DocumentAccepted(address,uint8,uint32,bytes32) DocumentPublished(uint8,uint32,bytes32,string)
        RootAnchored(bytes32,uint64,bytes32)""",
    "DCMXToken": """
        Approval(address,address,uint256) Burned(address,uint256) Minted(address,address,uint256)
        MinterAuthorized(address,uint256) MinterRevoked(address) Transfer(address,address,uint256)""",
    "MusicNFT": """
        Approval(address,address,uint256) ApprovalForAll(address,address,bool)
        EditionMinted(uint256,uint256,address,uint32) Listed(uint256,address,uint256) ListingCancelled(uint256)
        PriceChanged(uint256,uint256,uint256) PrimarySale(uint256,uint256,address,address,uint256)
        SecondarySale(uint256,uint256,address,address,uint256,address,uint256) TokenRoyaltySet(uint256,uint96)
        TrackReleased(uint256,address,string,string,bytes32,uint32,uint256,uint96) Transfer(address,address,uint256)
        Withdrawn(address,uint256)""",
    "ListeningVerifierV1": "",
    "RewardVault": """
        BatchOpened(uint64,uint8,bytes32,uint256,uint64) BatchPaid(uint64,uint256,address,uint256)
        BatchSwept(uint64,uint8,uint256) EIP712DomainChanged() ListeningVerifierChanged(address,address)
        PeriodClosed(uint64) PeriodOpened(uint64,uint256,uint32,uint256,uint64,address)
        PoolConfigured(uint8,uint256,bool) PoolFunded(uint8,address,uint256) PoolSwept(uint8,address,uint256)
        RewardClaimed(bytes32,uint8,address,uint256,uint64) VerifierChanged(address,address)""",
    "RoyaltyDistributor": """
        CarrySettled(uint256,uint32,address,uint256) FeeRecipientChanged(address,address)
        PaymentReceived(uint256,uint256,address,uint8,uint256,uint256,uint32) PlatformFeeChanged(uint16,uint16)
        RoyaltyCredited(uint256,uint256,address,uint256) SplitConfigured(uint256,uint32,address[],uint32[])
        SplitControlAccepted(uint256,address) SplitControlProposed(uint256,address,address)
        Withdrawn(address,uint256)""",
}
EVERYWHERE = """
    Paused(address) Unpaused(address) RoleAdminChanged(bytes32,bytes32,bytes32)
    RoleGranted(bytes32,address,address) RoleRevoked(bytes32,address,address)"""


def opcodes(code: bytes) -> set[int]:
    """The opcodes that can be reached: from the start, and from each jump destination whose place is pushed somewhere.

    What follows a PUSH is its operand; large constants of the compiler stand behind the code and are none of it.
    """
    found: set[int] = set()
    seen: set[int] = set()
    entries = [0]
    while entries:
        at = entries.pop()
        while at < len(code) and at not in seen:
            seen.add(at)
            found.add(opcode := code[at])
            operand = code[at + 1 : at + 1 + (opcode - 0x5F if PUSH1 <= opcode <= PUSH32 else 0)]
            if (target := int.from_bytes(operand)) < len(code) and operand and code[target] == JUMPDEST:
                entries.append(target)
            if opcode in ENDS:
                break
            at += 1 + len(operand)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_events_are_those_that_the_messages_are_made_of(name: str) -> None:
    events = {signature(entry) for entry in artifact(name)["abi"] if entry["type"] == "event"}
    assert events == set((EVENTS[name] and EVENTS[name] + EVERYWHERE).split())


@pytest.mark.parametrize("name", NAMES)
def test_the_code_fits_eip_170(name: str) -> None:
    assert 0 < len(bytes.fromhex(artifact(name)["deployedBytecode"][2:])) <= CODE_LIMIT


@pytest.mark.parametrize("name", NAMES)
def test_the_code_uses_no_opcode_later_than_paris(name: str) -> None:
    built = artifact(name)
    used = opcodes(bytes.fromhex(built["deployedBytecode"][2:])) | opcodes(bytes.fromhex(built["bytecode"][2:]))
    assert not used & LATER_THAN_PARIS.keys()


@pytest.mark.parametrize("name", NAMES)
def test_immutables_stand_where_the_code_pushes_a_word_of_zeros(name: str) -> None:
    built = artifact(name)
    code = bytes.fromhex(built["deployedBytecode"][2:])
    places = [place for found in built["immutables"].values() for place in found]
    assert all(code[place - 1 : place + 32] == b"\x7f" + bytes(32) for place in places)
    assert len(set(places)) == code.count(b"\x7f" + bytes(32))  # none is missing


def test_deploying_the_five_costs_less_than_1000_trx(evm: Evm) -> None:
    energy = sum(
        evm.energy_of_deploying(name, *args)
        for name, args in (
            ("DCMXToken", (evm.admin, 10**27, 10**26)),
            ("ComplianceRegistry", (evm.admin,)),
            ("RoyaltyDistributor", (evm.admin, evm.platform, 500)),
            ("MusicNFT", (evm.admin, evm.royalties.address)),
            ("RewardVault", (evm.admin, evm.token.address, evm.verifier.address)),
        )
    )
    assert energy * SUN_PER_ENERGY < ALLOWANCE_SUN


@pytest.fixture(scope="module")
def compiler() -> None:
    """solc and the sources it includes, installed unless they are there; needs Node 18+."""
    if not (SOLIDITY / "node_modules").exists():
        command = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"]
        subprocess.run(command, cwd=SOLIDITY, check=True, timeout=600)  # noqa: S603 (arguments are ours)


def check(folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs the build's check in a folder."""
    command = ["node", "build.mjs", "--check"]
    options = {"cwd": folder, "capture_output": True, "text": True, "timeout": 600}
    return subprocess.run(command, check=False, **options)  # noqa: S603 (arguments are ours)


@pytest.mark.usefixtures("compiler")
def test_the_artefacts_are_what_the_sources_compile_to_and_one_that_was_changed_is_named(tmp_path: Path) -> None:
    copy = tmp_path / "solidity"
    shutil.copytree(SOLIDITY, copy, ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
    (copy / "node_modules").symlink_to(SOLIDITY / "node_modules")
    path = copy / "artifacts" / "DCMXToken.json"
    changed = json.loads(path.read_text())
    changed["abi"] = [entry for entry in changed["abi"] if entry.get("name") != "Minted"]
    changed["bytecode"] = changed["bytecode"][:-2] + "00"
    path.write_text(json.dumps(changed))
    (copy / "artifacts" / "MusicNFT.json").unlink()
    (copy / "artifacts" / "Stray.json").write_text("{}")
    checked = check(copy)
    assert checked.returncode == 1
    for line in (
        "artifacts/DCMXToken.json: built only:     event Minted(",
        "artifacts/DCMXToken.json: bytecode: committed",
        "artifacts/MusicNFT.json: missing",
        "artifacts/Stray.json: no such contract",
    ):
        assert line in checked.stderr
    changed_ones = {"DCMXToken", "MusicNFT", "Stray"}
    assert not any(f"artifacts/{name}.json" in checked.stderr for name in {*NAMES} - changed_ones)
