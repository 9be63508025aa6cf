"""What an assessment found, as one value that report, workbook and summary are made of."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from tallystick.books.assessment.findings import Findings
from tallystick.books.assessment.matching import Matched
from tallystick.books.assessment.roles import Roles


@dataclass(frozen=True, slots=True)
class Assessment:
    """What an assessment found."""

    today: date
    sources: tuple[dict[str, Any], dict[str, Any]]
    """How the files of both sides were read, with confidences."""
    roles: Roles
    matched: Matched
    findings: Findings
    files: tuple[Path, ...]

    def summary(self) -> dict[str, Any]:
        """Everything for programs; money in minor units."""
        found = self.findings
        sides = {each.name: asdict(each) for each in self.matched.sides}
        for side, read in zip(sides.values(), self.sources, strict=True):
            side["read_as"] = read
        return {
            "as_of": str(self.today),
            "sides": sides,
            "columns": [each.model_dump() for each in self.roles.proposed],
            "matching": self.roles.mapping.matching.model_dump(mode="json"),
            "matched_amounts": {
                code: {"sales": left, "finance": right} for code, (left, right) in self.matched.matched_amounts.items()
            },
            "breaks": found.breaks,
            "money_at_risk": found.at_risk,
            "concentration": {name: [asdict(each) for each in shares] for name, shares in found.concentration.items()},
            "causes": [asdict(each) for each in found.causes],
            "ageing": [asdict(each) for each in found.ageing],
            "largest": found.largest,
            "quarantined": {
                name: [asdict(each) for each in values] for name, values in self.matched.quarantined.items()
            },
            "notes": list(self.matched.notes),
            "files": [str(each) for each in self.files],
        }
