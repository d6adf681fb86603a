"""Messages signed by wallets, against what TronWeb and tronpy make of the same text and key."""

from __future__ import annotations

import pytest
from tronpy.keys import PrivateKey

from tron.keys import Key
from tron.messages import message_digest, message_signer

KEY = Key(b"\x01" * 32)
TEXT = "Ada proves:\né 10 €\n" + "x" * 100  # longer in bytes than in characters
BY_TRONWEB = (
    "0xcb0d584a107b7a8f25ee50de991768aa348dbe5e44405f043db16875d7396b8d"
    "017a0f325d0c07e4aa2170cfe8acd7db202714fa68233da85036f7574dcabaf91c"
)
"""signMessageV2 of TronWeb 6."""


def test_the_signer_of_a_message_of_tronweb_is_found() -> None:
    assert message_signer(TEXT, BY_TRONWEB) == KEY.address


def test_the_signer_of_a_message_of_tronpy_is_found() -> None:
    signature = PrivateKey(KEY.secret).sign_msg(TEXT.encode())
    assert message_signer(TEXT, signature.hex()) == KEY.address
    assert message_signer(TEXT, KEY.sign(message_digest(TEXT)).hex()) == KEY.address


def test_another_text_has_another_signer() -> None:
    assert message_signer(TEXT + " ", BY_TRONWEB) != KEY.address


@pytest.mark.parametrize("signature", ["", "0x", "zz", BY_TRONWEB[:-2], "00" * 65, BY_TRONWEB + "00"])
def test_what_is_no_signature_is_refused(signature: str) -> None:
    with pytest.raises(ValueError, match=r"signature|hex"):
        message_signer(TEXT, signature)
