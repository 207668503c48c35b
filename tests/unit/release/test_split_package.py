"""A model beside its server: the server's image does not change with the model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tidemill.release.package import ImageFile, ImageLayer, Package, split_package


def package(model: str) -> Package:
    return Package(
        base_image="python:3.11-slim",
        layers=(
            ImageLayer("packages", (ImageFile(Path("p"), "/opt/tidemill/site/p", "1"),)),
            ImageLayer("model", (ImageFile(Path("m"), "/opt/tidemill/model/m", model),)),
        ),
        entrypoint=("python3", "-m", "tidemill.serve"),
        arguments=("--version", model),
        environment={"HOME": "/tmp"},
        labels={"io.tidemill.model.digest": model, "org.opencontainers.image.version": model, "team": "blue"},
    )


def test_two_versions_share_the_server_and_differ_in_the_model() -> None:
    (first, one), (second, two) = split_package(package("1")), split_package(package("2"))
    assert first == second
    assert first.labels == {"team": "blue"}
    assert [layer.name for layer in first.layers] == ["packages"]
    assert one != two
    assert [layer.name for layer in one.layers] == ["model"]
    assert one.entrypoint[0] == "cp"


def test_the_converted_model_goes_with_the_model() -> None:
    whole = package("1")
    converted = ImageLayer("converted model", (ImageFile(Path("c"), "/opt/tidemill/model/converted/c", "2"),))
    server, carrier = split_package(replace(whole, layers=(*whole.layers, converted)))
    assert [layer.name for layer in server.layers] == ["packages"]
    assert [layer.name for layer in carrier.layers] == ["model", "converted model"]
    assert all(f.target.startswith("/opt/tidemill/model/") for layer in carrier.layers for f in layer.files)
