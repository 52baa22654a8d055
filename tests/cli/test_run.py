"""`gcctl run`: what a program sees, prints and returns is what it does under python itself."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from processes import PATIENCE_SECONDS, wait_until

from gcctl._concurrent.coordinator import coordinator
from gcctl._config.presets import PRESETS
from gcctl.cli._python import honouring_pythonpath, interpreter_options

GCCTL = [sys.executable, "-m", "gcctl"]
RUN = [*GCCTL, "run"]

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX signals and processes")


def run(
    command: Sequence[str], cwd: Path, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        env={**os.environ, **environment},
        check=False,
    )


def outcome(completed: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    stdout, stderr = (
        re.sub("0x[0-9a-f]+", "0x...", text) for text in (completed.stdout, completed.stderr)
    )
    return completed.returncode, stdout, stderr


def assert_same(cwd: Path, *words: str, stdin: str = "", options: Sequence[str] = ()) -> str:
    """Run a program under python and under gcctl; its outcome must be the same. Returns stdout."""
    python = run([sys.executable, *options, *words], cwd, stdin)
    gcctl = run([sys.executable, *options, "-m", "gcctl", "run", *words], cwd, stdin)
    assert outcome(gcctl) == outcome(python)
    return gcctl.stdout


SEES = """
import os, sys
main = sys.modules["__main__"]
print(__name__, __file__, __package__, __spec__ and __spec__.name, __loader__.__class__.__name__)
print(__builtins__ is sys.modules["builtins"], globals().get("__cached__"))
print(main.__dict__ is globals(), __doc__)
print(sorted(globals()), sys.argv, sys.orig_argv, sys.path, sys.flags, sys._xoptions)
print(sys.warnoptions, "sitecustomize" in sys.modules)
print(sorted(os.environ.items()))
"""

PROGRAMS = {
    "what it sees": SEES,
    "stdin": "import sys; print(sys.stdin.read())",
    "stack": "import traceback; traceback.print_stack()",
    "stack level of a warning": "import warnings; warnings.warn('deep', stacklevel=2)",
    "recursion limit": """
def depth():
    try:
        return 1 + depth()
    except RecursionError:
        return 0
print(depth())
""",
    "exit 0": "import sys; sys.exit(0)",
    "exit 7": "import sys; sys.exit(7)",
    "exit -1": "import sys; sys.exit(-1)",
    "exit 256": "import sys; sys.exit(256)",
    "exit True": "import sys; sys.exit(True)",
    "exit None": "import sys; sys.exit(None)",
    "exit with a message": "import sys; sys.exit('no luck')",
    "exit with an object": "import sys; sys.exit(('a', 1))",
    "exit without arguments": "raise SystemExit",
    "exit status of os._exit": "import os; os._exit(9)",
    "exit from a thread": "import sys, threading as t; t.Thread(target=sys.exit).start()",
    "exception": "def broken():\n    raise ValueError('no')\n\nbroken()",
    "exception with a note": "error = ValueError('no')\nerror.add_note('why')\nraise error",
    "exception chain": """
def inner():
    return {}["missing"]

def outer():
    try:
        inner()
    except KeyError as error:
        raise RuntimeError("outer") from error

try:
    outer()
except RuntimeError:
    1 / 0
""",
    "exception group": """
def fail(text):
    try:
        raise ValueError(text)
    except ValueError as error:
        return error

raise ExceptionGroup("several", [fail("a"), ExceptionGroup("inner", [fail("b"), OSError("c")])])
""",
    "exception without a usable str": """
class Odd(Exception):
    def __str__(self):
        raise TypeError
raise Odd
""",
    "base exception": "class Stop(BaseException): pass\nraise Stop('now')",
    "syntax error": "print('never')\ndef broken(:\n    pass\n",
    "indentation error": "if True:\nprint(1)\n",
    "null byte": "print(1)\0\n",
    "wrong encoding": "# -*- coding: nonesuch -*-\n",
    "import of what is not there": "import nonesuch",
    "its own excepthook": """
import sys
def hook(kind, value, traceback):
    frames = 0
    while traceback:
        frames, traceback = frames + 1, traceback.tb_next
    print("hook", kind.__name__, value, frames)
