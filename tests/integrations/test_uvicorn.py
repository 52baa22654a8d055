"""uvicorn starts and stops gcctl through ASGI lifespan."""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
from pathlib import Path

import pytest
from paths import DOCS

pytest.importorskip("uvicorn")

from processes import PATIENCE_SECONDS, wait_until

PAGE = DOCS / "integrations" / "uvicorn.md"

REPORTING = """
import gcctl, logging
logging.basicConfig(level=logging.INFO)
"""


@pytest.mark.skipif(not PAGE.exists(), reason="not in a source tree")
def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.S | re.M)
    (tmp_path / "shop.py").write_text(REPORTING + example)
    log = tmp_path / "log"
    command = [sys.executable, "-Im", "uvicorn", "--app-dir", str(tmp_path), "--port", "0"]
    with open(log, "w") as out:
        server = subprocess.Popen(
            [*command, "shop:app"], cwd=tmp_path, stdout=out, stderr=subprocess.STDOUT
        )

    def running() -> re.Match[str] | None:
        assert server.poll() is None, log.read_text()
        return re.search(r"Uvicorn running on http://127.0.0.1:(\d+)", log.read_text())

    try:
        wait_until(running)
        found = running()
        assert found
        for _ in range(3):
            connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=60)
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"hello"
            connection.close()
        server.terminate()
        server.wait(PATIENCE_SECONDS)
    finally:
        server.kill()
        server.wait()
    text = log.read_text()
    assert "installed: policy auto" in text
    assert re.search(r"uninstalled: .*3 requests", text), text
