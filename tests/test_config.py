from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tfmap import config as configs
from tfmap import signatures
from tfmap.errors import InputError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("-1.5E+2", -150.0),
        (".5", 0.5),
        ("1_000", "1_000"),
        ("010", 10),
        ("no", "no"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("2020-01-02", "2020-01-02"),
        ("true", True),
        ("null", None),
        ("~", None),
        ("", None),
        ("[1, 2.0, a]", [1, 2.0, "a"]),
        ("rrc(0.3,1)|flip", "rrc(0.3,1)|flip"),
        ("sample:trash", "sample:trash"),
        ("'3'", "3"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    got = configs.parse(text, "here")
    assert got == value
    assert type(got) is type(value)


@given(
    st.one_of(
        st.floats(allow_nan=False),
        st.integers(),
        st.booleans(),
        st.none(),
        st.text(st.characters(codec="ascii", categories=["L", "N", "P"])),
    )
)
@example("08")
def test_what_is_written_reads_back(value):
    assert configs.parse(configs.dump({"k": value}), "here") == {"k": value}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("datasets: {source: x\nmodel: {}\n", "c.yaml line 2: not valid YAML: expected ',' or '}', but got ':'."),
        ("seed: 1\ntask: classification\nseed: 2\n", "c.yaml line 3: not valid YAML: key 'seed' stands twice."),
        ("train:\n  epochs: 1\n  epochs: 2\n", "c.yaml line 3: not valid YAML: key 'epochs' stands twice."),
        ("[1]: 2\n", "c.yaml line 1: not valid YAML: a key must be a text."),
        ("a: !!python/object:os.system {}\n", "c.yaml line 1: not valid YAML: could not determine a constructor"),
        ("a: \x01\n", "c.yaml: not valid YAML: unacceptable character"),
    ],
)
def test_malformed_yaml_names_the_line(text, message):
    with pytest.raises(InputError) as error:
        configs.parse(text, "c.yaml")
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[1, 2]",
            f"c.yaml: expected sections ({', '.join(signatures.SECTIONS)})",
        ),
        ("modle: {}", "c.yaml: unknown section 'modle'. Known: datasets, doctor, prepare, "),
        ("3: {}", "c.yaml: unknown section '3'. Known: "),
        ("augment: flip", "c.yaml: section 'augment' must hold keys (ops), received 'flip'."),
        ("train: {epocs: 3}", "c.yaml: unknown key 'train.epocs'. Keys of train: epochs, "),
        ("train: {epochs: three}", "c.yaml: train.epochs must be int, received 'three' (str)."),
        ("seed: x", "c.yaml: seed must be int, received 'x' (str)."),
        (
            "task: clasification",
            "c.yaml: task must be classification | detection | segmentation | instances, received 'clasification'",
        ),
        ("out: 3", "c.yaml: out must be str, received 3 (int)."),
    ],
)
def test_a_wrong_config_is_refused_in_words(text, message):
    with pytest.raises(InputError) as error:
        configs.check(configs.parse(text, "c.yaml"), "c.yaml")
    assert str(error.value).startswith(message)


def test_a_typo_gets_a_hint():
    with pytest.raises(InputError, match=r"Did you mean 'model'\?$"):
        configs.check({"modle": {}}, "c.yaml")
    with pytest.raises(InputError, match=r"Did you mean 'epochs'\?$"):
        configs.check({"train": {"epocs": 3}}, "c.yaml")


def test_a_checked_config_has_every_section_and_nothing_else_than_was_given():
    got = configs.check(
        configs.parse("datasets: {source: sample:trash}\ntrain:\nmodel: {input_shape: [96, 96, 3]}", "c"), "c"
    )
    assert got["datasets"] == {"source": "sample:trash"}
    assert got["model"] == {"input_shape": (96, 96, 3)}
    assert got["train"] == got["tune"] == got["export"] == {}
    assert (got["task"], got["seed"]) == ("classification", 0)
    assert "out" not in got


@pytest.mark.parametrize("text", [None, "", "# nothing\n"])
def test_an_empty_file_is_an_empty_config(text):
    assert configs.check(configs.parse(text or "", "c"), "c")["model"] == {}