sys.excepthook = hook
raise ValueError("no")
""",
    "an excepthook that fails": "import sys\nsys.excepthook = lambda *_: 1 / 0\nraise OSError",
    "exception in a thread": """
import threading
thread = threading.Thread(target=lambda: 1 / 0, name="worker")
thread.start()
thread.join()
""",
    "exception nobody can raise": "class A:\n    def __del__(self):\n        1 / 0\nA()\n",
    "atexit functions": """
import atexit, sys
atexit.register(print, "first registered")
atexit.register(lambda: 1 / 0)
atexit.register(sys.stderr.write, "last registered\\n")
print("body")
""",
    "threads that outlive the main one": """
import threading
def late():
    threading.main_thread().join()
    print("late")
threading.Thread(target=late).start()
print("main ends")
""",
    "pickle of its own class": """
import pickle
class Point:
    def __init__(self, x):
        self.x = x
data = pickle.dumps(Point(3))
print(b"__main__" in data, pickle.loads(data).x)
""",
    "inspection of its own source": """
import inspect
def here():
    return 1
print(inspect.getsource(here), inspect.stack()[-1].function, len(inspect.stack()))
""",
    "keyboard interrupt it raises": "raise KeyboardInterrupt",
    "keyboard interrupt it catches": "try:\n    raise KeyboardInterrupt\nexcept:\n    print(1)",
    "a module beside it": "import beside; print(beside.__file__)",
    "a broken pipe's handling": "import signal; print(signal.getsignal(signal.SIGINT))",
    "closed streams": "import sys; sys.stdout.close(); sys.stderr.close()",
}

POSIX_PROGRAMS = {
    f"death by {name}": f"import os, signal; os.kill(os.getpid(), signal.{name})"
    for name in ("SIGTERM", "SIGKILL", "SIGINT", "SIGHUP")
} | {
    "fork": """
import os, sys
print("before", flush=True)
if os.fork() == 0:
    print("child", flush=True)
    sys.exit(3)
