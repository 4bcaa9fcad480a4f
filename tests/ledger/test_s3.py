"""Results on object storage, with a real S3 server on this machine: the table is the same, errors are one line."""

import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest
from records import rows_of

from sweeps.ledger import s3
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.storage import Storage, StorageError

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture
def silent():
    """Start a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield "s3://bucket/prefix?scheme=http&endpoint_override={}:{}".format(*server.getsockname())


@pytest.fixture
def forbidding():
    """Start a server that forbids everything."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_PUT = do_HEAD = do_POST = do_DELETE = do_GET

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield "s3://bucket/prefix?scheme=http&endpoint_override={}:{}".format(*server.server_address)
        server.shutdown()


def command(module, *arguments):
    return subprocess.run(
        [sys.executable, "-m", f"sweeps.{module}", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | ENVIRONMENT,
        timeout=300,
    )


def table_of(done):
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("placement", [["--inline"], ["--workers", "2"]], ids=" ".join)
def test_a_sweep_on_s3_equals_one_on_disk(tiny_file, tmp_path, bucket, placement):
    """Rows and table are the same."""
    uri = bucket("results")
    ran = command("run", tiny_file, "--results", uri, *placement)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.count("done: ") == 6
    command("run", tiny_file, "--results", tmp_path, "--inline")
    on_s3, on_disk = Ledger(Storage(uri).folder("tiny")), Ledger(Storage(tmp_path / "tiny"))
    assert rows_of(on_s3) == rows_of(on_disk)
    assert on_s3.storage.names("checkpoints") == []
    assert table_of(command("report", "tiny", "--results", uri)) == table_of(
        command("report", "tiny", "--results", tmp_path)
    )
    assert "done: " not in table_of(command("run", tiny_file, "--results", uri, *placement))


def test_a_missing_bucket_is_one_line(tiny_file, bucket):
    uri = bucket("results").replace("s3://", "s3://not-")
    done = command("run", tiny_file, "--results", uri, "--inline")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("cannot write not-bucket-")
    assert "/results/tiny/" in done.stderr


def test_a_bucket_of_somebody_else_is_one_line(tiny_file, forbidding):
    for done in (command("report", "--results", forbidding), command("run", tiny_file, "--results", forbidding)):
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
        assert done.stderr.startswith("cannot read bucket/prefix")
        assert "ACCESS_DENIED" in done.stderr


def test_a_bad_uri_is_one_line_without_password(tiny_file):
    done = command("report", "--results", "s3://me:secret@bucket/prefix?typo=1")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "typo" in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.parametrize(("question", "seconds"), [("", s3.RETRY_SECONDS), ("?retry_limit_seconds=5", 5)])
def test_googles_storage_is_not_tried_for_long(question, seconds):
    """Without credentials or a network every call is retried; a URI may say for how long."""
    filesystem, path = s3.connect(f"gs://bucket/prefix{question}")
    assert path == "bucket/prefix"
    assert filesystem.__reduce__()[1][0]["retry_time_limit"] == timedelta(seconds=seconds)


@pytest.mark.slow
def test_a_silent_server_ends_in_one_line(silent):
    """The command ends within the stated time."""
    began = time.monotonic()
    done = command("report", "--results", silent)
    taken = time.monotonic() - began
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert done.stderr.startswith("cannot read bucket/prefix: ")
    assert s3.ANSWER_SECONDS < taken < s3.ATTEMPTS * (s3.ANSWER_SECONDS + 2) + 20


def test_an_unreachable_file_is_not_called_damaged(bucket, plan, monkeypatch):
    """Otherwise a short outage of the server would set a good unit aside."""
    ledger = Ledger(Storage(bucket("a/tiny")))
    ledger.write(plan.units[0], {})

    def refuse(name):
        raise StorageError(f"cannot read {name}: ACCESS_DENIED")

    monkeypatch.setattr(ledger.storage, "read", refuse)
    with pytest.raises(StorageError, match="ACCESS_DENIED"):
        ledger.set_damaged_aside([])[1]
