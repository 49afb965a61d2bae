"""The code of the page on evaluation prints what its comments say."""

import re
import runpy
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "evaluation.md"


def test_the_example_prints_what_it_says(tmp_path, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.S)
    (tmp_path / "example.py").write_text(code)
    runpy.run_path(str(tmp_path / "example.py"))
    printed = capsys.readouterr().out.splitlines()
    assert printed == re.findall(r"print\(.*\)  # (.*)", code) and len(printed) == 4


def test_every_module_named_on_the_page_exists():
    names = set(re.findall(r"^\|.*\| (`.*`) \|$", PAGE.read_text(), flags=re.M))
    modules = {name for cell in names for name in re.findall(r"`(\w+)`", cell)}
    assert len(modules) >= 10
    for name in modules:
        assert (PAGE.parents[1] / "counterplay" / "evaluate" / f"{name}.py").exists(), name
