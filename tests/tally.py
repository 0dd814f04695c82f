"""Add up what tests/run.sh ran and print ``N passed, N failed`` as the last line.

Each step left ``NAME.code`` with its exit code and, if it ran test cases, ``NAME.xml`` in JUnit's
form. Cases count one each; a step without cases (a linter) counts as one. A build counts only
when it fails. A step that ended badly without a failed case (a crash) is one failure.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from pathlib import Path


def count_cases(report: Path) -> tuple[int, int, int]:
    """Passed, failed and skipped cases of a JUnit file. A case may have several entries (pytest
    writes a second one for an error while cleaning up): it passed if none of them is bad."""
    verdicts: dict[tuple[str, str], str] = {}
    for case in ET.parse(report).iter("testcase"):
        key = (case.get("classname", ""), case.get("name", ""))
        tags = {child.tag for child in case}
        if tags & {"failure", "error"} or case.get("status") == "fail":
            verdicts[key] = "failed"
        elif "skipped" in tags or case.get("status") in ("notrun", "disabled"):
            verdicts.setdefault(key, "skipped")
        else:
            verdicts.setdefault(key, "passed")
    found = list(verdicts.values())
    return found.count("passed"), found.count("failed"), found.count("skipped")


def main(results: Path) -> int:
    passed = failed = 0
    for code_file in sorted(results.glob("*.code")):
        name, ok = code_file.stem, code_file.read_text().strip() == "0"
        report = code_file.with_suffix(".xml")
        if report.exists():
            step_passed, step_failed, skipped = count_cases(report)
            if not ok and step_failed == 0:
                step_failed = 1
        else:
            step_passed, step_failed, skipped = int(ok), int(not ok), 0
            if ok and name.startswith("build-"):
                continue
        note = f", {skipped} skipped" if skipped else ""
        print(f"{name}: {step_passed} passed, {step_failed} failed{note}")
        passed += step_passed
        failed += step_failed
    print(f"{passed} passed, {failed} failed")
    return 0 if passed > 0 and failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
