"""The certificate of a server: wrong ones are told at once, renewed ones are taken in while it runs."""

from __future__ import annotations

import shutil
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from tests.unit.serve.test_operation import SCRIPT, certificate, running, score
from tests.waiting import until
from tidemill.base.errors import UsageError
from tidemill.serve.tls import Certificate

pytestmark = pytest.mark.filterwarnings("ignore")


def made(folder: Path, name: str) -> tuple[Path, Path]:
    (folder / name).mkdir()
    return certificate(folder / name)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("other", "the key belongs to another certificate"),
        ("encrypted", "it is encrypted, and nobody is there to type a pass phrase"),
        ("text", "not the PEM file it should be"),
        ("none", "No such file"),
    ],
)
def test_what_is_wrong_with_a_certificate_is_said_and_nobody_is_asked_for_a_pass_phrase(
    tmp_path: Path, wrong: str, words: str
) -> None:
    chain, key = made(tmp_path, "own")
    if wrong == "other":
        key = made(tmp_path, "other")[1]
    elif wrong == "encrypted":
        held = serialization.load_pem_private_key(key.read_bytes(), None)
        secret = serialization.BestAvailableEncryption(b"secret")
        form = serialization.PrivateFormat.PKCS8
        key.write_bytes(held.private_bytes(serialization.Encoding.PEM, form, secret))
    elif wrong == "text":
        chain.write_text("nothing")
    else:
        key.unlink()
    with pytest.raises(UsageError, match=words) as told:
        Certificate(chain, key).check()
    assert told.value.hint


def test_a_renewed_certificate_is_used_without_a_restart_and_half_of_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "score.py").write_text(SCRIPT)
    (chain, key), new = made(tmp_path, "own"), made(tmp_path, "new")
    trusting_old = ssl.create_default_context(cafile=str(chain))
    trusting_new = ssl.create_default_context(cafile=str(new[0]))
    with running(tmp_path / "code", "--tls-cert", str(chain), "--tls-key", str(key)) as (_, address):
        url = address.replace("127.0.0.1", "localhost")
        assert score(url, "x", context=trusting_old)[0] == 200
        shutil.copy(new[0], chain)
        wait_for(tmp_path / "log", "the one before stays: the key belongs to another certificate")
        assert score(url, "x", context=trusting_old)[0] == 200
        shutil.copy(new[1], key)
        wait_for(tmp_path / "log", "is used from now on")
        assert score(url, "x", context=trusting_new)[0] == 200
        with pytest.raises(ssl.SSLError):
            score(url, "x", context=trusting_old)


def wait_for(log: Path, words: str) -> None:
    until(lambda: words in log.read_text())
