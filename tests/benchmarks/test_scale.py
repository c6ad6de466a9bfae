"""The rehearsals: their nodes are those of the cluster, and what they draw can be read."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from benchmarks.scale.chart import write_chart
from benchmarks.scale.nodes import node_types
from factory.serve.cluster import subcluster_names

SVG = "{http://www.w3.org/2000/svg}"


def test_nodes_are_the_worker_groups_that_scale_from_zero() -> None:
    types = node_types()
    assert set(types) == set(subcluster_names())
    for name, kind in types.items():
        assert kind["min_workers"] == 0 < kind["max_workers"]
        assert kind["resources"][name] > 0


def test_the_picture_shows_a_curve_each_and_where_nodes_were_killed(tmp_path: Path) -> None:
    samples: list[dict[str, Any]] = [
        {"second": second, "backlog": 3 - second, "actors": second, "nodes": second % 2, "killed": int(second > 1)}
        for second in range(3)
    ]
    path = tmp_path / "made" / "picture.svg"
    write_chart({"samples": samples, "projects": 3, "machine": {"cores": 2}}, path)
    root = ET.fromstring(path.read_text())  # noqa: S314 - written above
    curves = root.findall(f"{SVG}polyline")
    assert [len(curve.attrib["points"].split()) for curve in curves] == [3, 3, 3]
    kills = [line for line in root.findall(f"{SVG}path") if "stroke-dasharray" in line.attrib]
    assert len(kills) == len(curves)
    assert "3 projects on 2 cores" in path.read_text()
