"""What can be deployed, as a program or a configuration file says it."""

from __future__ import annotations

from typing import Any

import pytest

from tron.address import raw
from tron.errors import InvalidArgument
from tron.keys import Key
from tron.plan import TOKEN, Plan, Pool, stages


def test_a_deployer_cannot_renounce_what_nobody_else_has() -> None:
    owner = Key.random().address
    with pytest.raises(InvalidArgument, match=r"plan\.renounce: expected another administrator than the deployer"):
        stages(Plan(administrator=owner, verifier=owner, renounce=True), owner)


def test_a_configuration_is_read_in_whole_tokens() -> None:
    address = Key.random().address
    plan = Plan.from_config(
        {
            "cap_dcmx": 2_000,
            "initial_supply_dcmx": "1000.5",
            "fee_bps": 100,
            "fee_recipient": "0x" + raw(address).hex(),
            "artists": [address],
            "pools": {"listening": {"budget_dcmx": 10, "daily_limit_dcmx": "0.000000000000000001"}},
        }
    )
    assert plan == Plan(
        cap=2_000 * TOKEN,
        initial_supply=1_000 * TOKEN + TOKEN // 2,
        fee_bps=100,
        fee_recipient=address,
        artists=(address,),
        pools={1: Pool(10 * TOKEN, 1)},
    )


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ({"capital": 1}, "capital: no such field; there are: administrator, anchors"),
        ({"cap_dcmx": 1.5}, "cap_dcmx: expected DCMX as an int or a text with at most 18 decimals, got 1.5"),
        ({"fee_bps": "1"}, "fee_bps: expected a int, got '1'"),
        ({"verifier": "T123"}, "verifier: expected an address, got 'T123'"),
        ({"officers": ["T123"]}, r"officers\[0\]: expected an address"),
        ({"officers": "T123"}, "officers: expected a list of addresses"),
        ({"pools": {"dancing": {}}}, r"pools\.dancing: no such pool; there are: sharing, listening"),
        ({"pools": {"voting": {"budget_dcmx": 1}}}, r"pools\.voting: expected budget_dcmx and daily_limit_dcmx"),
        ({"initial_supply_dcmx": 1}, r"plan: expected pools \(.*\) <= initial supply \(1000000000000000000\) <= cap"),
        ({"administrator": "T9yD14Nj9j7xAB4dbGeiX9h8unkKHxuWwb"}, r"plan\.verifier: expected an address"),
        ({"renounce": True}, r"plan\.renounce: expected an administrator"),
    ],
)
def test_a_mistake_in_a_configuration_is_told_with_its_field(source: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidArgument, match=f"^{problem}"):
        Plan.from_config(source)
