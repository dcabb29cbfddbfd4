"""Small documents with the names and pages of the stories."""

from pathlib import Path

from tests.documents import write_pdf

FILLER = "Tide gauges are read at noon.\nThe harbour office keeps the book."


def write_story_samples(folder: Path) -> Path:
    """Create `folder` with pages for the first two stories and the last but one; the others have none."""
    folder.mkdir(exist_ok=True)
    write_pdf(folder / "site-map-and-floor-plan.pdf", "Restricted area: no anchoring,\nno fishing.", "Floor plan.")
    pages = [f"Report, part {number}.\n{FILLER}" for number in range(1, 7)]
    write_pdf(folder / "annual-report-2024.pdf", *pages, "Lost-time injuries per million hours 1.8")
    write_pdf(folder / "station-log-sk2-january-2024.pdf", "Where the waves came from.\nWind and waves.", FILLER)
    return folder
