"""The real server runs here as it does in the image, so that what other tests say about it means something."""

from __future__ import annotations

import pytest
from support.inference_server import ServerDiedError, running_server, server_environment
from support.interpreters import python

REACH_OUT = """\
import socket

why = None
try:
    socket.create_connection(("192.0.2.1", 80), 2)
except OSError as error:
    why = error.errno


def init():
    pass


def run(data):
    return {"why": why, "got": data}
"""
pytestmark = [pytest.mark.network, pytest.mark.slow]


@pytest.fixture(scope="session")
def venv(tmp_path_factory):
    return server_environment(tmp_path_factory, python("3.7"), "0.8.4.2")


def test_the_server_answers_on_loopback_and_reaches_no_other_network(venv, tmp_path):
    (tmp_path / "onlinescoring").mkdir()
    (tmp_path / "onlinescoring" / "score.py").write_text(REACH_OUT)
    with running_server(venv, tmp_path, "onlinescoring/score.py") as server:
        assert server.get("/").status == 200
        answer = server.post("/score", {"x": 1})
        assert answer.status == 200
        assert '"why": 101' in answer.body, "the network is unreachable"
        assert "x" in answer.body
        assert "Listening at: http://0.0.0.0:31311" in server.log


def test_a_server_whose_score_script_does_not_load_is_reported_with_its_log(venv, tmp_path):
    (tmp_path / "score.py").write_text("import no_such_module\n")
    with (
        pytest.raises(ServerDiedError, match="No module named 'no_such_module'"),
        running_server(venv, tmp_path, "score.py"),
    ):
        pass
