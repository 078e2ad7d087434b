"""How many processes a search of the command line has."""

from __future__ import annotations

import pytest

from searchkit.cli import values
from searchkit.cli.arguments import parser


@pytest.mark.parametrize(("cores", "processes"), [(1, None), (2, 2), (4, 4), (64, 4)])
def test_there_is_one_for_each_core_and_four_at_most(
    cores: int, processes: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values, "n_cores", lambda: cores)
    assert values.read_executor(parser().parse_args(["run"])) == {"executor": processes}
