from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.canonical import canonical, digest, read

names = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=5)
scalars = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text()
documents = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))


@given(documents)
def test_a_document_has_one_form_however_it_is_written(document: Any) -> None:
    try:
        form = canonical(document)
    except TypeError:  # half a pair of surrogates is no text
        return
    assert read(form) == document
    assert canonical(read(json.dumps(document, indent=3))) == form


def test_the_form_is_that_of_rfc_8785() -> None:
    document = {"b": ["€", '"\\/', "\x0f\n\u007f", None, True], "a": {"z": -7, "m": "10"}}
    assert canonical(document) == '{"a":{"m":"10","z":-7},"b":["€","\\"\\\\/","\\u000f\\n\u007f",null,true]}'.encode()
    assert digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@pytest.mark.parametrize(
    "text", ['{"a":1,"a":2}', "1.0", "1e3", "NaN", "Infinity", str(2**53), str(-(2**53)), "-0", "9" * 5_000, "{", ""]
)
def test_what_two_readers_could_understand_differently_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|Expecting"):
        read(text)


@pytest.mark.parametrize("document", [2**53, {1: "a name that is no text"}, {"a": object()}])
def test_what_has_no_such_form_is_refused(document: object) -> None:
    with pytest.raises(TypeError):
        canonical(document)
