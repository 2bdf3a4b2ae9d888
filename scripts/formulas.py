"""Typeset the lesson's formulas: LaTeX in nst/lesson/text/ -> MathML in nst/lesson/formulas.json.

    python scripts/formulas.py

It needs latex2mathml, which `make test` installs; who reads the lesson does not.  A test compares
the two.
"""

import html
import json
import re
from pathlib import Path

from latex2mathml.converter import convert

TEXT = Path(__file__).parent.parent / "nst" / "lesson" / "text"
OUTPUT = TEXT.parent / "formulas.json"


def formulas() -> dict[str, str]:
    """Return the MathML of every formula of the text, with its LaTeX for who reads it so."""
    found = {}
    for path in sorted(TEXT.glob("*.html")):
        for latex in re.findall(r"<m>(.*?)</m>", path.read_text(encoding="utf-8"), re.DOTALL):
            said = f'<math alttext="{html.escape(latex)}" '
            found[latex] = convert(latex, display="block").replace("<math ", said, 1)
    return found


if __name__ == "__main__":
    text = json.dumps(formulas(), indent=1, ensure_ascii=False) + "\n"
    OUTPUT.write_text(text, encoding="utf-8")
    print(OUTPUT)