print(os.waitstatus_to_exitcode(os.wait()[1]))
""",
}
ALL_PROGRAMS = PROGRAMS | (POSIX_PROGRAMS if os.name == "posix" else {})


@pytest.mark.parametrize("text", ALL_PROGRAMS.values(), ids=ALL_PROGRAMS)
def test_a_script_ends_as_under_python(tmp_path: Path, text: str) -> None:
    (tmp_path / "beside.py").touch()
    (tmp_path / "program.py").write_text(text)
    assert_same(tmp_path, "program.py", "one", stdin="some\ninput\n")


@pytest.mark.parametrize(
    "options",
    [
        ["-X", "dev"],
        ["-Xutf8=1", "-u"],
        ["-OO", "-B"],
        ["-W", "error", "-Walways"],
        ["-bb"],
        ["-P"],
        ["-s"],
        ["--check-hash-based-pycs", "never"],
    ],
    ids=" ".join,
)
def test_options_of_python_reach_the_program(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "program.py").write_text(SEES)
    assert_same(tmp_path, "program.py", options=options)


@pytest.mark.parametrize("option", ["-E", "-I", "-IB"])
def test_python_that_ignores_its_environment_runs_a_program_that_keeps_it(
    tmp_path: Path, option: str
) -> None:
    (tmp_path / "program.py").write_text(
        "import os, sys; print(sorted(os.environ.items()), sys.path, sys.flags.safe_path)"
    )
    environment = {"PYTHONPATH": "/not/wanted", "PYTHONWARNINGS": "error", "PYTHONVERBOSE": ""}
    python = run([sys.executable, option, "program.py"], tmp_path, **environment)
    gcctl = run(
        [sys.executable, option, "-m", "gcctl", "run", "program.py"], tmp_path, **environment
    )
    assert outcome(gcctl) == outcome(python)


def test_python_without_site_is_refused(tmp_path: Path) -> None:
    packages = os.pathsep.join(entry for entry in sys.path if entry.endswith("-packages"))
    command = [sys.executable, "-S", "-m", "gcctl", "run", "program.py"]
    refused = run(command, tmp_path, PYTHONPATH=packages)
    assert refused.returncode == 2
    assert "site" in refused.stderr.splitlines()[-1]


def test_directories_and_zip_files_run(tmp_path: Path) -> None:
    directory = tmp_path / "application"
    directory.mkdir()
    (directory / "__main__.py").write_text(f"import beside\n{SEES}\nraise ValueError(beside.X)")
    (directory / "beside.py").write_text("X = 'value'")
    with zipfile.ZipFile(tmp_path / "application.zip", "w") as archive:
        for name in ("__main__.py", "beside.py"):
            archive.write(directory / name, name)
    assert_same(tmp_path, "application")
    assert_same(tmp_path, "application.zip", "argument")


def test_modules_and_packages_run(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("print('package')")
    (package / "__main__.py").write_text(f"from . import other\n{SEES}\nraise ValueError(other.X)")
    (package / "other.py").write_text("X = 1\nprint(__name__)")
    (tmp_path / "single.py").write_text(SEES)
    assert_same(tmp_path, "-m", "package", "argument")
    assert_same(tmp_path, "-m", "package.other")
    assert_same(tmp_path, "-m", "single")
    assert_same(tmp_path, "-msingle")


def test_modules_of_the_standard_library_run(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("value = 6\nprint(value * 7)\n")
    assert "usage" in assert_same(tmp_path, "-m", "http.server", "--help")
    assert "42" in assert_same(tmp_path, "-m", "pdb", "program.py", stdin="next\nnext\nquit\n")
    assert_same(tmp_path, "-m", "timeit", "-n", "1", "-r", "1", "-q", "pass", "--nonsense")


@pytest.mark.parametrize(
    "words",
    [
        ["missing.py"],
        ["missing.py", "--help"],
        ["-m", "missing"],
        ["-m", "missing.module"],
        ["-m", "json.nothing"],
        ["-m", "email"],
        ["."],
        ["", "argument"],
    ],
    ids=" ".join,
)
def test_a_program_that_is_not_there_is_reported_as_python_does(
    tmp_path: Path, words: list[str]
) -> None:
    assert_same(tmp_path, *words)


def test_standard_input_may_be_the_program(tmp_path: Path) -> None:
    assert_same(tmp_path, "-", "argument", stdin="import sys; print(sys.argv); raise ValueError")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--report", "--policy", "nonesuch", "--help", "-h", "--version"],
        ["--", "--report"],
        ["-m", "--", "run", "demo"],
        ["", " ", "*", "--log-level=info", "\u20ac"],
    ],
    ids=repr,
)
def test_what_follows_the_script_belongs_to_the_program(
    tmp_path: Path, arguments: list[str]
) -> None:
    (tmp_path / "program.py").write_text("import sys; print(ascii(sys.argv))")
    assert ascii(arguments)[1:-1] in assert_same(tmp_path, "program.py", *arguments)
    assert_same(tmp_path, "-m", "program", *arguments)
    assert_same(tmp_path, "--", "program.py", *arguments)


def test_the_environment_keeps_its_own_sitecustomize(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("import sys; sys.customized = __file__")
    (tmp_path / "program.py").write_text(
        "import sitecustomize, sys; print(sys.customized, sitecustomize.__file__, sys.path)"
    )
    for path in ("site", os.pathsep.join(["site", "elsewhere"])):
        python = run([sys.executable, "program.py"], tmp_path, PYTHONPATH=path)
        gcctl = run([*RUN, "program.py"], tmp_path, PYTHONPATH=path)
        assert outcome(gcctl) == outcome(python)
    (tmp_path / "site" / "sitecustomize.py").write_text("1 / 0")
    (tmp_path / "program.py").write_text("import sys; print('sitecustomize' in sys.modules)")
    python = run([sys.executable, "program.py"], tmp_path, PYTHONPATH="site")
    gcctl = run([*RUN, "program.py"], tmp_path, PYTHONPATH="site")
    assert (gcctl.returncode, gcctl.stdout) == (python.returncode, python.stdout)
    assert "ZeroDivisionError" in python.stderr
    assert gcctl.stderr == python.stderr * 2  # once of the command itself, once of the program


@pytest.mark.parametrize(
    "method",
    ["spawn", pytest.param("fork", marks=posix), pytest.param("forkserver", marks=posix)],
)
def test_multiprocessing_works_from_main(tmp_path: Path, method: str) -> None:
    text = f"""
