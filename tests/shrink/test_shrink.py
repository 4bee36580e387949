from __future__ import annotations

import json
import subprocess
import sys

import pytest
from PIL import Image

from tfmap import cli, flatbuffer, shrink
from tfmap.errors import InputError
from tfmap.runs import Run
from tfmap.shrink import ladder, search


def call(capsys, *argv):
    with pytest.raises(SystemExit) as stopped:
        cli.main("shrink", list(map(str, argv)))
    return stopped.value.code, capsys.readouterr()


def test_the_best_way_is_published(trained):
    found = shrink.shrink(trained.path, budget=100, optimise="size", rungs=["int8", "prune50"])
    assert [point["name"] for point in found["points"]] == ["int8", "prune50"]
    assert found["best"] == min(found["points"], key=lambda point: point["gzip_bytes"])["name"] == "prune50"
    published = trained.file("model.tflite").read_bytes()
    assert published == (trained.file("shrink") / "prune50" / "model.tflite").read_bytes()
    assert len(published) == found["points"][1]["bytes"]
    kit = trained.file("handoff")
    assert (kit / "model.tflite").read_bytes() == published
    assert subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=kit, check=False).returncode == 0
    assert len(list((kit / "golden").glob("*.png"))) == 10
    assert trained.read_json("shrink.json") == found
    assert trained.read_json("verify.json")["metric"]["budget"] == 100
    with Image.open(trained.file("shrink.png")) as picture:
        assert picture.width > 800


@pytest.mark.slow
def test_every_point_can_be_made_again(trained):
    found = shrink.shrink(trained.path, budget=100, rungs=["prune50"])
    again = Run(trained.file("shrink") / "prune50")
    again.file("model.tflite").unlink()
    for command in found["points"][0]["commands"]:
        stage, folder = command.removeprefix("python -m tfmap.").split(" ", 1)
        with pytest.raises(SystemExit) as stopped:
            cli.main(stage, [folder])
        assert stopped.value.code == 0
    assert flatbuffer.read(again.file("model.tflite")).format == "int8"


def test_further_formats_are_published_and_old_ones_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tfmap.shrink.plot.draw", lambda result, path: path.write_bytes(b"png"))
    run, best = Run(tmp_path), tmp_path / "shrink" / "int8"
    for path in (best / "saved_model" / "new", tmp_path / "saved_model" / "old", tmp_path / "handoff" / "old"):
        path.parent.mkdir(parents=True)
        path.write_text("")
    for path in (best / "model.tflite", best / "model.onnx", tmp_path / "inference.keras", tmp_path / "golden.npz"):
        path.write_text("")
    for path in (best / "handoff" / "web" / "page.js", run.file("handoff") / "web" / "node_modules" / "litert.js"):
        path.parent.mkdir(parents=True)
        path.write_text("")
    search.publish(run, {"name": "int8"}, {})
    found = {path.name for path in tmp_path.iterdir()}
    assert found == {"shrink", "shrink.json", "shrink.png", "saved_model", "model.onnx", "model.tflite", "handoff"}
    assert [path.name for path in run.file("saved_model").iterdir()] == ["new"]
    kit = {str(path.relative_to(run.file("handoff"))) for path in run.file("handoff").rglob("*.js")}
    assert kit == {"web/page.js", "web/node_modules/litert.js"}  # what npm has installed stays


@pytest.mark.slow
def test_a_way_is_measured_once_and_again_when_something_changes(trained, monkeypatch):
    options = {"budget": 100, "rungs": ["int8"]}
    first = shrink.shrink(trained.path, **options)
    point = trained.file("shrink") / "int8" / "point.json"
    marked = json.loads(point.read_text()) | {"gzip_bytes": 1}
    point.write_text(json.dumps(marked))
    assert shrink.shrink(trained.path, **options)["points"][0]["gzip_bytes"] == 1
    again = shrink.shrink(trained.path, **{**options, "budget": 99})["points"][0]
    assert again["gzip_bytes"] == first["points"][0]["gzip_bytes"]
    point.write_text(json.dumps(marked | {"key": json.loads(point.read_text())["key"]}))
    next((trained.path.parent / "photos" / "glass").glob("*.jpg")).unlink()
    assert shrink.shrink(trained.path, **{**options, "budget": 99})["points"][0]["gzip_bytes"] > 1


