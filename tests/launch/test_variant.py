"""Variants as rlpyt 0.1 has them, and their files with every mistake that a hand can make."""

import copy
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlpyt.launch import (
    VariantLevel,
    load_variant,
    make_variants,
    save_variant,
    update_config,
)
from rlpyt.utils.errors import RlpytError


def error_of(call: Any, *args: Any) -> RlpytError:
    with pytest.raises(RlpytError) as caught:
        call(*args)
    assert caught.value.code == "config"
    assert "\n" not in str(caught.value)
    return caught.value


def test_levels_are_crossed_in_order():
    rates = VariantLevel([("algo", "learning_rate")], [(1e-3,), (3e-4,)], ["lr_1e-3", "lr_3e-4"])
    games = VariantLevel(
        [("env", "game"), ("seed",)], [("pong", 1), ("qbert", 2)], ["pong", "qbert"]
    )
    variants, log_dirs = make_variants(rates, games)
    assert variants == [
        {"algo": {"learning_rate": 1e-3}, "env": {"game": "pong"}, "seed": 1},
        {"algo": {"learning_rate": 1e-3}, "env": {"game": "qbert"}, "seed": 2},
        {"algo": {"learning_rate": 3e-4}, "env": {"game": "pong"}, "seed": 1},
        {"algo": {"learning_rate": 3e-4}, "env": {"game": "qbert"}, "seed": 2},
    ]
    assert log_dirs == ["lr_1e-3/pong", "lr_1e-3/qbert", "lr_3e-4/pong", "lr_3e-4/qbert"]
    assert make_variants() == ([{}], [""])


def test_levels_fill_the_same_part():
    one = VariantLevel([("algo", "a")], [(1,)], ["a"])
    two = VariantLevel([("algo", "b")], [(2,)], ["b"])
    assert make_variants(one, two)[0] == [{"algo": {"a": 1, "b": 2}}]


def test_variants_share_nothing():
    sizes = [64, 64]
    level = VariantLevel([("agent", "sizes"), ("algo", "lr")], [(sizes, 1), (sizes, 2)], ["a", "b"])
    other = VariantLevel([("env",)], [("x",), ("y",)], ["x", "y"])
    variants, _ = make_variants(level, other)
    before = copy.deepcopy(variants)
    variants[0]["agent"]["sizes"].append(1)
    variants[0]["algo"]["lr"] = 9
    assert variants[1:] == before[1:]
    assert sizes == [64, 64]


@pytest.mark.parametrize(
    ("level", "what"),
    [
        (VariantLevel([("a",)], [(1,), (2,)], ["x"]), "2 values and 1 directory names"),
        (VariantLevel([("a",)], [(1, 2)], ["x"]), "2 values, (1, 2), for 1 keys"),
        (VariantLevel([], [()], ["x"]), "no keys"),
        (VariantLevel([("a",)], [], []), "no values"),
        (VariantLevel(["a"], [(1,)], ["x"]), "key 'a'"),
        (VariantLevel([()], [(1,)], ["x"]), "key ()"),
        (VariantLevel([("a",)], ["pong"], ["x"]), "values are text"),
        (VariantLevel([("a",)], [(1,), (2,)], ["x", "x"]), "'x' and 'x' are the same"),
        (VariantLevel([("a",)], [(1,), (2,)], ["Adam", "adam"]), "'Adam' and 'adam' are the same"),
        (VariantLevel([("a",)], [(float("nan"),)], ["x"]), "a=nan, which JSON does not have"),
        (VariantLevel([("a", "b")], [({1: 2},)], ["x"]), "a.b has the key 1 (int)"),
        (VariantLevel([("a", "b")], [([print],)], ["x"]), "a.b[0]=<built-in function print>"),
        *[
            (VariantLevel([("a",)], [(1,)], [name]), f"directory name {name!r}")
            for name in ("../x", "/etc", "a/b", "..", ".", "", "a b", "a\0", "ä", "a\\b", "a:b")
        ],
    ],
)
def test_levels_that_cannot_be(level, what):
    error = error_of(make_variants, level)
    assert what in error.what
    assert error.where.startswith("variant level 0") or "a" in error.what


def test_a_setting_is_varied_once():
    lr = VariantLevel([("algo", "lr")], [(1,)], ["x"])
    algo = VariantLevel([("algo",)], [({},)], ["y"])
    assert "algo.lr varied by two keys" in error_of(make_variants, lr, lr).what
    assert "algo and algo.lr varied by two keys" in error_of(make_variants, lr, algo).what
    assert "algo and algo.lr varied by two keys" in error_of(make_variants, algo, lr).what


def test_files_are_one_line_of_json(tmp_path):
    folder = tmp_path / "lr" / "pong"
    variant = {"algo": {"learning_rate": 0.001, "sizes": (64, np.int64(32))}, "env": {"id": "x"}}
    save_variant(variant, folder)
    text = (folder / "variant_config.json").read_text()
    assert text == '{"algo": {"learning_rate": 0.001, "sizes": [64, 32]}, "env": {"id": "x"}}'
    assert load_variant(folder) == json.loads(text)
    assert [path.name for path in folder.iterdir()] == ["variant_config.json"]


@pytest.mark.parametrize(
    ("variant", "what"),
    [
        ({"algo": {"clip": float("inf")}}, "algo.clip=inf, which JSON does not have"),
        ({"algo": {"cls": dict}}, "algo.cls=<class 'dict'> (type), which JSON does not have"),
        ({1: 2}, "the variant has the key 1 (int)"),
        ({"a": {"b": [1, {2}]}}, "a.b[1]={2} (set)"),
        ({"a": b"x"}, "a=b'x' (bytes)"),
    ],
)
def test_what_json_does_not_have_is_not_written(tmp_path, variant, what):
    assert what in error_of(save_variant, variant, tmp_path / "new").what
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RlpytError) as caught:
        save_variant({}, tmp_path / "file" / "x")
    assert caught.value.code == "directory"