import multiprocessing

class Job:
    def __init__(self, n):
        self.n = n

def square(job):
    return job.n ** 2

if __name__ == "__main__":
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        print(pool.map(square, [Job(n) for n in range(4)]))
"""
    (tmp_path / "program.py").write_text(text)
    assert "[0, 1, 4, 9]" in assert_same(tmp_path, "program.py")
    assert "[0, 1, 4, 9]" in assert_same(tmp_path, "-m", "program")


@posix
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=str)
def test_a_signal_from_outside_ends_it_as_it_ends_python(tmp_path: Path, number: int) -> None:
    (tmp_path / "program.py").write_text("import time\nprint('up', flush=True)\ntime.sleep(60)\n")
    results = []
    for command in ([sys.executable, "program.py"], [*RUN, "program.py"]):
        with subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            # For it to be in its sleep: the traceback tells.
            asleep = psutil.Process(process.pid)
            wait_until(lambda asleep=asleep: asleep.status() == psutil.STATUS_SLEEPING)  # type: ignore[misc]
            process.send_signal(number)
            out, err = process.communicate(timeout=PATIENCE_SECONDS)
        results.append((process.returncode, out, err))
    assert results[0] == results[1]
    assert results[1][0] == -number


@posix
def test_the_program_has_the_process_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import os; print(os.getpid())")
    with subprocess.Popen([*RUN, "program.py"], cwd=tmp_path, stdout=subprocess.PIPE) as process:
        out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert int(out) == process.pid


# --- the controller around it ---------------------------------------------------------------------

SERVES = """
import atexit, gc, sys, gcctl
for _ in range(25):
    with gcctl.request():
        pass
print(gcctl.stats().policy, gcctl.stats().requests, gc.isenabled())
atexit.register(lambda: print("atexit", gcctl.stats().requests, file=sys.stderr))
"""


@pytest.fixture
def serves(tmp_path: Path) -> Path:
    (tmp_path / "serves.py").write_text(SERVES)
    return tmp_path


def test_the_program_runs_under_the_policy_asked_for(serves: Path) -> None:
    assert run([*RUN, "serves.py"], serves).stdout == "auto 25 True\n"
    named = run([*RUN, "serves.py"], serves, GCCTL_POLICY="production")
    assert named.stdout == "production 25 False\n"
    assert run([*RUN, "--policy", "instagram", "serves.py"], serves).stdout.startswith("instagram")
    assert run([*RUN, "--policy", "off", "serves.py"], serves).stdout == "off 25 True\n"
    assert run([*RUN, "--policy=off", "-m", "serves"], serves).stdout == "off 25 True\n"


def test_the_report_comes_last_and_on_stderr(serves: Path) -> None:
    completed = run([*RUN, "--report", "--policy", "instagram", "serves.py"], serves)
    assert completed.stdout == "instagram 25 False\n"
    before, after = completed.stderr.split("gcctl report of process")
    assert before.endswith("atexit 25\n")  # a slow machine has pauses to warn of before that
    assert "instagram" in after
    assert "25" in after


@pytest.mark.parametrize(
    ("ending", "status"),
    [("raise ValueError('no')", 1), ("sys.exit(7)", 7), ("raise KeyboardInterrupt", None)],
)
def test_the_report_comes_after_a_failure_too(
    serves: Path, ending: str, status: int | None
) -> None:
    (serves / "serves.py").write_text(SERVES + ending)
    completed = run([*RUN, "--report", "serves.py"], serves)
    expected = run([sys.executable, "-c", ending.replace("sys", "import sys; sys", 1)], serves)
    assert completed.returncode == (status if status is not None else expected.returncode)
    assert "gcctl report of process" in completed.stderr


def test_threads_have_ended_when_the_report_is_made(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("""
import threading, time, gcctl
def late():
    time.sleep(0.3)
    for _ in range(41):
        gcctl.tick()
threading.Thread(target=late).start()
""")
    completed = run([*RUN, "--report", "program.py"], tmp_path)
    assert "41" in completed.stderr


def test_settings_are_back_and_verified_when_it_ends(tmp_path: Path) -> None:
    # Registered before sitecustomize modules run, so the last of all atexit functions.
    (tmp_path / "sitecustomize.py").touch()
    (tmp_path / "program.py").write_text("""
