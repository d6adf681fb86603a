"""The gate as a developer meets it: a class is changed in a repository with a history, and the check is run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import contracts
from contracts.history import published

VOTE = "rewards.events.VoteRecorded.v1"
SENTENCE = (
    f"breaking: {VOTE}: field like was retyped from boolean to integer; consumed by compliance, royalties. "
    "Publish rewards.events.VoteRecorded.v2 beside it instead."
)


@dataclass(frozen=True)
class Repository:
    """A clone with the messages' classes and schemas, in which royalties and compliance listen to rewards."""

    root: Path

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        return subprocess.run(
            ["git", *identity, *arguments], cwd=self.root, check=True, capture_output=True, text=True
        ).stdout

    def commit(self, message: str = "Change") -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def change(self, old: str, new: str) -> None:
        """Edits the class VoteRecorded."""
        module = self.root / "src/contracts/rewards.py"
        head, middle, body = module.read_text().partition("class VoteRecorded")
        assert old in body
        module.write_text(head + middle + body.replace(old, new))

    def schemas(self, *arguments: str) -> tuple[int, str]:
        """Runs the command on the classes as they are in the repository; returns its status and what it says."""
        command = [sys.executable, "-c", _RUN, *arguments]
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, timeout=600)
        assert done.stderr == ""
        return done.returncode, done.stdout


_RUN = """import sys
sys.path.insert(0, "src")
sys.dont_write_bytecode = True
from contracts.schemas import main
sys.exit(main(sys.argv[1:]))"""


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    repository = Repository(tmp_path)
    shutil.copytree(
        Path(contracts.__file__).parent, tmp_path / "src/contracts", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "contracts/asyncapi").mkdir(parents=True)
    for service, topics in {"chain": [], "compliance": ["rewards.events"], "royalties": ["rewards.events"]}.items():
        document = {"operations": {f"receive:{topic}": {"action": "receive"} for topic in topics}}
        (tmp_path / f"contracts/asyncapi/{service}.json").write_text(json.dumps(document))
    repository.git("init", "--quiet", "--initial-branch", "main")
    assert repository.schemas()[0] == 0
    repository.commit("The messages")
    return repository


def test_a_break_fails_with_a_sentence_that_names_message_field_change_consumers_and_way_out(
    repository: Repository,
) -> None:
    repository.change("like: bool", "like: int")
    status, said = repository.schemas("--check")
    assert status == 1
    assert said.splitlines()[0] == SENTENCE
    assert repository.schemas()[0] == 1, "it is not written either"
    assert repository.git("status", "--porcelain", "contracts") == ""


def test_a_new_version_beside_the_old_one_is_what_the_gate_asks_for(repository: Repository) -> None:
    module = repository.root / "src/contracts/rewards.py"
    vote = module.read_text().partition("class VoteRecorded")[2]
    module.write_text(
        module.read_text() + "\n\nclass VoteRecorded2" + vote.replace(".v1", ".v2").replace("bool", "int")
    )
    status, said = repository.schemas("--check")
    assert (status, said.splitlines()[0]) == (1, "compatible: rewards.events.VoteRecorded.v2: the message is new")
    assert "commit what `make schemas` writes" in said
    assert repository.schemas()[0] == 0
    assert repository.schemas("--check")[0] == 0


def test_a_break_is_found_although_the_files_were_regenerated_in_the_same_commit(repository: Repository) -> None:
    repository.change("like: bool", "like: int")
    (repository.root / f"contracts/schemas/{VOTE}.json").unlink()
    (repository.root / ".git").rename(repository.root / "git")  # without its history the tool can be fooled
    status, said = repository.schemas()
    assert status == 0
    assert "not all there may be: " in said
    (repository.root / "git").rename(repository.root / ".git")
    before = published(repository.root / "contracts/schemas").versions[0].commit
    repository.commit()

    status, said = repository.schemas("--check")
    assert status == 1
    as_published = f"retyped from boolean to integer, as published in {before}; consumed by"
    assert said.splitlines()[0] == SENTENCE.replace("retyped from boolean to integer; consumed by", as_published)


def test_a_message_removed_with_its_file_is_found(repository: Repository) -> None:
    module = repository.root / "src/contracts/rewards.py"
    module.write_text(module.read_text().partition("class VoteRecorded")[0])
    (repository.root / f"contracts/schemas/{VOTE}.json").unlink()
    repository.commit()
    status, said = repository.schemas("--check")
    assert status == 1
    assert f"breaking: {VOTE}: the message was removed, but its records stay in the topic, as published in " in said
    assert "; consumed by compliance, royalties. Keep its class." in said


def test_a_change_back_and_forth_is_held_against_every_version_not_just_the_last(repository: Repository) -> None:
    repository.change("voted_at: Time", "voted_at: Time\n    weight: int = 1")
    assert repository.schemas()[0] == 0
    repository.commit("Weigh votes")
    repository.change("    weight: int = 1", "")
    (repository.root / f"contracts/schemas/{VOTE}.json").unlink()
    assert "field weight was removed, as published in" in repository.schemas("--check")[1]


def test_a_draft_on_a_branch_may_still_change(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "-b", "draft")
    repository.change("voted_at: Time", "voted_at: Time\n    weight: int = 1")
    assert repository.schemas()[0] == 0
    repository.commit("Weigh votes")
    repository.change("weight: int = 1", "weight: str = ''")
    (repository.root / f"contracts/schemas/{VOTE}.json").unlink()
    assert repository.schemas()[0] == 0
    assert repository.schemas("--check")[0] == 0


def test_a_break_can_be_accepted_with_a_reason_that_is_committed(repository: Repository) -> None:
    repository.change("like: bool", "like: int")
    assert repository.schemas("--accept-breaking", "v1 was never deployed")[0] == 0
    assert repository.schemas("--check")[0] == 0
    [accepted] = json.loads((repository.root / "contracts/accepted-breaks.json").read_text())
    assert (accepted["message"], accepted["why"]) == (VOTE, "v1 was never deployed")
    repository.commit()
    repository.change("like: int", "like: str")
    assert repository.schemas("--check")[0] == 1, "only what was given up is"


def test_a_shallow_clone_says_that_it_cannot_see_everything(repository: Repository, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    repository.git("clone", "--quiet", "--depth", "1", f"file://{repository.root}", str(clone))
    status, said = Repository(clone).schemas("--check")
    assert status == 0
    assert "not all there may be: the clone is shallow" in said
