"""The code of the page on evaluation prints what its comments say."""

import re
import runpy
from pathlib import Path

import numpy as np
from scipy.stats import binom

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


def coverage(seeds: int, works: float = 0.8) -> float:
    """Of the 95% bootstrap of a mean, where so many of the seeds earn 1 and the others nothing.

    Exact: of k that worked, resamples are binomial numbers of so many draws with chance k / n.
    """
    worked = np.arange(1, seeds)  # of none and all the interval is a point beside the mean
    low, high = (binom.ppf(q, seeds, worked / seeds) for q in (0.025, 0.975))
    holds = (low <= works * seeds + 1e-9) & (works * seeds - 1e-9 <= high)
    return float((binom.pmf(worked, seeds, works) * holds).sum())


def test_bootstraps_cover_as_seldom_as_the_page_says():
    said = re.search(r"covers\s+(\d+)% at 5 seeds and (\d+)% at 20", PAGE.read_text())
    assert said is not None
    assert [int(x) for x in said.groups()] == [round(100 * coverage(n)) for n in (5, 20)]