import atexit, gc, gcctl, gcctl._lifecycle.installation
real = gcctl._lifecycle.installation.Rollback.undo
def undo(self):
    drifts = real(self)
    print(gc.isenabled(), drifts)
    return drifts
gcctl._lifecycle.installation.Rollback.undo = undo
print(gc.isenabled())
""")
    command = [*RUN, "--policy", "production", "program.py"]
    assert run(command, tmp_path).stdout == "False\nTrue ()\n"


def test_a_program_may_uninstall_and_install_for_itself(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("""
import gc, gcctl
gcctl.uninstall()
print(gc.isenabled())
gcctl.install("off")
""")
    completed = run([*RUN, "--report", "--policy", "production", "program.py"], tmp_path)
    assert (completed.returncode, completed.stdout) == (0, "True\n")
    assert "production" in completed.stderr  # the report is that of the controller it came with


def test_a_second_install_is_the_documented_error(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import gcctl; gcctl.install()")
    completed = run([*RUN, "program.py"], tmp_path)
    assert completed.returncode == 1
    assert "GcctlError: gcctl is already installed" in completed.stderr


@posix
def test_a_forked_child_reports_when_it_has_served_requests(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("""
import os, sys, gcctl
for served in (0, 12):
    if os.fork() == 0:
        for _ in range(served):
            gcctl.tick()
        sys.exit()
    os.wait()
""")
    completed = run([*RUN, "--report", "program.py"], tmp_path)
    assert completed.stderr.count("gcctl report of process") == 2


def read(path: Path) -> Any:
    """A report as JSON; nothing else may be left beside it."""
    assert not [*path.parent.glob(".gcctl*")]
    return json.loads(path.read_text())


def test_the_report_as_json_is_written_at_the_end(serves: Path) -> None:
    (serves / "report.json").write_text("that of last time")
    command = [*RUN, "--policy", "instagram", "--json", "report.json", "serves.py"]
    completed = run(command, serves)
    assert (completed.returncode, completed.stdout) == (0, "instagram 25 False\n")
    assert "gcctl report" not in completed.stderr
    report = read(serves / "report.json")
    assert report["config"]["policy"] == report["stats"]["policy"] == "instagram"
    assert report["stats"]["requests"] == 25
    assert report["stats"]["collections_by_reason"]["requested"] == 1, "the final collection"
    assert report["events"][-1]["reason"] == "requested"
    assert len(report["events"]) == report["stats"]["collections"]
    assert report["gc_settings"]["enabled"] is True, "settings are back"


def test_both_reports_may_be_had(serves: Path) -> None:
    completed = run([*RUN, "--report", "--json=report.json", "serves.py"], serves)
    assert "gcctl report of process" in completed.stderr
    assert read(serves / "report.json")["stats"]["requests"] == 25


@posix
def test_the_report_as_json_has_the_permissions_of_any_new_file(serves: Path) -> None:
    run([*RUN, "--json", "report.json", "serves.py"], serves)
    (serves / "other").touch()
    assert (serves / "report.json").stat().st_mode == (serves / "other").stat().st_mode


def test_the_path_of_the_report_is_that_at_the_start(serves: Path) -> None:
    (serves / "elsewhere").mkdir()
    (serves / "reports").mkdir()
    (serves / "serves.py").write_text(f"import os; os.chdir('elsewhere')\n{SERVES}")
    path = os.path.join("reports", "last.json")
    assert run([*RUN, "--json", path, "serves.py"], serves).returncode == 0
    assert read(serves / path)["stats"]["requests"] == 25
    assert not [*(serves / "elsewhere").iterdir()]


@posix
def test_a_link_to_the_report_stays_one(serves: Path) -> None:
    (serves / "reports").mkdir()
    (serves / "last.json").symlink_to("reports/today.json")
    assert run([*RUN, "--json", "last.json", "serves.py"], serves).returncode == 0
    assert (serves / "last.json").is_symlink()
    assert read(serves / "reports" / "today.json")["stats"]["requests"] == 25


@pytest.mark.parametrize("ending", ["raise ValueError('no')", "sys.exit(7)"])
def test_the_report_as_json_leaves_the_exit_status_alone(serves: Path, ending: str) -> None:
    (serves / "serves.py").write_text(SERVES + ending)
    expected = run([sys.executable, "serves.py"], serves).returncode
    assert run([*RUN, "--json", "report.json", "serves.py"], serves).returncode == expected != 0
    assert read(serves / "report.json")["stats"]["requests"] == 25


def test_a_program_that_ends_at_once_writes_no_report(serves: Path) -> None:
    (serves / "report.json").write_text("that of last time")
    (serves / "serves.py").write_text(SERVES + "import os; os._exit(3)")
    assert run([*RUN, "--json", "report.json", "serves.py"], serves).returncode == 3
    assert (serves / "report.json").read_text() == "that of last time"
    assert not [*serves.glob(".gcctl*")]


def test_disabled_by_the_environment_the_report_as_json_says_so(serves: Path) -> None:
    command = [*RUN, "--json", "report.json", "serves.py"]
    assert run(command, serves, GCCTL_DISABLE="1").returncode == 0
    report = read(serves / "report.json")
    assert (report["stats"]["policy"], report["config"]) == (None, None)


@posix
def test_a_forked_child_that_has_served_requests_writes_a_report_of_its_own(
    tmp_path: Path,
) -> None:
    (tmp_path / "program.py").write_text("""
