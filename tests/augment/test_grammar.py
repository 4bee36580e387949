"""Policy strings: what is read, and the text of every refusal."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tfmap import augment
from tfmap.errors import InputError

KNOWN = (
    "augmix, autoaugment, autocontrast, blend, blur, brightness, color, contrast, copy_paste, cutmix, cutout, elastic, "
    "equalise, erase, flip, grey, hue, invert, jpeg, keep, maybe, mix, mixup, mosaic, noise, perspective, pick, "
    "posterise, randaugment, rotate, rrc, salt_pepper, saturation, sharpness, shear, shear_x, shear_y, shift, shift_x, "
    "shift_y, solarise, trivialaugment, turn90, vflip, zoom"
)


def read(policy):
    return [(call.name, call.arguments) for call in augment.parse(policy)]


def test_positional_keyword_and_default_arguments():
    assert read("rrc(0.3,1)| flip |rotate(degrees=5)|erase(.5, area=0.1)") == [
        ("rrc", {"scale_lo": 0.3, "scale_hi": 1, "ratio": 4 / 3}),
        ("flip", {"p": 0.5}),
        ("rotate", {"degrees": 5, "least": 0.0}),
        ("erase", {"p": 0.5, "area": 0.1}),
    ]


@pytest.mark.parametrize("policy", ["", "   "])
def test_empty_is_no_op(policy):
    assert augment.parse(policy) == ()


def test_color_is_short_for_four_ops():
    assert read("color(.4)") == read("brightness(.4)|contrast(.4)|saturation(.4)|hue(.1)")


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (
            "flp|rotate(4)",
            f"augment: unknown op 'flp' in \"flp|rotate(4)\" (op 1, augment.ops). Known ops: {KNOWN}. "
            "Did you mean 'flip'?",
        ),
        (
            "flip|",
            "augment: cannot read '' in \"flip|\" (op 2, augment.ops). Expected a name, or a name with numbers: "
            '"flip", "rotate(degrees=15)".',
        ),
        (
            "flip|zoom(1, 2)",
            'augment: zoom(factor=0.2) takes 1 argument, received 2 in "flip|zoom(1, 2)" (op 2, augment.ops). '
            "Drop the last ones.",
        ),
        (
            "erase(area=.1, probability=1)",
            "augment: erase has no argument 'probability' in \"erase(area=.1, probability=1)\" (op 1, augment.ops). "
            "Its arguments: p, area.",
        ),
        (
            "rotate(degree=3)",
            "augment: rotate has no argument 'degree' in \"rotate(degree=3)\" (op 1, augment.ops). "
            "Its arguments: degrees, least. Did you mean 'degrees'?",
        ),
        (
            "rotate(1, degrees=3)",
            "augment: rotate got 'degrees' twice in \"rotate(1, degrees=3)\" (op 1, augment.ops). "
            "Give it by position or by name.",
        ),
        (
            "rotate('a')",
            "augment: rotate: degrees must be a number, received 'a' in \"rotate('a')\" (op 1, augment.ops). "
            "Usage: rotate(degrees=15, least=0).",
        ),
        (
            "flip(True)",
            'augment: flip: p must be a number, received True in "flip(True)" (op 1, augment.ops). Usage: flip(p=0.5).',
        ),
        (
            "rotate(-1)",
            'augment: rotate: degrees must be in [0, 180], received -1 in "rotate(-1)" (op 1, augment.ops). '
            "Usage: rotate(degrees=15, least=0).",
        ),
        (
            "rotate(10, 20)",
            'augment: rotate: least must be in [0, 10], received 20 in "rotate(10, 20)" (op 1, augment.ops). '
            "Usage: rotate(degrees=15, least=0).",
        ),
        (
            "posterise(2.5)",
            'augment: posterise: lo must be a whole number, received 2.5 in "posterise(2.5)" (op 1, augment.ops). '
            "Usage: posterise(lo=4, hi=7).",
        ),
        (
            "invert(1)",
            'augment: invert() takes 0 arguments, received 1 in "invert(1)" (op 1, augment.ops). Drop the last ones.',
        ),
        (
            "autoaugment('coco')",
            "augment: autoaugment: dataset must be one of 'imagenet', 'cifar10', 'svhn', received 'coco' in "
            "\"autoaugment('coco')\" (op 1, augment.ops). Usage: autoaugment(dataset='imagenet').",
        ),
        (
            "flip|pick(2)",
            'augment: pick has no policies to choose from in "flip|pick(2)" (op 2, augment.ops). '
            "Usage: pick(n=1, policy, ...).",
        ),
        (
            "pick(flip, maybe(.3, posterize))",
            "augment: unknown op 'posterize' in \"pick(flip, maybe(.3, posterize))\" (op 1, augment.ops). "
            f"Known ops: {KNOWN}. Did you mean 'posterise'?",
        ),
        (
            "pick(flip, 3 + 4)",
            "augment: cannot read '3 + 4' in \"pick(flip, 3 + 4)\" (op 1, augment.ops). Expected a name, or a name "
            'with numbers: "flip", "rotate(degrees=15)".',
        ),
        (
            "blend(flip, maybe(mixup))",
            'augment: blend cannot mix pictures inside in "blend(flip, maybe(mixup))" (op 1, augment.ops). '
            "Put mixup, cutmix or mix behind it.",
        ),
        (
            "rrc(0.5, 0.2)",
            'augment: rrc: scale_hi must be in [0.5, 1], received 0.2 in "rrc(0.5, 0.2)" (op 1, augment.ops). '
            "Usage: rrc(scale_lo=0.08, scale_hi=1, ratio=1.33333).",
        ),
    ],
)
def test_a_refusal_says_what_where_and_what_to_do(policy, text):
    with pytest.raises(InputError) as refused:
        augment.build(policy)
    assert str(refused.value) == text


def test_policies_stand_inside_a_choice():
    flip, pick = augment.parse("flip|pick(2, rotate(3)|zoom, maybe(.3, grey), color)")
    assert flip.policies == ()
    assert pick.arguments == {"n": 2}
    names = [[call.name for call in policy] for policy in pick.policies]
    assert names == [["rotate", "zoom"], ["maybe"], ["brightness", "contrast", "saturation", "hue"]]
    assert pick.policies[1][0].arguments == {"p": 0.3}
    assert pick.policies[1][0].policies == (augment.parse("grey"),)


@pytest.mark.parametrize(
    "policy",
    ["rotate(__import__('os').getcwd())", "rotate(10 * 2)", "rotate(*[1])", "os.system('true')", "rotate(**{})", "a b"],
)
def test_only_literals_are_read(policy):
    with pytest.raises(InputError, match="augment: (cannot read|rotate has no argument None)"):
        augment.parse(policy)


def test_a_policy_is_a_string():
    with pytest.raises(InputError, match=r'must be a string such as "flip\|rotate\(15\)", received \[\'flip\'\]'):
        augment.parse(["flip"])


def test_every_known_op_has_a_line_with_usage_and_ranges():
    lines = augment.known_ops()
    assert ", ".join(lines) == KNOWN
    for name, line in lines.items():
        assert line.startswith(f"{name}(")
        assert ("[" in line) == ("=" in line.split(":")[0])  # arguments have ranges
        assert "\n" not in line


def test_reading_a_policy_imports_no_keras():
    code = "import sys, tfmap.augment as a; a.parse('flip'); a.known_ops(); assert 'keras' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