# --- F40: files with mistakes ------------------------------------------------------------------


def loaded_with(folder: Path, content: str | bytes) -> RlpytError:
    path = folder / "variant_config.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    error = error_of(load_variant, folder)
    assert str(path) in str(error)
    assert error.hint
    assert [one.name for one in folder.iterdir()] == [path.name]
    return error


@pytest.mark.faults("F40")
@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", ":1:1: not JSON"),
        # the brace is what was not awaited; since Python 3.13, the comma before it
        ('{"algo": {"lr": 0.1,}}', f":1:{21 if sys.version_info < (3, 13) else 20}: not JSON"),
        ('{"algo":\n  {"lr" 0.1}}', ":2:9: not JSON: Expecting ':' delimiter"),
        ("{'algo': 1}", ":1:2: not JSON: Expecting property name enclosed in double quotes"),
        ('{"algo": 1} {}', ":1:13: not JSON: Extra data"),
        ('{"algo": "x', ":1:10: not JSON: Unterminated string"),
        ('{"a": 1}\x00', ":1:9: not JSON"),
        ("\ufeff{}", ":1:1: not JSON"),
        ("[1, 2]", "is not a JSON object but list"),
        ("null", "is not a JSON object but NoneType"),
        ('{"algo": {"lr": NaN}}', "algo.lr is NaN"),
        ('{"algo": [1, -Infinity]}', "algo[1] is -Infinity"),
        ('{"algo": {"lr": 1e999}}', "algo.lr is a number beyond all floats"),
        ('{"algo": {"lr": 1, "x": 2, "lr": 1}}', "algo.lr is given 2 times"),
        ('[{"a": 1, "a": 2}]', "[0].a is given 2 times"),
        ('{"a": ' + "9" * 5000 + "}", "integer string conversion"),
        ('{"a":\n' + "[" * 51 + "]" * 51 + "}", ":2:50: nested deeper than 50"),
        ("[" * 400_000, ":1:51: nested deeper than 50"),
        ('{"a":' * 100_000, "nested deeper than 50"),
    ],
)
def test_mistakes_are_named_with_their_place(tmp_path, text, what):
    assert what in loaded_with(tmp_path, text).what


@pytest.mark.faults("F40")
def test_bytes_that_are_no_text(tmp_path):
    assert "byte 6 is not UTF-8" in loaded_with(tmp_path, b'{"a": \xff}').what


@pytest.mark.faults("F40")
def test_ten_megabytes_are_not_read(tmp_path):
    error = loaded_with(tmp_path, '{"a": "' + "x" * 10_000_000 + '"}')
    assert "has 10,000,009 bytes, and settings at most 1,000,000" in error.what


@pytest.mark.faults("F40")
def test_no_file_of_a_megabyte_takes_long(tmp_path):
    """Each of these would take minutes if every key, or quote, were looked at for every other."""
    loaded_with(tmp_path, '"' + '\\"' * 499_000)
    keys = ", ".join(f'"{i}": 0' for i in range(80_000))
    (tmp_path / "variant_config.json").write_text(f"{{{keys}}}")
    assert len(load_variant(tmp_path)) == 80_000


def test_brackets_in_text_are_no_depth(tmp_path):
    variant = {"a": "[" * 100 + '"\\' + "{" * 100, "b": "]"}
    save_variant(variant, tmp_path)
    assert load_variant(tmp_path) == variant


def test_a_file_that_is_not_there(tmp_path):
    error = error_of(load_variant, tmp_path / "no")
    assert "No such file" in error.what
    assert list(tmp_path.iterdir()) == []


# --- update_config -----------------------------------------------------------------------------

DEFAULT = {
    "algo": {"learning_rate": 1e-3, "betas": [0.9, 0.99]},
    "model": {},
    "env": {"id": "pong"},
    "OptimCls": dict,
}


def test_update_is_deep_and_leaves_both_as_they_are():
    variant: dict[str, Any] = {"algo": {"learning_rate": 1.0}, "env": {"id": "qbert"}}
    default, given = copy.deepcopy(DEFAULT), copy.deepcopy(variant)
    new = update_config(default, variant)
    assert new == {
        "algo": {"learning_rate": 1.0, "betas": [0.9, 0.99]},
        "model": {},
        "env": {"id": "qbert"},
        "OptimCls": dict,
    }
    new["algo"]["betas"].append(1)
    new["model"]["x"] = 1
    new["env"]["id"] = "other"
    assert (default, variant) == (DEFAULT, given)


@pytest.mark.parametrize(
    ("variant", "what", "hint"),
    [
        (
            {"algo": {"learning_rat": 1}},
            "algo.learning_rat: no key",
            "did you mean 'learning_rate'",
        ),
        ({"algoo": {}}, "algoo: no key", "did you mean 'algo'"),
        ({"model": {"x": 1}}, "model.x: no key", "it is empty"),
        ({"algo": 1}, "algo is int in the variant, and dict in the default", "write dict"),
        ({"env": {"id": {}}}, "env.id is dict in the variant, and str in", "write str"),
    ],
)
def test_what_the_default_does_not_have(variant, what, hint):
    error = error_of(update_config, DEFAULT, variant)
    assert what in error.what
    assert hint in error.hint
