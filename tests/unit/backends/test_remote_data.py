"""Data at an address: brought once, checked, brought again when it changed there; every fault in words."""

from __future__ import annotations

import base64
import hashlib
import http.server
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest

from tests.waiting import PATIENCE_S
from tidemill.backends.artifacts.folder import open_artifacts
from tidemill.backends.data.remote import RemoteStore
from tidemill.backends.data.workspace import WorkspaceData
from tidemill.base.errors import BackendError, FailedError, UsageError
from tidemill.base.places import address_of, locate
from tidemill.base.wanted import wanted_until
from tidemill.plan.graph import DataRef


class Site:
    """What a server answers, and what it was asked."""

    def __init__(self) -> None:
        self.body = b"a,b\n1,2\n"
        self.status = 200
        self.headers: dict[str, str] = {}
        self.cut = False
        self.slow = False
        self.gets = 0
        self.url = ""


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            site.gets += 1
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            if self.path.startswith("/moved"):
                self.send_response(302)
                self.send_header("Location", "/there.csv")
                self.end_headers()
                return
            self.send_response(site.status)
            self.send_header("ETag", hashlib.sha256(site.body).hexdigest())
            self.send_header("Content-Length", str(len(site.body)))
            for name, value in site.headers.items():
                self.send_header(name, value)
            self.end_headers()
            while with_body and site.slow:
                self.wfile.write(b"x")
                time.sleep(0.05)
            if with_body:
                self.wfile.write(site.body[: len(site.body) // 2] if site.cut else site.body)
            if site.cut and with_body:
                self.close_connection = True

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield site
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def fetch(tmp_path: Path) -> Callable[[str], Path]:
    data = WorkspaceData(tmp_path)
    return lambda uri: data.fetch(DataRef(uri, "uri_file"), lambda _: None)


def test_a_download_nobody_wants_any_more_ends_and_leaves_nothing(
    site: Site, fetch: Callable[[str], Path], tmp_path: Path
) -> None:
    asked = threading.Event()
    threading.Timer(0.4, asked.set).start()
    site.slow, site.body = True, b"x" * 100_000
    begun = time.monotonic()
    with wanted_until(asked.is_set), pytest.raises(FailedError, match="canceled"):
        fetch(f"{site.url}/slow.bin")
    site.slow = False
    assert time.monotonic() - begun < PATIENCE_S / 4
    assert not [p for p in (tmp_path / "downloads").iterdir() if p.is_dir()]


def test_what_a_killed_download_left_goes_with_the_next(
    site: Site, fetch: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = fetch(f"{site.url}/d.csv").parent.parent
    left = folder.with_name(f".{folder.name}.0badcafe")
    folder.rename(left)
    assert fetch(f"{site.url}/d.csv").read_bytes() == site.body
    assert not left.exists()


def test_a_file_is_brought_once_and_again_only_when_it_changed(site: Site, fetch: Callable[[str], Path]) -> None:
    first = fetch(f"{site.url}/d/iris.csv?sig=secret")
    assert (first.name, first.read_bytes()) == ("iris.csv", site.body)
    assert fetch(f"{site.url}/d/iris.csv?sig=secret") == first
    assert site.gets == 1
    site.body = b"a,b\n3,4\n"
    assert fetch(f"{site.url}/d/iris.csv?sig=secret").read_bytes() == b"a,b\n3,4\n"
    assert first.read_bytes() == b"a,b\n1,2\n", "a run that uses the old version lost it"


def test_a_damaged_copy_is_brought_anew(site: Site, fetch: Callable[[str], Path]) -> None:
    path = fetch(f"{site.url}/iris.csv")
    path.write_bytes(b"a,b\n9,9\n")
    assert fetch(f"{site.url}/iris.csv").read_bytes() == site.body


def test_a_redirect_is_followed(site: Site, fetch: Callable[[str], Path]) -> None:
    assert fetch(f"{site.url}/moved.csv").read_bytes() == site.body


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [(404, FailedError, "Nothing is at"), (403, BackendError, "403"), (500, BackendError, "500")],
)
def test_what_a_server_refuses_is_said_without_the_signature(
    site: Site, fetch: Callable[[str], Path], status: int, kind: type[Exception], words: str
) -> None:
    site.status = status
    with pytest.raises(kind, match=words) as caught:
        fetch(f"{site.url}/iris.csv?sig=secret")
    assert "secret" not in f"{caught.value} {getattr(caught.value, 'hint', '')}"


def test_a_cut_connection_leaves_nothing_behind(site: Site, fetch: Callable[[str], Path], tmp_path: Path) -> None:
    site.cut = True
    with pytest.raises(BackendError):
        fetch(f"{site.url}/iris.csv")
    assert not [p for p in (tmp_path / "downloads").rglob("*") if p.is_file() and p.suffix != ".lock"]
    site.cut = False
    assert fetch(f"{site.url}/iris.csv").read_bytes() == site.body


def test_a_checksum_that_does_not_fit_is_an_error(site: Site, fetch: Callable[[str], Path]) -> None:
    site.headers["Content-MD5"] = base64.b64encode(hashlib.md5(b"other", usedforsecurity=False).digest()).decode()
    with pytest.raises(BackendError, match="checksum"):
        fetch(f"{site.url}/iris.csv")


def test_a_server_that_is_not_there_is_named(fetch: Callable[[str], Path]) -> None:
    with pytest.raises(BackendError, match=r"http://127.0.0.1:9/iris.csv"):
        fetch("http://127.0.0.1:9/iris.csv")


def test_a_protocol_nobody_speaks_is_named(fetch: Callable[[str], Path]) -> None:
    with pytest.raises(UsageError, match="gopher"):
        fetch("gopher://x/y")


def test_a_folder_comes_with_everything_below_it_and_goes_back(tmp_path: Path) -> None:
    there = fsspec.filesystem("memory")
    there.pipe({"/bucket/data/a.txt": b"one", "/bucket/data/deep/b.txt": b"two"})
    data = WorkspaceData(tmp_path, {"lake": "memory://bucket"})
    folder = data.fetch(DataRef("azureml://datastores/lake/paths/data", "uri_folder"), lambda _: None)
    assert {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*.txt")} == {
        "a.txt": "one",
        "deep/b.txt": "two",
    }
    artifacts = open_artifacts(tmp_path / "home")
    kept = artifacts.keep(folder, copy=True)
    data.publish(kept.ref, "azureml://datastores/lake/paths/out/x", artifacts)
    assert there.cat("/bucket/out/x/deep/b.txt") == b"two"
    there.rm("/bucket", recursive=True)


def test_a_datastore_path_does_not_lead_out_of_its_store(tmp_path: Path) -> None:
    data = WorkspaceData(tmp_path, {"lake": "memory://bucket/mine", "here": tmp_path / "x"})
    for store in ("lake", "here"):
        with pytest.raises(UsageError, match="leads out"):
            data.fetch(DataRef(f"azureml://datastores/{store}/paths/../other", "uri_folder"), lambda _: None)


@pytest.mark.parametrize(
    ("uri", "path", "account"),
    [
        ("wasbs://data@acc.blob.core.windows.net/a/b%20c.csv", "data/a/b c.csv", "acc"),
        ("abfss://fs@lake.dfs.core.windows.net/x/", "fs/x/", "lake"),
    ],
)
def test_azures_addresses_are_understood(uri: str, path: str, account: str) -> None:
    place = locate(uri, {"AZURE_STORAGE_ACCOUNT_KEY": "k"})
    assert (place.protocol, place.path) == ("abfs", path)
    assert place.options == {"account_name": account, "account_key": "k"}


def test_s3_takes_its_keys_and_its_server_from_the_environment() -> None:
    env = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key", "AWS_ENDPOINT_URL": "http://127.0.0.1:9000"}
    place = locate("s3://bucket/a/b.csv", env)
    assert (place.path, place.options["key"], place.options["endpoint_url"]) == (
        "bucket/a/b.csv",
        "id",
        "http://127.0.0.1:9000",
    )


@pytest.mark.parametrize(("public", "asked"), [(True, [True]), (False, [True, False])])
def test_azures_public_data_needs_no_login_and_private_data_gets_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, public: bool, asked: list[bool]
) -> None:
    there = fsspec.filesystem("memory")
    there.pipe("/data/a.csv", b"1")
    seen: list[bool] = []

    class Account(type(there)):  # type: ignore[misc]
        def __init__(self, **options: object) -> None:
            super().__init__()
            seen.append(bool(options["anon"]))

        def info(self, path: str, **options: object) -> object:
            if seen[-1] and not public:
                raise FileNotFoundError(path)
            return super().info(path, **options)

    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")  # whose business it is which hosts there are
    monkeypatch.setattr(fsspec, "filesystem", lambda _, skip_instance_cache=True, **options: Account(**options))
    store = RemoteStore(tmp_path, dict)
    assert store.fetch("wasbs://data@acc.blob.core.windows.net/a.csv", lambda _: None).read_bytes() == b"1"
    assert seen == asked
    there.rm("/data", recursive=True)


def test_other_clouds_of_azure_have_hosts_of_their_own() -> None:
    options = locate("abfss://fs@lake.dfs.core.chinacloudapi.cn/x", {}).options
    assert options["account_host"] == "lake.blob.core.chinacloudapi.cn"
    assert "account_host" not in locate("abfss://fs@lake.dfs.core.windows.net/x", {}).options


def test_what_is_not_in_a_datastores_folder_is_read_from_its_account(tmp_path: Path) -> None:
    there = fsspec.filesystem("memory")
    there.pipe("/cont/in/a.txt", b"cloud")
    data = WorkspaceData(tmp_path, account=lambda name: "memory://cont" if name == "lake" else "")
    uri = "azureml://datastores/lake/paths/in/a.txt"
    assert data.find_local(uri) is None
    assert data.fetch(DataRef(uri, "uri_file"), lambda _: None).read_bytes() == b"cloud"
    here = tmp_path / "datastores" / "lake" / "in" / "a.txt"
    here.parent.mkdir(parents=True)
    here.write_text("here")
    assert data.fetch(DataRef(uri, "uri_file"), lambda _: None) == here
    with pytest.raises(FailedError, match="is not there"):
        data.fetch(DataRef("azureml://datastores/other/paths/x", "uri_file"), lambda _: None)
    there.rm("/cont", recursive=True)


@pytest.mark.parametrize(
    ("body", "address"),
    [
        ({"type": "azure_blob", "account_name": "a", "container_name": "c"}, "wasbs://c@a.blob.core.windows.net"),
        ({"type": "azure_data_lake_gen2", "account_name": "a", "filesystem": "f"}, "abfss://f@a.dfs.core.windows.net"),
        ({"type": "azure_file", "account_name": "a", "file_share_name": "s"}, ""),
        ({}, ""),
    ],
)
def test_the_document_of_a_datastore_says_where_it_is(body: dict[str, str], address: str) -> None:
    assert address_of(body) == address


def test_an_account_that_nobody_has_is_said_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BackendError, match="there is no host `nobody"):
        RemoteStore(tmp_path, dict).fetch("wasbs://c@nobody.blob.invalid/x", lambda _: None)
