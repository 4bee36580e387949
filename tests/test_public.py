"""What `import tfmap` offers, and what it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tfmap


@pytest.mark.parametrize("name", sorted({*tfmap._FUNCTIONS, *tfmap._STAGES}))
def test_every_public_name_is_there(name):
    assert getattr(tfmap, name) is not None
    assert name in dir(tfmap)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'tfmap' has no attribute 'build_detektor'"):
        _ = tfmap.build_detektor


def test_importing_it_imports_nothing_heavy():
    heavy = "{'tensorflow', 'keras', 'numpy', 'PIL', 'matplotlib', 'sklearn'}"
    code = f"import sys, tfmap; dir(tfmap); print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
