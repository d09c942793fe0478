#!/usr/bin/env python3
"""Checks that programs shown in docs/ are the files of the repository: tools/check_docs.py [--write]

A fenced block behind a line `<!-- file: PATH -->` must be that file, byte for byte. --write copies the files into the pages.
Exit status 1 when a block differs, a file is missing, or a program of examples/ is shown nowhere.
"""
import argparse
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"<!-- file: (\S+) -->\n```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="copy the files into the pages")
    write = parser.parse_args().write
    shown, errors = set(), []
    for page in sorted((ROOT / "docs").rglob("*.md")):
        text = page.read_text(encoding="utf-8")

        def replace(match):
            name, language, body = match.groups()
            shown.add(name)
            path = ROOT / name
            if not path.is_file():
                errors.append(f"{page.relative_to(ROOT)}: there is no {name}")
                return match[0]
            source = path.read_text(encoding="utf-8")
            if source != body and not write:
                errors.append(f"{page.relative_to(ROOT)}: the block is not {name}; tools/check_docs.py --write copies it")
            return f"<!-- file: {name} -->\n```{language}\n{source}```"

        changed = BLOCK.sub(replace, text)
        if write and changed != text:
            page.write_text(changed, encoding="utf-8")
    for path in sorted((ROOT / "examples").rglob("*.cu")):
        if str(path.relative_to(ROOT)) not in shown:
            errors.append(f"docs: no page shows {path.relative_to(ROOT)}")
    for error in errors:
        print(error, file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
