import pytest

from tfmap.converter import refusing
from tfmap.errors import InputError


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("", "no reason given"),
        ("\nNode number 3 (CONV_2D) failed to prepare.\nmore", "Node number 3 \\(CONV_2D\\) failed to prepare"),
        ("about it\n<unknown>:0: error: loc(\"top\"): 'tf.Odd' op is odd.", "'tf.Odd' op is odd"),
    ],
)
def test_the_line_that_says_what_is_wrong(said, told):
    text = f"^export: TensorFlow's converter cannot make a .tflite file of net: {told}. Do it otherwise.$"
    with pytest.raises(InputError, match=text), refusing("export", "net", way_out="Do it otherwise."):
        raise RuntimeError(said)


def test_errors_of_ours_and_of_others_pass():
    with pytest.raises(InputError, match="^mine$"), refusing("export", "net", way_out=""):
        raise InputError("mine")
    with pytest.raises(KeyError), refusing("export", "net", way_out=""):
        raise KeyError("bug")