@pytest.mark.parametrize(
    ("setting", "section", "short", "value"),
    [
        ("train.epochs=3", "train", "epochs", 3),
        ("train.learning_rate=1e-3", "train", "learning_rate", 0.001),
        ("train.patience=null", "train", "patience", None),
        ("train.class_weights=[1, 2]", "train", "class_weights", [1.0, 2.0]),
        ("model.input_shape=[64, 64, 3]", "model", "input_shape", (64, 64, 3)),
        ("augment.ops=rrc(0.3,1)|flip", "augment", "ops", "rrc(0.3,1)|flip"),
        ("augment.ops=", "augment", "ops", ""),
        ('augment.ops="flip"', "augment", "ops", "flip"),
        ("datasets.source=123", "datasets", "source", "123"),
        ("datasets.source=a=b", "datasets", "source", "a=b"),
        ("model.weights=null", "model", "weights", None),
    ],
)
def test_settings_are_yaml_scalars_and_lists(setting, section, short, value):
    before = configs.check({}, "c")
    after = configs.override(before, [setting])
    assert after[section] == {short: value}
    assert before[section] == {}, "the config given is left as it was"


def test_the_last_setting_wins_and_the_top_level_can_be_set():
    got = configs.override(
        configs.check({}, "c"), ["seed=1", "seed=2", "out=runs/x", "train.epochs=1", "train.epochs=5"]
    )
    assert (got["seed"], got["out"], got["train"]) == (2, "runs/x", {"epochs": 5})


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train.epochs", "setting 'train.epochs': expected section.key=value, such as train.epochs=3."),
        ("train.epochs=x", "setting 'train.epochs=x': train.epochs must be int, received 'x' (str)."),
        ("train.epochs=[", "setting 'train.epochs=[' line 1: not valid YAML: "),
        ("epochs=3", "setting 'epochs=3': unknown section 'epochs'. Known: "),
        ("train=3", "setting 'train=3': unknown key 'train'. Keys of train: "),
        ("tran.epochs=3", "setting 'tran.epochs=3': unknown section 'tran'. Known: "),
    ],
)
def test_a_wrong_setting_is_refused_in_words(setting, message):
    with pytest.raises(InputError) as error:
        configs.override(configs.check({}, "c"), [setting])
    assert str(error.value).startswith(message)


def test_a_key_without_its_section_is_recognised():
    with pytest.raises(InputError, match=r"Did you mean 'shrink.optimise'\?"):
        configs.override(configs.check({}, "c"), ["optimise=size"])


def test_a_setting_that_the_stage_would_ignore_is_refused():
    with pytest.raises(
        InputError, match=r"setting 'train.epochs=3': this stage does not read 'train'. It reads: export, datasets."
    ):
        configs.override(configs.check({}, "c"), ["train.epochs=3"], ("export", "datasets"))
    with pytest.raises(InputError, match=r"does not read 'seed'. It reads: no settings."):
        configs.override(configs.check({}, "c"), ["seed=3"], ())


def test_a_missing_key_is_named_with_its_meaning():
    with pytest.raises(InputError, match=r"c.yaml: datasets.source is missing \(str\): ."):
        configs.require(configs.check({}, "c"), ["datasets"], "c.yaml")


def test_files_that_are_no_config(tmp_path):
    (tmp_path / "trash.yaml").write_text("seed: 1")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(
        FileNotFoundError, match=r"config file .*/tresh.yaml does not exist. Did you mean 'trash.yaml'\?"
    ):
        configs.read(tmp_path / "tresh.yaml")
    with pytest.raises(InputError, match="is a folder, expected a YAML config file such as .*config.yaml"):
        configs.read(tmp_path)
    with pytest.raises(InputError, match=r"binary.yaml is not a text file in UTF-8, expected a YAML config"):
        configs.read(tmp_path / "binary.yaml")


def test_a_config_survives_being_written(tmp_path):
    config = configs.check({"seed": 3, "train": {"learning_rate": 1e-5}, "model": {"input_shape": [64, 64, 3]}}, "c")
    (tmp_path / "c.yaml").write_text(configs.dump(config))
    assert configs.read(tmp_path / "c.yaml") == config
    assert "tune" not in (tmp_path / "c.yaml").read_text()
