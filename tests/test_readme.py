"""Is what the documents say true? Commands run, links lead somewhere, versions are the pinned ones."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def blocks(language: str) -> list[str]:
    """Return the README's code blocks in a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def run(command: list[str]) -> str:
    """Run a command at the repository's root and return what it prints."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("line", [line for block in blocks("sh") for line in block.splitlines()])
def test_each_command_of_the_readme_runs(line: str) -> None:
    program, *arguments = shlex.split(line)
    assert program == "python"
    assert run([sys.executable, *arguments])


@pytest.mark.parametrize("code", blocks("python"))
def test_the_python_of_the_readme_runs(code: str) -> None:
    assert run([sys.executable, "-c", code])


def test_the_readme_and_the_makefile_name_the_same_targets() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"make ([a-z]+(?:-[a-z]+)*)\b", "\n".join(re.findall(r"`(make [^`]*)`", README))))
    assert named
    assert named <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_to_one(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text(encoding="utf-8"))
    assert [target for target in targets if not (document.parent / target).exists()] == []


def test_a_space_on_hugging_face_gets_the_pinned_gradio_and_the_page() -> None:
    front = dict(line.split(": ", 1) for line in README.split("---\n")[1].splitlines())
    assert (front["sdk"], front["app_file"]) == ("gradio", "app.py")
    assert f"gradio=={front['sdk_version']}" in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