import os, sys, gcctl
for served in (0, 12):
    child = os.fork()
    if child == 0:
        for _ in range(served):
            gcctl.tick()
        sys.exit()
    os.wait()
print(child)
""")
    completed = run([*RUN, "--json", "report.new.json", "program.py"], tmp_path)
    child = int(completed.stdout)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"program.py", "report.new.json", f"report.new.{child}.json"}
    report = read(tmp_path / f"report.new.{child}.json")
    assert (report["environment"]["pid"], report["stats"]["requests"]) == (child, 12)
    assert read(tmp_path / "report.new.json")["stats"]["requests"] == 0


BAD_PATHS = ["", "missing/report.json", "serves.py/report.json", "serves.d", "new/", "r" * 300]


@pytest.mark.parametrize("path", [*BAD_PATHS, pytest.param("/dev/null", marks=posix)])
def test_a_path_that_cannot_be_written_is_one_line_and_status_2(serves: Path, path: str) -> None:
    (serves / "serves.d").mkdir()
    completed = run([*RUN, "--json", path, "serves.py"], serves)
    assert (completed.returncode, completed.stdout) == (2, "")
    [line] = completed.stderr.splitlines()
    assert line.startswith(f"gcctl run: error: --json {path!r} cannot be written: ")
    assert {entry.name for entry in serves.iterdir()} == {"serves.py", "serves.d"}


@posix
@pytest.mark.skipif("os.geteuid() == 0", reason="the superuser may write everywhere")
def test_a_directory_that_is_not_writable_is_found_at_the_start(serves: Path) -> None:
    (serves / "reports").mkdir(mode=0o500)
    completed = run([*RUN, "--json", "reports/last.json", "serves.py"], serves)
    assert (completed.returncode, completed.stdout) == (2, "")
    assert "Permission denied" in completed.stderr


@pytest.mark.parametrize("ending", ["", "sys.exit(7)"])
def test_a_report_that_cannot_be_written_at_the_end_is_one_line(serves: Path, ending: str) -> None:
    (serves / "reports").mkdir()
    (serves / "serves.py").write_text(f"{SERVES}\nimport os; os.rmdir('reports')\n{ending}")
    path = os.path.join("reports", "last.json")
    completed = run([*RUN, "--json", path, "serves.py"], serves)
    assert (completed.returncode, completed.stdout) == (7 if ending else 0, "auto 25 True\n")
    *_, line = completed.stderr.splitlines()
    assert line.startswith("gcctl run: error: the report as JSON cannot be written: ")


def test_the_report_as_json_runs_no_module_of_the_program(tmp_path: Path) -> None:
    application = tmp_path / "application"  # not where we are: `python -m gcctl` itself looks there
    application.mkdir()
    for name in ("calendar", "csv", "datetime", "email", "random", "tempfile", "zipfile"):
        (application / f"{name}.py").write_text("print('imported', __name__)")
    (application / "serves.py").write_text(SERVES)
    command = [*RUN, "--json", "report.json", os.path.join("application", "serves.py")]
    assert run(command, tmp_path).stdout == "auto 25 True\n"
    assert read(tmp_path / "report.json")["stats"]["requests"] == 25


def test_a_configuration_file_is_read_before_the_program(serves: Path) -> None:
    (serves / "settings.toml").write_text('[gcctl]\npolicy = "conservative"\n')
    command = [*RUN, "--config", "settings.toml", "serves.py"]
    assert run(command, serves).stdout == "conservative 25 False\n"
    assert run([*RUN, "serves.py"], serves, GCCTL_POLICY="off").stdout == "off 25 True\n"


def test_disabled_by_the_environment_the_program_runs_all_the_same(serves: Path) -> None:
    completed = run([*RUN, "--report", "serves.py"], serves, GCCTL_DISABLE="1")
    assert (completed.returncode, completed.stdout) == (0, "None 0 True\n")


def test_the_log_can_be_shown(serves: Path) -> None:
    completed = run([*RUN, "--log-level", "info", "serves.py"], serves)
    first = completed.stderr.splitlines()[0]
    assert re.fullmatch(r"[-0-9]{10} [:0-9]{8},\d{3} \[\d+\] gcctl: INFO: installed: .*", first)
    assert completed.stdout == "auto 25 True\n"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--policy", "nonesuch"], "nonesuch"),
        (["--config", "missing.toml"], "missing.toml"),
        (["--config", "broken.toml"], "broken.toml"),
        (["--config", "wrong.toml"], "gen0_evry"),
    ],
    ids=" ".join,
)
def test_a_bad_setting_is_one_line_and_status_2(
    serves: Path, options: list[str], complaint: str
) -> None:
    (serves / "broken.toml").write_text("[gcctl\n")
    (serves / "wrong.toml").write_text("[gcctl]\ngen0_evry = 1\n")
    completed = run([*RUN, *options, "serves.py"], serves)
    assert (completed.returncode, completed.stdout) == (2, "")
    [line] = completed.stderr.splitlines()
    assert line.startswith("gcctl run: error: ")
    assert complaint in line


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--report"],
        ["--policy"],
        ["--json"],
        ["-m"],
        ["--"],
        ["-x", "program.py"],
        ["--repor", "program.py"],
        ["--log-level", "loud", "program.py"],
    ],
    ids=repr,
)
def test_a_wrong_command_line_is_refused_with_the_usage(tmp_path: Path, words: list[str]) -> None:
    completed = run([*RUN, *words], tmp_path)
    assert (completed.returncode, completed.stdout) == (2, "")
    assert completed.stderr.startswith("usage: gcctl run")
    assert "gcctl run: error:" in completed.stderr


def test_called_from_python_it_runs_a_child_and_returns_its_status(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import sys; print('ran'); sys.exit(5)")
    (tmp_path / "caller.py").write_text(
        "import gcctl.cli; print(gcctl.cli.main(['run', 'program.py']), 'still here')"
    )
    assert run([sys.executable, "caller.py"], tmp_path).stdout == "ran\n5 still here\n"


CYCLIC = """
class Order:
    def __init__(self):
        self.lines = [Line(self)]

