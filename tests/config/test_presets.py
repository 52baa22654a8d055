"""The presets, and the page that documents them and every field."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from paths import DOCS

from gcctl._config.config import RESERVED_VARIABLES, Config
from gcctl._config.presets import DEFAULT_POLICY, PRESETS, Preset, Values

FIELDS = [field.name for field in dataclasses.fields(Values)]
PAGE = (DOCS / "configuration.md").read_text(encoding="utf-8")


def table(section: str) -> dict[str, list[str]]:
    """The first table under a heading: first cell without backticks → the other cells."""
    text = PAGE.split(f"## {section}\n", 1)[1]
    rows = re.search(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    assert rows is not None
    cells = [[cell.strip(" `") for cell in row.split("|")[1:-1]] for row in rows[0].splitlines()]
    return {first: rest for first, *rest in cells if not first.startswith("---")}


def schedule(name: str) -> tuple[int | None, int | None, int | None]:
    preset = PRESETS[name]
    return preset.gen0_every, preset.gen1_every, preset.gen2_every


def test_presets_are_named_after_their_policy_and_the_default_is_one() -> None:
    assert {name: preset.policy for name, preset in PRESETS.items()} == {
        name: name for name in ("auto", "instagram", "production", "conservative", "off")
    }
    assert DEFAULT_POLICY == "auto"


@pytest.mark.parametrize("name", PRESETS)
def test_a_config_of_only_a_policy_is_its_preset(name: str) -> None:
    config = Config(policy=name)
    assert all(getattr(config, field) == getattr(PRESETS[name], field) for field in FIELDS)
    assert config.given == {"policy"}


@pytest.mark.parametrize("name", PRESETS)
def test_preset_values_are_normalised(name: str) -> None:
    values = {field: getattr(PRESETS[name], field) for field in FIELDS}
    for field, normalised in ((field, getattr(Config(**values), field)) for field in FIELDS):
        assert normalised == values[field]
        assert type(normalised) is type(values[field])


def test_schedules_are_those_of_the_source_document() -> None:
    assert schedule("instagram") == schedule("production") == (1, 10, 100)
    assert schedule("conservative") == (1, 20, 200)
    assert schedule("off") == (None, None, None)


def test_instagram_copies_the_source_and_adds_nothing() -> None:
    config = Config(policy="instagram")
    assert config.thresholds == (100, 5, 5)
    assert (config.max_pause_ns, config.memory_limit) == (5_000_000, 2**30)
    assert config.emergency_interval_ns is None
    assert config.final_collection is False


def test_production_and_conservative_have_emergency_and_final_collections() -> None:
    for name, pause, limit in (("production", 10, 2**30), ("conservative", 5, 2**31)):
        config = Config(policy=name)
        assert (config.max_pause_ns, config.memory_limit) == (pause * 10**6, limit)
        assert config.emergency_interval_ns == 10 * 10**9
        assert config.final_collection is True
        assert config.thresholds is None


def test_off_only_measures() -> None:
    config = Config(policy="off")
    assert (config.automatic_gc, config.thresholds, config.memory_limit) == (None, None, None)
    assert (config.emergency_interval, config.final_collection) == (None, False)
    assert config.monitoring is True
    assert config.max_pause_ns == 10_000_000


def test_off_keeps_a_memory_limit_that_is_given() -> None:
    assert Config(policy="off", memory_limit="80%").memory_limit == "80%"


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_looks_at_memory_alike_and_recycles_nothing_unasked(name: str) -> None:
    config = Config(policy=name)
    assert (config.check_interval_ns, config.pressure_budget) == (100_000_000, 0.1)
    assert config.max_collections_per_minute == (None if name == "auto" else 60)
    assert (config.recycle_after_requests, config.recycle_above) == (None, None)
    assert config.recycle_jitter == 0.1
    assert config.at_exit == "complete"


def test_presets_that_switch_automatic_gc_off_say_what_that_costs() -> None:
    cost = "a request that allocates without end is not collected mid-request"
    for preset in PRESETS.values():
        assert (cost in preset.summary) is (preset.automatic_gc is False)
        assert "\n" not in preset.summary
    assert cost in re.sub(r"\s+", " ", PAGE)


def test_presets_cannot_be_changed() -> None:
    presets: Any = PRESETS
    with pytest.raises(TypeError):
        presets["mine"] = PRESETS["off"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        presets["off"].gen0_every = 1
    assert not hasattr(PRESETS["off"], "__dict__")
    assert {field.name for field in dataclasses.fields(Preset)} == {*FIELDS, "summary"}


# --- docs/configuration.md -----------------------------------------------------------------------


def test_every_field_is_documented_in_order() -> None:
    assert [row for row in table("Fields") if row != "field"] == FIELDS


def test_documented_presets_are_those_of_the_code() -> None:
    rows = table("Presets")
    names = rows.pop("field")
    assert set(names) == PRESETS.keys()
    assert [*rows] == [field for field in FIELDS if field != "policy"]
    for column, name in enumerate(names):
        documented = {field: cells[column] for field, cells in rows.items()}
        assert Config(policy=name, **documented) == Config(policy=name)


def test_documented_variables_are_the_reserved_ones() -> None:
    assert table("Environment").keys() - {"variable"} == RESERVED_VARIABLES


def test_documented_toml_and_dictionary_are_accepted() -> None:
    (toml,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    config = Config.from_mapping(tomllib.loads(toml)["gcctl"])
    assert (config.gen2_every, config.memory_limit) == (None, "80%")
    (source,) = re.findall(r"from_mapping\(\s*(\{\n.*?\n *\})\s*\)", PAGE, re.DOTALL)
    assert Config.from_mapping(eval(source)) == Config(policy="production")


def test_documented_layering_example_holds(tmp_path: Path) -> None:
    path = tmp_path / "shop.toml"
    path.write_text('[gcctl]\npolicy = "conservative"\nmax_pause = "30ms"\n')
    environ = {"GCCTL_MAX_PAUSE": "20ms", "GCCTL_GEN1_EVERY": "50"}
    config = Config.resolve(config=path, overrides={"gen1_every": 5}, environ=environ)
    assert (config.gen1_every, config.max_pause, config.gen2_every) == (5, 0.02, 200)