@pytest.mark.slow
def test_a_stopped_search_goes_on(trained, monkeypatch):
    def stop(run, config, rung, *rest):
        if rung.name == "prune50":
            raise KeyboardInterrupt
        return measure(run, config, rung, *rest)

    measure = search._measured
    monkeypatch.setattr(search, "_measured", stop)
    with pytest.raises(KeyboardInterrupt):
        shrink.shrink(trained.path, budget=100, rungs=["int8", "prune50"])
    assert not trained.has("shrink.json")
    monkeypatch.setattr(search, "_measured", measure)
    assert len(shrink.shrink(trained.path, budget=100, rungs=["int8", "prune50"])["points"]) == 2


@pytest.mark.slow
def test_a_way_that_cannot_be_done_does_not_end_the_search(trained, monkeypatch, capsys):
    def refuse(run, config, rung, *rest):
        if rung.name != "int8":
            raise InputError(f"compress: no {rung.name} here")
        return measure(run, config, rung, *rest)

    measure = search._measured
    monkeypatch.setattr(search, "_measured", refuse)
    found = shrink.shrink(trained.path, budget=100, rungs=["prune50", "int8", "channels50"])
    assert (found["best"], len(found["points"])) == ("int8", 1)
    assert found["refused"] == {"prune50": "compress: no prune50 here", "channels50": "compress: no channels50 here"}
    assert "channels50: cannot be done here. compress: no channels50 here" in capsys.readouterr().out
    assert trained.has("model.tflite")
    with pytest.raises(InputError, match=r"no way can be done with this model\. prune50: compress: no prune50 here"):
        shrink.shrink(trained.path, budget=100, rungs=["prune50"])


@pytest.mark.slow
def test_over_budget_nothing_is_published(trained, capsys, monkeypatch):
    monkeypatch.setattr(search, "_numbers", lambda measured: {**numbers(measured), "passed": False, "drop_points": 3.0})
    code, said = call(capsys, trained.path, "shrink.rungs=[int8]", "shrink.budget=0.5")
    assert code == 1
    assert "none of 1 ways loses at most 0.5 points; the nearest loses 3.00" in said.err
    assert not trained.has("model.tflite")
    assert trained.read_json("shrink.json")["best"] is None


numbers = search._numbers


@pytest.mark.slow
def test_the_command_prints_every_way(trained, capsys):
    code, said = call(capsys, trained.path, "shrink.rungs=[int8]", "shrink.budget=100")
    assert code == 0
    assert f"int8: python -m tfmap.export {trained.file('shrink') / 'int8'}; python -m tfmap.verify" in said.out
    assert "best, front" in said.out


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"budget": -1.0}, "shrink.budget must be 0 or more points of the task's metric, received -1.0."),
        ({"rungs": ["int9"]}, "shrink.rungs: unknown way 'int9' to int8. Known: int8, "),
        ({"rungs": ["qat"], "target": "int4"}, "unknown way 'qat' to int4. Known: int4, low_bits, "),
        ({"rungs": []}, "shrink.rungs is empty. Known: int8, "),
        ({"optimise": "speed"}, "optimise must be size | latency | budget"),
    ],
)
def test_settings_that_cannot_be(trained, options, text):
    with pytest.raises(InputError) as error:
        shrink.shrink(trained.path, **options)
    assert text in str(error.value)


@pytest.mark.slow
def test_a_search_for_int4(trained, capsys):
    code, _ = call(capsys, trained.path, "shrink.target=int4", "shrink.rungs=[int4, low_bits]", "shrink.budget=100")
    assert code == 0
    assert flatbuffer.read(trained.file("model.tflite")).format == "int4"


def test_a_run_without_a_model(trained):
    trained.file("model.keras").unlink()
    with pytest.raises(FileNotFoundError, match="model.keras is missing. Run this stage first: python -m tfmap.train"):
        shrink.shrink(trained.path)


def test_which_ways_are_worth_a_try():
    def tried(optimise, passing):
        found = []
        for rung in search._worth(ladder.RUNGS, found, optimise):
            found.append({"name": rung.name, "passed": rung.name in passing})
        return [point["name"] for point in found]

    names = [rung.name for rung in ladder.RUNGS]
    assert tried("budget", {"int8"}) == ["int8"]
    assert tried("budget", {"qat"}) == ["int8", "float4", "qat"]
    assert tried("size", ()) == tried("latency", ()) == names
    assert tried("size", {"int8"}) == [rung.name for rung in ladder.RUNGS if "size" in rung.helps]


def test_the_ladder_is_read_without_tensorflow():
    assert all(rung.settings or rung.name == "int8" for rungs in ladder.LADDERS.values() for rung in rungs)
    assert "tfmap.shrink.ladder" in sys.modules