class Line:
    def __init__(self, order):
        self.order = order

import gc
for _ in range(20_000):
    Order()
print(gc.isenabled())
"""


def test_cycles_are_profiled_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(CYCLIC)
    done = run([*RUN, "--cycles", "program.py"], tmp_path)
    assert done.returncode == 0
    if coordinator.missing:
        assert done.stdout == "True\n"
        assert coordinator.missing in done.stderr
        return
    assert done.stdout == "False\n", "automatic GC would free them unseen"
    assert "gcctl cycles of process" in done.stderr
    assert "__main__.Line.order → __main__.Order" in done.stderr
    assert re.search(r"\d  +\d+\.\d%  __main__.Order", done.stderr)


def test_disabled_by_the_environment_no_cycles_are_profiled(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import gc; print(gc.isenabled())")
    done = run([*RUN, "--cycles", "program.py"], tmp_path, GCCTL_DISABLE="1")
    assert done.stdout == "True\n"
    assert "cycles" not in done.stderr


@posix
def test_cycles_of_forked_children_are_not_profiled(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import gc, os\n"
        "child = os.fork()\n"
        "if child:\n"
        "    os.waitpid(child, 0)\n"
        "else:\n"
        "    print(gc.isenabled(), flush=True)\n"
    )
    done = run([*RUN, "--cycles", "program.py"], tmp_path)
    assert done.stdout == "True\n", "nobody there would collect"
    assert done.stderr.count("gcctl cycles of process") == 1


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["-m", "gcctl", "run", "-X", "x"], []),
        (["-mgcctl", "-u"], []),
        (["bin/gcctl", "-u"], []),
        (["--", "-u"], []),
        (["-", "-u"], []),
        (["-u", "-X", "dev", "-Werror", "-m", "gcctl"], ["-u", "-X", "dev", "-Werror"]),
        (["-uBX", "dev", "-bWmodule", "gcctl"], ["-uBX", "dev", "-bWmodule"]),
        (["-uIm", "gcctl"], ["-uI"]),
        (
            ["--check-hash-based-pycs", "always", "-c", "pass"],
            ["--check-hash-based-pycs", "always"],
        ),
    ],
    ids=" ".join,
)
def test_options_of_python_end_where_its_program_begins(
    words: list[str], options: list[str]
) -> None:
    assert interpreter_options(["python", *words]) == options


def test_options_that_would_ignore_pythonpath_are_replaced() -> None:
    options = ["-uI", "-E", "-EXI=E", "-W", "error:E", "--check-hash-based-pycs", "never"]
    expected = ["-uPs", "-XI=E", "-W", "error:E", "--check-hash-based-pycs", "never"]
    assert honouring_pythonpath(options) == expected


def test_version_and_help(tmp_path: Path) -> None:
    version = run([*GCCTL, "--version"], tmp_path)
    assert version.stdout.startswith("gcctl ")
    assert run(GCCTL, tmp_path).returncode == 2
    assert "--report" in run([*RUN, "--help"], tmp_path).stdout
    presets = "the preset: " + ", ".join(PRESETS)
    assert presets in " ".join(run([*RUN, "-h"], tmp_path).stdout.split())


@posix
@pytest.mark.parametrize("stream", ["1", "2"])
def test_a_closed_standard_stream_is_no_obstacle(tmp_path: Path, stream: str) -> None:
    (tmp_path / "program.py").write_text("open('ran', 'w').close()")
    shell = f'exec "$0" -m gcctl run --report program.py {stream}>&-'
    done = run(["sh", "-c", shell, sys.executable], tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "ran").exists()


@posix
def test_a_configuration_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import gcctl; print(gcctl.stats().policy)")
    shell = """printf '[gcctl]\\npolicy = "conservative"\\n' |
        exec "$0" -m gcctl run --config /dev/fd/0 program.py"""
    assert run(["sh", "-c", shell, sys.executable], tmp_path).stdout == "conservative\n"


@posix
def test_the_installed_command_becomes_the_program(tmp_path: Path) -> None:
    command = os.path.join(sysconfig.get_path("scripts"), "gcctl")
    if not os.path.exists(command):
        pytest.skip(f"gcctl was installed somewhere else than in {command}")
    (tmp_path / "program.py").write_text("import gcctl; print(gcctl.stats().policy)")
    done = run([command, "run", "--policy", "production", "program.py"], tmp_path)
    assert outcome(done) == (0, "production\n", "")


def test_the_program_s_log_has_gcctl_s_last_lines(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import gc, logging\n"
        "logging.basicConfig(filename='log', filemode='w', level=logging.INFO)\n"
        "gc.set_threshold(123)\n"
    )
    assert run([*RUN, "--policy", "production", "program.py"], tmp_path).returncode == 0
    lines = (tmp_path / "log").read_text()
    assert "gc settings left as they are" in lines
    assert "uninstalled: " in lines


def test_a_long_pythonpath_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import os; print(len(os.environ['PYTHONPATH']))")
    long = os.pathsep.join(f"{tmp_path}/{number:0100}" for number in range(600))
    completed = run([*RUN, "program.py"], tmp_path, PYTHONPATH=long)
    assert (completed.stdout, completed.stderr) == (f"{len(long)}\n", "")
