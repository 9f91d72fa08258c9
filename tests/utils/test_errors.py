"""A user's mistake is one line: what, where, and the way out."""

import pickle

import pytest

from rlpyt.utils.errors import RlpytError, did_you_mean


@pytest.mark.parametrize(
    ("where", "hint", "text"),
    [
        ("", "", "ERROR env: it broke"),
        ("step 3", "", "ERROR env: it broke (step 3)"),
        ("", "mend it", "ERROR env: it broke - mend it"),
        ("step 3", "mend it", "ERROR env: it broke (step 3) - mend it"),
    ],
)
def test_text(where, hint, text):
    error = RlpytError("env", "it broke", where=where, hint=hint)
    assert str(error) == text
    assert (error.code, error.what, error.where, error.hint) == ("env", "it broke", where, hint)


def test_it_survives_the_way_back_from_a_worker():
    error = RlpytError("env", "it broke", where="step 3", hint="mend it")
    error.add_note("rank 2")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is RlpytError
    assert str(back) == str(error)
    assert (back.code, back.where) == ("env", "step 3")


def test_did_you_mean_names_the_nearest_or_all():
    assert did_you_mean("discuont", ["gae_lambda", "discount"]) == "did you mean 'discount'?"
    assert did_you_mean("xyz", iter(["b", "a"])) == "known: a, b"
